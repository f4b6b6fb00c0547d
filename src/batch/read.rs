//! What one queue message is: an event for the lake, or a dead letter with its reason. Pure.
//!
//! The only way into the lake's events, so personal data is treated here. Dead letters keep the bytes as they came:
//! they are what nobody could read, and a replay makes its event of them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;

use crate::aftership::webhook::{self, Unreadable};
use crate::event::{BodySha256, Event, Redacted, line};
use crate::lake::dead_letter::{DeadLetter, Reason};
use crate::lake::suppressed::Suppressed;
use crate::queue::Delivery;

use super::treatment::{Treated, Treatment};

/// A message, looked at.
#[derive(Debug)]
pub enum Verdict {
    /// Goes into the window of its minute.
    Event(Readable),
    /// Goes to the dead letters.
    Dead(Box<DeadLetter>),
}

/// An event that the loader will be able to read.
#[derive(Debug)]
pub struct Readable {
    /// The line as it lands: exactly as it lay in the queue, unless personal data was replaced.
    pub line: Vec<u8>,
    /// What was done to personal data, if there was anything to do.
    pub redacted: Option<Redacted>,
    /// For the manifest's hash.
    pub event_key: String,
    /// Decides the minute.
    pub received_at: Timestamp,
}

/// Reads a message. `attempts_max`: deliveries after which even a readable message is set aside, since something
/// about it keeps stopping us before it is deleted.
pub fn read(
    delivery: &Delivery,
    treatment: &Treatment,
    suppressed: &Suppressed,
    attempts_max: u32,
    now: Timestamp,
) -> Verdict {
    // A message that makes the reader panic must not take its neighbours along.
    let attempt = catch_unwind(AssertUnwindSafe(|| {
        let (event, line) = read_message(delivery, now)?;
        let treated = treatment.of(&event, suppressed);
        Ok::<_, Box<DeadLetter>>((event, line, treated))
    }));
    let (event, line, treated) = match attempt {
        Ok(Ok(read)) => read,
        Ok(Err(letter)) => return Verdict::Dead(letter),
        Err(_) => return Verdict::Dead(message_letter(delivery, Reason::GaveUp, "reading it panics", now)),
    };
    if delivery.receive_count > attempts_max {
        let detail = format!("delivered {} times without being stored", delivery.receive_count);
        return Verdict::Dead(event_letter(delivery, &event, Reason::GaveUp, Some(detail), now));
    }
    let (line, redacted) = match treated {
        Treated::AsReceived => (line, None),
        Treated::Instead(line, how) => (line, Some(how)),
        Treated::TooLong => {
            let detail = "too long once its personal data is replaced".to_owned();
            return Verdict::Dead(event_letter(delivery, &event, Reason::GaveUp, Some(detail), now));
        }
    };
    Verdict::Event(Readable {
        line,
        redacted,
        event_key: event.event_key.as_str().to_owned(),
        received_at: event.received_at,
    })
}

/// A dead letter for a message that SQS itself had set aside in its dead-letter queue.
pub fn redriven(delivery: &Delivery, now: Timestamp) -> Box<DeadLetter> {
    match catch_unwind(AssertUnwindSafe(|| read_message(delivery, now))) {
        Ok(Ok((event, _))) => event_letter(delivery, &event, Reason::Redriven, None, now),
        Ok(Err(letter)) => letter,
        Err(_) => message_letter(delivery, Reason::GaveUp, "reading it panics", now),
    }
}

fn read_message(delivery: &Delivery, now: Timestamp) -> Result<(Event, Vec<u8>), Box<DeadLetter>> {
    let bad = |error: line::LineError| message_letter(delivery, Reason::BadMessage, &error.to_string(), now);
    let line = line::from_message(&delivery.body).map_err(bad)?;
    let event = line::decode(&line).map_err(bad)?;
    match webhook::read_envelope(&event.body) {
        Ok(_) => Ok((event, line)),
        Err(unreadable) => Err(event_letter(delivery, &event, reason_of(unreadable), None, now)),
    }
}

fn event_letter(
    delivery: &Delivery,
    event: &Event,
    reason: Reason,
    detail: Option<String>,
    now: Timestamp,
) -> Box<DeadLetter> {
    Box::new(DeadLetter {
        v: 1,
        id: DeadLetter::id_of(delivery.body.as_bytes()),
        reason,
        detail,
        event: webhook::event_code(&event.body),
        event_key: Some(event.event_key.as_str().to_owned()),
        source: Some(event.source.as_str().to_owned()),
        received_at: event.received_at,
        dead_at: now,
        attempts: delivery.receive_count,
        replay_id: event.replay_id.clone(),
        body_sha256: event.body_sha256.to_hex(),
        body_base64: BASE64_STANDARD.encode(&event.body),
    })
}

/// For a message that holds no event of ours: its own text is what we keep.
fn message_letter(delivery: &Delivery, reason: Reason, detail: &str, now: Timestamp) -> Box<DeadLetter> {
    let text = delivery.body.as_bytes();
    Box::new(DeadLetter {
        v: 1,
        id: DeadLetter::id_of(text),
        reason,
        detail: Some(detail.to_owned()),
        event: None,
        event_key: None,
        source: None,
        received_at: delivery.sent_at.unwrap_or(now),
        dead_at: now,
        attempts: delivery.receive_count,
        replay_id: None,
        body_sha256: BodySha256::of(text).to_hex(),
        body_base64: BASE64_STANDARD.encode(text),
    })
}

/// The reason of a body that cannot be read.
fn reason_of(unreadable: Unreadable) -> Reason {
    match unreadable {
        Unreadable::Empty => Reason::Empty,
        Unreadable::NotJson => Reason::NotJson,
        Unreadable::TooDeep => Reason::TooDeep,
        Unreadable::NotObject => Reason::NotAnObject,
        Unreadable::NoTracking => Reason::NoTracking,
    }
}
