//! What could not become an event: its original bytes and why, for ever, with a mark once somebody dealt with it.

use std::collections::HashMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tracing::warn;

use crate::event::{self, format_instant};
use crate::failpoint::failpoint;

use super::{Lake, LakeError, Put, layout, list_all};

/// Letters read at once.
const READS: usize = 16;

/// Why a message became a dead letter: a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The body has no bytes.
    Empty,
    /// The body is not JSON.
    NotJson,
    /// The body is nested too deep.
    TooDeep,
    /// The body is JSON, but no object.
    NotAnObject,
    /// The body holds no tracking.
    NoTracking,
    /// The queue message is not one of ours.
    BadMessage,
    /// SQS itself had set the message aside.
    Redriven,
    /// It kept failing.
    GaveUp,
}

impl Reason {
    /// All of them.
    pub const ALL: [Reason; 8] = [
        Reason::Empty,
        Reason::NotJson,
        Reason::TooDeep,
        Reason::NotAnObject,
        Reason::NoTracking,
        Reason::BadMessage,
        Reason::Redriven,
        Reason::GaveUp,
    ];

    /// The word used in letters, filters and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Empty => "empty",
            Reason::NotJson => "not_json",
            Reason::TooDeep => "too_deep",
            Reason::NotAnObject => "not_an_object",
            Reason::NoTracking => "no_tracking",
            Reason::BadMessage => "bad_message",
            Reason::Redriven => "redriven",
            Reason::GaveUp => "gave_up",
        }
    }
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Version of the format, 1.
    pub v: u32,
    /// 32 hex digits, see [`DeadLetter::id_of`].
    pub id: String,
    /// Why.
    pub reason: Reason,
    /// More about it.
    pub detail: Option<String>,
    /// AfterShip's event code, when it could be read.
    pub event: Option<String>,
    /// The event's key, when the message was one of ours.
    pub event_key: Option<String>,
    /// `webhook` or `api`, when the message was one of ours.
    pub source: Option<String>,
    /// When the event was received, or the message sent.
    #[serde(with = "crate::event::instant_text")]
    pub received_at: Timestamp,
    /// When it was set aside.
    #[serde(with = "crate::event::instant_text")]
    pub dead_at: Timestamp,
    /// How often it had been delivered by then.
    pub attempts: u32,
    /// The replay that sent it, if one did.
    pub replay_id: Option<String>,
    /// Hex, of the original bytes.
    pub body_sha256: String,
    /// The original bytes: AfterShip's body, or for `bad_message` the queue message.
    pub body_base64: String,
}

impl DeadLetter {
    /// The id of the letter for a queue message: a crash repeats the message and so the id; a replay that fails
    /// again makes another message and so another letter.
    pub fn id_of(message: &[u8]) -> String {
        hex::encode(&Sha256::digest(message)[..16])
    }

    /// The original bytes.
    pub fn body(&self) -> Result<Vec<u8>, LakeError> {
        BASE64_STANDARD
            .decode(&self.body_base64)
            .map_err(|_| LakeError::Refused(format!("dead letter {} has a damaged body", self.id)))
    }

    fn key(&self) -> String {
        layout::dead_letter_key(self.received_at, &self.id)
    }
}

/// What was done about a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// Sent to the queue again.
    Replayed,
    /// Not wanted.
    Dropped,
    /// It was about somebody who is erased; nothing of it is left.
    Erased,
}

impl How {
    /// The word shown to people.
    pub fn as_str(self) -> &'static str {
        match self {
            How::Replayed => "replayed",
            How::Dropped => "dropped",
            How::Erased => "erased",
        }
    }
}

/// The mark that a letter was dealt with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// What was done.
    pub how: How,
    /// When.
    #[serde(with = "crate::event::instant_text")]
    pub at: Timestamp,
    /// Ties it to the audit record.
    pub replay_id: Option<String>,
    /// Why, in the operator's words.
    pub reason: Option<String>,
}

impl Closed {
    /// Sent again.
    pub fn replayed(at: Timestamp, replay_id: &str, reason: Option<String>) -> Self {
        Closed { how: How::Replayed, at, replay_id: Some(replay_id.to_owned()), reason }
    }

    /// Not wanted.
    pub fn dropped(at: Timestamp, reason: Option<String>) -> Self {
        Closed { how: How::Dropped, at, replay_id: None, reason }
    }

