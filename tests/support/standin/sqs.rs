//! SQS: the AWS JSON 1.0 protocol, and what each operation does.

mod error;
mod settings;
mod store;
mod wire;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::header::{HOST, HeaderValue};
use hyper::http::request::Parts;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

use self::error::Error;
use self::settings::Settings;
use self::store::{Message, Queue};
use self::wire::{
    BatchAnswer, CreateQueue, Done, FailedEntry, GetAttributes, GetUrl, HandleBatch, ListQueues, OneMessage,
    Receive, ReceivedMessage, SendBatch, SendOne,
};
use super::faults::{Fault, Faults, Op};
use super::reply::{Reply, with_body};

const ACCOUNT: &str = "000000000000";
const REGION: &str = "us-east-1";
const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// Of all messages of one call together.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
const BATCH_ENTRIES_MAX: usize = 10;
const ID_CHARS_MAX: usize = 80;
const RECEIVE_MAX: u32 = 10;
const WAIT_SECONDS_MAX: u32 = 20;
const DELAY_SECONDS_MAX: u32 = 900;
const VISIBILITY_SECONDS_MAX: u32 = 43_200;

/// All queues.
#[derive(Debug, Default)]
pub(super) struct Sqs {
    queues: Mutex<BTreeMap<String, Arc<Queue>>>,
}

impl Sqs {
    /// Makes a queue, or finds that of the same name and attributes.
    pub(super) fn create(&self, name: &str, attributes: &[(&str, &str)]) -> Result<(), Error> {
        let given =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.create_from(name, given)
    }

    fn create_from(&self, name: &str, given: BTreeMap<String, String>) -> Result<(), Error> {
        if !is_identifier(name) {
            return Err(Error::InvalidParameter);
        }
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = queues.get(name) {
            let is_same = given.iter().all(|(name, value)| there.settings.given.get(name) == Some(value));
            return if is_same { Ok(()) } else { Err(Error::QueueNameExists) };
        }
        let settings = Settings::of(given, |arn| {
            let name = arn.rsplit(':').next().unwrap_or(arn);
            queues.get(name).cloned()
        })?;
        queues.insert(name.to_owned(), Arc::new(Queue::new(name, settings)));
        Ok(())
    }

    fn queue(&self, url: &str) -> Result<Arc<Queue>, Error> {
        let name = url.rsplit('/').next().unwrap_or(url);
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.get(name).cloned().ok_or(Error::QueueDoesNotExist)
    }
}

/// The address of a queue of this stand-in.
pub(super) fn queue_url(host: &str, name: &str) -> String {
    format!("http://{host}/{ACCOUNT}/{name}")
}

/// The ARN of a queue of this stand-in.
pub(super) fn queue_arn(name: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")
}

/// Does what was asked, but for what `fault` takes out of a batch, and answers.
pub(super) async fn answer(
    sqs: &Sqs,
    faults: &Faults,
    op: Op,
    head: &Parts,
    body: &[u8],
    fault: Option<Fault>,
) -> Reply {
    let host = head.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if op == Op::SendMessageBatch {
        let entries = parse::<SendBatch<'_>>(body).map_or(1, |asked| asked.entries.len());
        if !faults.may_send(entries) {
            return throttled();
        }
    }
    match act(sqs, op, host, body, fault).await {
        Ok(answer) => with_body(200, CONTENT_TYPE, answer),
        Err(error) => refuse(error.status(), error),
    }
}

/// The answer to an operation that is not there.
pub(super) fn unsupported() -> Reply {
    refuse(400, Error::UnsupportedOperation)
}

/// SQS's own throttling.
pub(super) fn throttled() -> Reply {
    refuse(400, Error::RequestThrottled)
}

/// A fault that was asked for by its status.
pub(super) fn error_of_status(status: u16) -> Reply {
    let error = match status {
        403 => Error::AccessDenied,
        503 => Error::ServiceUnavailable,
        500.. => Error::InternalFailure,
        _ => Error::InvalidParameter,
    };
    refuse(status, error)
}

fn refuse(status: u16, error: Error) -> Reply {
    let body = serde_json::json!({
        "__type": format!("com.amazonaws.sqs#{}", error.shape()),
        "message": error.message(),
    });
    let mut reply = with_body(status, CONTENT_TYPE, body.to_string());
    let fault = if status < 500 { "Sender" } else { "Receiver" };
    if let Ok(query_error) = HeaderValue::from_str(&format!("{};{fault}", error.code())) {
        reply.headers_mut().insert("x-amzn-query-error", query_error);
    }
    reply
}

