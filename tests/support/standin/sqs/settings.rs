//! A queue's attributes as CreateQueue gives them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::error::Error;
use super::store::Queue;

/// Attributes that are kept and given back, and mean nothing here.
const WITHOUT_EFFECT: [&str; 6] = [
    "KmsDataKeyReusePeriodSeconds",
    "KmsMasterKeyId",
    "MessageRetentionPeriod",
    "Policy",
    "RedriveAllowPolicy",
    "SqsManagedSseEnabled",
];

/// Attributes that can be set and have an effect.
const WITH_EFFECT: [&str; 5] = [
    "DelaySeconds",
    "MaximumMessageSize",
    "ReceiveMessageWaitTimeSeconds",
    "RedrivePolicy",
    "VisibilityTimeout",
];

/// Attributes that only tell.
const TOLD: [&str; 6] = [
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "QueueArn",
];

/// Whether SQS has an attribute of that name on a standard queue.
pub(super) fn is_known(name: &str) -> bool {
    WITHOUT_EFFECT.contains(&name) || WITH_EFFECT.contains(&name) || TOLD.contains(&name)
}

/// Where a message goes instead of being received once more.
#[derive(Debug)]
pub(super) struct Redrive {
    pub(super) dead_letters: Arc<Queue>,
    pub(super) receives_max: u32,
}

/// How a queue behaves. Fixed when it is made.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) delay: Duration,
    pub(super) visibility: Duration,
    pub(super) wait: Duration,
    pub(super) message_bytes_max: usize,
    pub(super) redrive: Option<Redrive>,
    /// As given, word for word.
    pub(super) given: BTreeMap<String, String>,
}

impl Settings {
    /// Reads attributes. `find` gives the queue of an ARN.
    pub(super) fn of(
        given: BTreeMap<String, String>,
        find: impl FnOnce(&str) -> Option<Arc<Queue>>,
    ) -> Result<Settings, Error> {
        let can_be_set = |name: &str| WITHOUT_EFFECT.contains(&name) || WITH_EFFECT.contains(&name);
        if !given.keys().all(|name| can_be_set(name)) {
            return Err(Error::InvalidAttributeName);
        }
        let seconds = |name: &str, range: RangeInclusive<u64>, usual: u64| {
            number(&given, name, range, usual).map(Duration::from_secs)
        };
        let redrive = given.get("RedrivePolicy").map(|policy| redrive(policy, find)).transpose()?;
        Ok(Settings {
            delay: seconds("DelaySeconds", 0..=900, 0)?,
            visibility: seconds("VisibilityTimeout", 0..=43_200, 30)?,
            wait: seconds("ReceiveMessageWaitTimeSeconds", 0..=20, 0)?,
            message_bytes_max: number(&given, "MaximumMessageSize", 1024..=1_048_576, 1_048_576)? as usize,
            redrive,
            given,
        })
    }

    /// All of them as text, the unset ones too.
    pub(super) fn attributes(&self) -> BTreeMap<String, String> {
        let usual = [
            ("DelaySeconds", self.delay.as_secs()),
            ("MaximumMessageSize", self.message_bytes_max as u64),
            ("MessageRetentionPeriod", 345_600),
            ("ReceiveMessageWaitTimeSeconds", self.wait.as_secs()),
            ("VisibilityTimeout", self.visibility.as_secs()),
        ];
        let mut attributes: BTreeMap<String, String> =
            usual.into_iter().map(|(name, value)| (name.to_owned(), value.to_string())).collect();
        attributes.extend(self.given.clone());
        attributes
    }
}

fn number(
    given: &BTreeMap<String, String>,
    name: &str,
    range: RangeInclusive<u64>,
    usual: u64,
) -> Result<u64, Error> {
    match given.get(name).map(|value| value.parse::<u64>()) {
        None => Ok(usual),
        Some(Ok(value)) if range.contains(&value) => Ok(value),
        Some(_) => Err(Error::InvalidAttributeValue),
    }
}

/// AWS takes the count as a number and as a text.
fn redrive(policy: &str, find: impl FnOnce(&str) -> Option<Arc<Queue>>) -> Result<Redrive, Error> {
    let policy: Value = serde_json::from_str(policy).map_err(|_| Error::InvalidAttributeValue)?;
    let count = &policy["maxReceiveCount"];
    let receives_max = count
        .as_u64()
        .or_else(|| count.as_str()?.parse().ok())
        .and_then(|count| u32::try_from(count).ok())
        .filter(|count| (1..=1000).contains(count))
        .ok_or(Error::InvalidAttributeValue)?;
    let dead_letters = policy["deadLetterTargetArn"].as_str().and_then(find);
    Ok(Redrive { dead_letters: dead_letters.ok_or(Error::InvalidAttributeValue)?, receives_max })
}