    /// Nothing of it is left.
    pub fn erased(at: Timestamp) -> Self {
        Closed { how: How::Erased, at, replay_id: None, reason: None }
    }
}

/// A letter in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The letter.
    pub letter: DeadLetter,
    /// What was done about it, if anything.
    pub closed: Option<Closed>,
}

impl Listed {
    /// `open`, or what was done about it.
    pub fn state(&self) -> &'static str {
        self.closed.as_ref().map_or("open", |closed| closed.how.as_str())
    }

    /// For people and programs: everything but its bytes, which may hold personal data.
    pub fn summary(&self) -> Value {
        let letter = &self.letter;
        json!({
            "id": letter.id,
            "reason": letter.reason.as_str(),
            "detail": letter.detail,
            "event": letter.event,
            "event_key": letter.event_key,
            "source": letter.source,
            "received_at": format_instant(letter.received_at),
            "dead_at": format_instant(letter.dead_at),
            "attempts": letter.attempts,
            "replay_id": letter.replay_id,
            "body_sha256": letter.body_sha256,
            "body_bytes": letter.body().map_or(0, |body| body.len()),
            "state": self.state(),
        })
    }
}

/// Which letters; all conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The letter's id.
    pub id: Option<String>,
    /// The reason's word.
    pub reason: Option<String>,
    /// AfterShip's event code.
    pub event: Option<String>,
    /// Received at or after.
    pub since: Option<Timestamp>,
}

/// A condition that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Not `key=value`.
    #[error("`{0}` is no condition: write key=value, with one of id, reason, event, since as key")]
    Form(String),
    /// No such key.
    #[error("`{0}` is no key: use one of id, reason, event, since")]
    Key(String),
    /// No such reason.
    #[error("`{0}` is no reason: use one of {1}")]
    Reason(String, String),
    /// No point in time.
    #[error(
        "`{0}` is no time: write an instant (2026-07-09T12:00:00Z), a day (2026-07-09), or a time back (2h, 3d)"
    )]
    Since(String),
}

impl Filter {
    /// Reads conditions such as `reason=not_json` and `since=2h` (before `now`).
    pub fn parse(conditions: &[String], now: Timestamp) -> Result<Filter, FilterError> {
        let mut filter = Filter::default();
        for condition in conditions {
            let (key, value) =
                condition.split_once('=').ok_or_else(|| FilterError::Form(condition.clone()))?;
            match key {
                "id" => filter.id = Some(value.to_owned()),
                "reason" => {
                    let is_known = Reason::ALL.iter().any(|reason| reason.as_str() == value);
                    filter.reason = Some(is_known.then(|| value.to_owned()).ok_or_else(|| {
                        FilterError::Reason(value.to_owned(), Reason::ALL.map(Reason::as_str).join(", "))
                    })?);
                }
                "event" => filter.event = Some(value.to_owned()),
                "since" => {
                    filter.since =
                        Some(event::since(value, now).ok_or_else(|| FilterError::Since(value.to_owned()))?)
                }
                _ => return Err(FilterError::Key(key.to_owned())),
            }
        }
        Ok(filter)
    }

    fn takes(&self, letter: &DeadLetter) -> bool {
        self.id.as_ref().is_none_or(|id| *id == letter.id)
            && self.reason.as_ref().is_none_or(|reason| reason == letter.reason.as_str())
            && self.event.as_ref().is_none_or(|event| letter.event.as_ref() == Some(event))
            && self.since.is_none_or(|since| letter.received_at >= since)
    }
}

impl std::fmt::Display for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let since = self.since.map(|since| since.to_string());
        let conditions =
            [("id", &self.id), ("reason", &self.reason), ("event", &self.event), ("since", &since)];
        let mut is_first = true;
        for (key, value) in conditions {
            if let Some(value) = value {
                write!(f, "{}{key}={value}", if is_first { "" } else { " " })?;
                is_first = false;
            }
        }
        Ok(())
    }
}

/// Stores a letter; the same letter again changes nothing.
pub async fn put(lake: &dyn Lake, letter: &DeadLetter) -> Result<Put, LakeError> {
    let body = serde_json::to_vec(letter).expect("a letter always has a JSON form");
    lake.put_new(&letter.key(), Bytes::from(body)).await
}

