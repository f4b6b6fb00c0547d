//! What comes and goes as JSON. Fields that the stand-in does not use are passed over.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::store::{Message, Received};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateQueue {
    pub(super) queue_name: String,
    #[serde(default)]
    pub(super) attributes: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetUrl<'a> {
    #[serde(borrow)]
    pub(super) queue_name: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListQueues<'a> {
    #[serde(borrow, default)]
    pub(super) queue_name_prefix: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetAttributes<'a> {
    #[serde(borrow)]
    pub(super) queue_url: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) attribute_names: Vec<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SendOne<'a> {
    #[serde(borrow)]
    pub(super) queue_url: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) message_body: Cow<'a, str>,
    pub(super) delay_seconds: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SendBatch<'a> {
    #[serde(borrow)]
    pub(super) queue_url: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) entries: Vec<SendEntry<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SendEntry<'a> {
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) message_body: Cow<'a, str>,
    pub(super) delay_seconds: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Receive<'a> {
    #[serde(borrow)]
    pub(super) queue_url: Cow<'a, str>,
    pub(super) max_number_of_messages: Option<u32>,
    pub(super) wait_time_seconds: Option<u32>,
    pub(super) visibility_timeout: Option<u32>,
    #[serde(borrow, default)]
    pub(super) message_system_attribute_names: Vec<Cow<'a, str>>,
    /// The older name of the same.
    #[serde(borrow, default)]
    pub(super) attribute_names: Vec<Cow<'a, str>>,
}

impl Receive<'_> {
    fn wants(&self, attribute: &str) -> bool {
        let mut names = self.message_system_attribute_names.iter().chain(&self.attribute_names);
        names.any(|name| name == attribute || name == "All")
    }
}

/// DeleteMessage, ChangeMessageVisibility, and with the queue alone PurgeQueue.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct OneMessage<'a> {
    #[serde(borrow)]
    pub(super) queue_url: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) receipt_handle: Cow<'a, str>,
    pub(super) visibility_timeout: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HandleBatch<'a> {
    #[serde(borrow)]
    pub(super) queue_url: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) entries: Vec<HandleEntry<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HandleEntry<'a> {
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) receipt_handle: Cow<'a, str>,
    /// Of ChangeMessageVisibilityBatch alone.
    pub(super) visibility_timeout: Option<u32>,
}

/// A message that was stored; of other batches, an entry that was done.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Done<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    #[serde(rename = "MD5OfMessageBody", skip_serializing_if = "Option::is_none")]
    md5: Option<String>,
}

impl<'a> Done<'a> {
    pub(super) fn sent(id: Option<&'a str>, message: &Message) -> Done<'a> {
        Done { id, message_id: Some(message.id.clone()), md5: Some(message.md5.clone()) }
    }

    pub(super) fn entry(id: &'a str) -> Done<'a> {
        Done { id: Some(id), message_id: None, md5: None }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct FailedEntry<'a> {
    id: &'a str,
    code: &'static str,
    message: &'static str,
    sender_fault: bool,
}

impl<'a> FailedEntry<'a> {
    pub(super) fn of(id: &'a str, error: Error) -> FailedEntry<'a> {
        FailedEntry { id, code: error.code(), message: error.message(), sender_fault: error.status() < 500 }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct BatchAnswer<'a> {
    pub(super) successful: Vec<Done<'a>>,
    pub(super) failed: Vec<FailedEntry<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ReceivedMessage<'a> {
    message_id: &'a str,
    receipt_handle: &'a str,
    #[serde(rename = "MD5OfBody")]
    md5: &'a str,
    body: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<&'static str, String>,
}

impl<'a> ReceivedMessage<'a> {
    pub(super) fn of(received: &'a Received, asked: &Receive<'_>) -> ReceivedMessage<'a> {
        const RECEIVE_COUNT: &str = "ApproximateReceiveCount";
        const SENT_AT: &str = "SentTimestamp";
        let message = &received.message;
        let mut attributes = BTreeMap::new();
        if asked.wants(RECEIVE_COUNT) {
            attributes.insert(RECEIVE_COUNT, received.receives.to_string());
        }
        if asked.wants(SENT_AT) {
            attributes.insert(SENT_AT, message.sent_at_millis.to_string());
        }
        ReceivedMessage {
            message_id: &message.id,
            receipt_handle: &received.handle,
            md5: &message.md5,
            body: &message.body,
            attributes,
        }
    }
}