async fn act(sqs: &Sqs, op: Op, host: &str, body: &[u8], fault: Option<Fault>) -> Result<Vec<u8>, Error> {
    match op {
        Op::CreateQueue => {
            let asked: CreateQueue = parse(body)?;
            sqs.create_from(&asked.queue_name, asked.attributes)?;
            Ok(json(&serde_json::json!({ "QueueUrl": queue_url(host, &asked.queue_name) })))
        }
        Op::GetQueueUrl => {
            let asked: GetUrl<'_> = parse(body)?;
            let queue = sqs.queue(&asked.queue_name)?;
            Ok(json(&serde_json::json!({ "QueueUrl": queue_url(host, &queue.name) })))
        }
        Op::ListQueues => list_queues(sqs, host, &parse(body)?),
        Op::GetQueueAttributes => get_attributes(sqs, &parse(body)?),
        Op::PurgeQueue => {
            let asked: OneMessage<'_> = parse(body)?;
            sqs.queue(&asked.queue_url)?.purge();
            Ok(json(&serde_json::json!({})))
        }
        Op::SendMessage => send_one(sqs, &parse(body)?),
        Op::SendMessageBatch => send_batch(sqs, &parse(body)?, fault),
        Op::ReceiveMessage => receive(sqs, &parse(body)?, fault).await,
        Op::DeleteMessage => {
            let asked: OneMessage<'_> = parse(body)?;
            sqs.queue(&asked.queue_url)?.delete(&asked.receipt_handle)?;
            Ok(json(&serde_json::json!({})))
        }
        Op::DeleteMessageBatch => {
            let asked: HandleBatch<'_> = parse(body)?;
            let queue = sqs.queue(&asked.queue_url)?;
            batch(
                &asked.entries,
                |entry| &entry.id,
                fault,
                |entry| {
                    queue.delete(&entry.receipt_handle)?;
                    Ok(Done::entry(&entry.id))
                },
            )
        }
        Op::ChangeMessageVisibility => {
            let asked: OneMessage<'_> = parse(body)?;
            let timeout = visibility(asked.visibility_timeout)?;
            sqs.queue(&asked.queue_url)?.change_visibility(&asked.receipt_handle, timeout)?;
            Ok(json(&serde_json::json!({})))
        }
        Op::ChangeMessageVisibilityBatch => {
            let asked: HandleBatch<'_> = parse(body)?;
            let queue = sqs.queue(&asked.queue_url)?;
            batch(
                &asked.entries,
                |entry| &entry.id,
                fault,
                |entry| {
                    let timeout = visibility(entry.visibility_timeout)?;
                    queue.change_visibility(&entry.receipt_handle, timeout)?;
                    Ok(Done::entry(&entry.id))
                },
            )
        }
        _ => Err(Error::UnsupportedOperation),
    }
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|_| Error::Serialization)
}

fn json(answer: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(answer).expect("maps with text keys")
}

fn list_queues(sqs: &Sqs, host: &str, asked: &ListQueues<'_>) -> Result<Vec<u8>, Error> {
    let queues = sqs.queues.lock().unwrap_or_else(PoisonError::into_inner);
    let urls: Vec<String> = queues
        .keys()
        .filter(|name| name.starts_with(&*asked.queue_name_prefix))
        .map(|name| queue_url(host, name))
        .collect();
    Ok(json(&serde_json::json!({ "QueueUrls": urls })))
}

fn get_attributes(sqs: &Sqs, asked: &GetAttributes<'_>) -> Result<Vec<u8>, Error> {
    let mut attributes = sqs.queue(&asked.queue_url)?.attributes();
    if asked.attribute_names.iter().all(|name| name != "All") {
        let mut named = BTreeMap::new();
        for name in &asked.attribute_names {
            match attributes.remove(&**name) {
                Some(value) => {
                    named.insert(name.to_string(), value);
                }
                // Known, but not set on this queue.
                None if settings::is_known(name) => {}
                None => return Err(Error::InvalidAttributeName),
            }
        }
        attributes = named;
    }
    Ok(json(&serde_json::json!({ "Attributes": attributes })))
}

fn send_one(sqs: &Sqs, asked: &SendOne<'_>) -> Result<Vec<u8>, Error> {
    let queue = sqs.queue(&asked.queue_url)?;
    let message = store(&queue, &asked.message_body, asked.delay_seconds)?;
    queue.announce();
    Ok(json(&Done::sent(None, &message)))
}

fn send_batch(sqs: &Sqs, asked: &SendBatch<'_>, fault: Option<Fault>) -> Result<Vec<u8>, Error> {
    let queue = sqs.queue(&asked.queue_url)?;
    let bytes: usize = asked.entries.iter().map(|entry| entry.message_body.len()).sum();
    if bytes > BATCH_BYTES_MAX {
        return Err(Error::BatchRequestTooLong);
    }
    let answer = batch(
        &asked.entries,
        |entry| &entry.id,
        fault,
        |entry| {
            let message = store(&queue, &entry.message_body, entry.delay_seconds)?;
            Ok(Done::sent(Some(&entry.id), &message))
        },
    );
    queue.announce();
    answer
}