/// The letters that a filter takes: open ones, or with `all` those dealt with too.
pub async fn list(lake: &dyn Lake, filter: &Filter, all: bool) -> Result<Vec<Listed>, LakeError> {
    let after = |prefix: &str| filter.since.map(|since| format!("{prefix}{}", since.strftime("dt=%Y-%m-%d")));
    let letters = list_all(lake, layout::DEAD_LETTERS, after(layout::DEAD_LETTERS).as_deref()).await?;
    let marks = list_all(lake, layout::CLOSED, after(layout::CLOSED).as_deref()).await?;
    let mut marks: HashMap<String, String> =
        marks.into_iter().map(|mark| (name_of(&mark.key).to_owned(), mark.key)).collect();
    let wanted = letters.into_iter().filter_map(|object| {
        let name = name_of(&object.key).to_owned();
        let mark = marks.remove(&name);
        let is_named = filter.id.as_ref().is_none_or(|id| name == format!("{id}.json"));
        (is_named && (all || mark.is_none())).then_some((object.key, mark))
    });
    stream::iter(wanted.collect::<Vec<_>>())
        .map(|(key, mark)| async move {
            let Some(letter) = read::<DeadLetter>(lake, &key).await? else { return Ok(None) };
            let closed = match mark {
                Some(mark) => read(lake, &mark).await?,
                None => None,
            };
            Ok(Some(Listed { letter, closed }))
        })
        .buffered(READS)
        .try_filter_map(|listed| std::future::ready(Ok(listed)))
        .try_filter(|listed| std::future::ready(filter.takes(&listed.letter)))
        .try_collect()
        .await
}

/// Takes the body out of a letter, and says so with a mark first, so that nobody sends it again meanwhile.
pub async fn erase(lake: &dyn Lake, letter: &DeadLetter, at: Timestamp) -> Result<(), LakeError> {
    close(lake, letter, &Closed::erased(at)).await?;
    failpoint!("forget.after_letter_mark");
    let detail = Some("its person was erased".to_owned());
    let left = DeadLetter { detail, body_base64: String::new(), ..letter.clone() };
    let body = serde_json::to_vec(&left).expect("a letter always has a JSON form");
    lake.replace(&letter.key(), Bytes::from(body)).await
}

/// Marks a letter as dealt with; the first mark stays.
pub async fn close(lake: &dyn Lake, letter: &DeadLetter, closed: &Closed) -> Result<Put, LakeError> {
    let body = serde_json::to_vec(closed).expect("a mark always has a JSON form");
    lake.put_new(&layout::closed_key(letter.received_at, &letter.id), Bytes::from(body)).await
}

/// One file that is damaged must not hide all others.
async fn read<T: for<'de> Deserialize<'de>>(lake: &dyn Lake, key: &str) -> Result<Option<T>, LakeError> {
    let body = lake.get(key).await?;
    match serde_json::from_slice(&body) {
        Ok(found) => Ok(Some(found)),
        Err(error) => {
            warn!(path = key, %error, "cannot read a dead letter or its mark, it is left out");
            Ok(None)
        }
    }
}

fn name_of(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(conditions: &[&str]) -> Result<Filter, FilterError> {
        let conditions: Vec<String> = conditions.iter().map(|text| (*text).to_owned()).collect();
        Filter::parse(&conditions, "2026-07-09T12:00:00Z".parse().expect("instant"))
    }

    #[test]
    fn conditions_are_read() {
        let filter = parse(&["reason=not_json", "since=2h"]).expect("good");
        assert_eq!(filter.reason.as_deref(), Some("not_json"));
        assert_eq!(filter.since, Some("2026-07-09T10:00:00Z".parse().expect("instant")));
        assert_eq!(
            parse(&["since=2026-07-01"]).expect("good").since,
            Some("2026-07-01T00:00:00Z".parse().expect("instant"))
        );
    }

    #[test]
    fn wrong_conditions_name_what_is_allowed() {
        for (conditions, word) in
            [(["reason"], "key=value"), (["colour=red"], "reason"), (["since=soon"], "2h")]
        {
            let error = parse(&conditions).expect_err("wrong").to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn a_message_has_one_id_and_another_message_another() {
        assert_eq!(DeadLetter::id_of(b"x"), DeadLetter::id_of(b"x"));
        assert_ne!(DeadLetter::id_of(b"x"), DeadLetter::id_of(b"y"));
        assert_eq!(DeadLetter::id_of(b"x").len(), 32);
    }
}