fn store(queue: &Queue, body: &str, delay_seconds: Option<u32>) -> Result<Arc<Message>, Error> {
    if body.is_empty() {
        return Err(Error::MissingParameter);
    }
    if body.len() > queue.settings.message_bytes_max {
        return Err(Error::MessageTooLong);
    }
    if !body.chars().all(is_allowed) {
        return Err(Error::InvalidMessageContents);
    }
    let delay = match delay_seconds {
        Some(seconds) if seconds > DELAY_SECONDS_MAX => return Err(Error::InvalidParameter),
        Some(seconds) => Duration::from_secs(seconds.into()),
        None => queue.settings.delay,
    };
    let message = Arc::new(Message {
        id: uuid::Uuid::new_v4().to_string(),
        md5: hex::encode(Md5::digest(body)),
        body: body.to_owned(),
        sent_at_millis: jiff::Timestamp::now().as_millisecond(),
    });
    queue.store(Arc::clone(&message), delay);
    Ok(message)
}

/// What SQS takes of Unicode.
fn is_allowed(character: char) -> bool {
    matches!(character,
        '\u{9}' | '\u{a}' | '\u{d}' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

async fn receive(sqs: &Sqs, asked: &Receive<'_>, fault: Option<Fault>) -> Result<Vec<u8>, Error> {
    let queue = sqs.queue(&asked.queue_url)?;
    let max = asked.max_number_of_messages.unwrap_or(1);
    let wait = match asked.wait_time_seconds {
        Some(seconds) => Duration::from_secs(seconds.into()),
        None => queue.settings.wait,
    };
    if !(1..=RECEIVE_MAX).contains(&max) || wait > Duration::from_secs(WAIT_SECONDS_MAX.into()) {
        return Err(Error::InvalidParameter);
    }
    let lease = match asked.visibility_timeout {
        Some(seconds) => visibility(Some(seconds))?,
        None => queue.settings.visibility,
    };
    let mut received = queue.receive(max as usize, lease, wait).await?;
    match fault {
        // They stay leased until their leases end.
        Some(Fault::LoseReceived) => received.clear(),
        Some(Fault::DeliverTwice) => {
            for received in &received {
                queue.change_visibility(&received.handle, Duration::ZERO)?;
            }
        }
        _ => {}
    }
    let messages: Vec<ReceivedMessage<'_>> =
        received.iter().map(|received| ReceivedMessage::of(received, asked)).collect();
    let mut answer = BTreeMap::new();
    if !messages.is_empty() {
        answer.insert("Messages", messages);
    }
    Ok(json(&answer))
}

fn visibility(seconds: Option<u32>) -> Result<Duration, Error> {
    match seconds {
        Some(seconds) if seconds <= VISIBILITY_SECONDS_MAX => Ok(Duration::from_secs(seconds.into())),
        Some(_) => Err(Error::InvalidParameter),
        None => Err(Error::MissingParameter),
    }
}

/// Does each entry for itself, except those that the fault takes.
fn batch<'a, E>(
    entries: &'a [E],
    id: impl Fn(&'a E) -> &'a str,
    fault: Option<Fault>,
    mut act: impl FnMut(&'a E) -> Result<Done<'a>, Error>,
) -> Result<Vec<u8>, Error> {
    if entries.is_empty() {
        return Err(Error::EmptyBatchRequest);
    }
    if entries.len() > BATCH_ENTRIES_MAX {
        return Err(Error::TooManyEntriesInBatchRequest);
    }
    let mut known = HashSet::new();
    for entry in entries {
        if !is_identifier(id(entry)) {
            return Err(Error::InvalidBatchEntryId);
        }
        if !known.insert(id(entry)) {
            return Err(Error::BatchEntryIdsNotDistinct);
        }
    }
    let mut answer = BatchAnswer { successful: Vec::with_capacity(entries.len()), failed: Vec::new() };
    for (index, entry) in entries.iter().enumerate() {
        let outcome = match fault {
            Some(Fault::FailEntries(count)) if index < count => Err(Error::Internal),
            Some(Fault::DropEntries(count)) if index < count => continue,
            _ => act(entry),
        };
        match outcome {
            Ok(done) => answer.successful.push(done),
            Err(error) => answer.failed.push(FailedEntry::of(id(entry), error)),
        }
    }
    Ok(json(&answer))
}

/// Names of queues and ids of entries.
fn is_identifier(text: &str) -> bool {
    (1..=ID_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}
