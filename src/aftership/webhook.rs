//! The envelope of a webhook body: which event, when, and the tracking it carries.
//!
//! Decides what is an event at all: a JSON object whose `msg` is an object with an `id`, or with a `slug` and a
//! `tracking_number`. Everything else about a body may be missing or odd; an unknown event code is an event. All
//! stages ask here, so that what was queued can be loaded.

use super::canary;
use crate::event::json::{self, Document, Json, JsonError};

/// Shortest all-zero id that marks a sample; a customer may call a tracking `0`.
const ZEROS_MIN: usize = 24;

static NULL: Json<'static> = Json::Null;

/// A readable webhook body.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook<'a> {
    /// AfterShip's event code, an open set.
    pub event: Option<String>,
    /// AfterShip's id of the event.
    pub event_id: Option<String>,
    /// AfterShip's time of the event, seconds since 1970, unchecked.
    pub ts: Option<i64>,
    /// The whole body.
    pub doc: Document<'a>,
}

/// Why a body is no event. Kept as a dead letter: AfterShip would only repeat it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unreadable {
    /// No bytes, or white space only.
    #[error("the body is empty")]
    Empty,
    /// Not UTF-8, or not JSON.
    #[error("the body is not JSON")]
    NotJson,
    /// Nested deeper than we read.
    #[error("the body is nested deeper than {} levels", json::DEPTH_MAX)]
    TooDeep,
    /// JSON, but no object.
    #[error("the body is not a JSON object")]
    NotObject,
    /// No `msg` that names a tracking.
    #[error("the body has no msg with an id, or with a slug and a tracking_number")]
    NoTracking,
}

impl Unreadable {
    /// The reason's word, as in dead letters and rejected rows.
    pub fn reason(self) -> &'static str {
        match self {
            Unreadable::Empty => "empty",
            Unreadable::NotJson => "not_json",
            Unreadable::TooDeep => "too_deep",
            Unreadable::NotObject => "not_an_object",
            Unreadable::NoTracking => "no_tracking",
        }
    }
}

/// Levels of a body that hold all that makes an event: the envelope, and the members of `msg`.
const ENVELOPE_LEVELS: usize = 2;

/// Reads a body.
pub fn read(body: &[u8]) -> Result<Webhook<'_>, Unreadable> {
    read_levels(body, json::DEPTH_MAX)
}

/// Reads a body and keeps its envelope only: objects and arrays inside `msg` are checked and left empty.
pub fn read_envelope(body: &[u8]) -> Result<Webhook<'_>, Unreadable> {
    read_levels(body, ENVELOPE_LEVELS)
}

fn read_levels(body: &[u8], levels: usize) -> Result<Webhook<'_>, Unreadable> {
    if body.trim_ascii().is_empty() {
        return Err(Unreadable::Empty);
    }
    let doc = json::parse_levels(body, levels).map_err(|error| match error {
        JsonError::TooDeep => Unreadable::TooDeep,
        JsonError::NotUtf8 | JsonError::Syntax { .. } => Unreadable::NotJson,
    })?;
    if doc.root.as_object().is_none() {
        return Err(Unreadable::NotObject);
    }
    let webhook = Webhook {
        event: doc.root.get("event").and_then(text),
        event_id: doc.root.get("event_id").and_then(text),
        ts: doc.root.get("ts").and_then(whole_number),
        doc,
    };
    match identify(webhook.msg()) {
        Some(_) => Ok(webhook),
        None => Err(Unreadable::NoTracking),
    }
}

/// AfterShip's event code of a body that may be no event otherwise.
pub fn event_code(body: &[u8]) -> Option<String> {
    let doc = json::parse_levels(body, 1).ok()?;
    doc.root.get("event").and_then(text)
}

impl<'a> Webhook<'a> {
    /// The tracking as AfterShip sent it.
    pub fn msg(&self) -> &Json<'a> {
        self.doc.root.get("msg").unwrap_or(&NULL)
    }

    /// The tracking's id; without one `slug/tracking_number`.
    pub fn tracking_id(&self) -> String {
        identify(self.msg()).unwrap_or_default()
    }

    /// Is this no parcel: the sample of AfterShip's documentation, whose id is all zeros, or a canary of our own?
    pub fn is_test(&self) -> bool {
        let id = self.msg().get("id").and_then(Json::as_str);
        id.is_some_and(|id| id.len() >= ZEROS_MIN && id.bytes().all(|byte| byte == b'0')) || self.is_canary()
    }

    /// Is it a canary of our own?
    pub fn is_canary(&self) -> bool {
        self.msg().get("id").and_then(Json::as_str).is_some_and(canary::is_canary)
    }
}

fn identify(msg: &Json<'_>) -> Option<String> {
    msg.get("id").and_then(text).or_else(|| {
        let slug = msg.get("slug").and_then(text)?;
        let tracking_number = msg.get("tracking_number").and_then(text)?;
        Some(format!("{slug}/{tracking_number}"))
    })
}

/// A value as text; a number or a boolean as it was written. Nothing for an empty text, an array, an object.
pub(super) fn text(value: &Json<'_>) -> Option<String> {
    match value {
        Json::String(text) if !text.is_empty() => Some(text.to_string()),
        Json::Number(digits) => Some((*digits).to_owned()),
        Json::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// A whole number, also one written as text.
pub(super) fn whole_number(value: &Json<'_>) -> Option<i64> {
    match value {
        Json::String(text) => text.trim().parse().ok(),
        _ => value.as_i64(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reason(body: &[u8]) -> Option<&'static str> {
        read(body).err().map(Unreadable::reason)
    }

    #[test]
    fn the_envelope_is_read() {
        let body = br#"{"event_id":"94dadd60-ed26-46d0-aa52-3ced925a50ff","event":"tracking_update","is_tracking_first_tag":true,"msg":{"id":"t1","tag":"InTransit"},"ts":1712741696}"#;
        let webhook = read(body).expect("readable");

        assert_eq!(webhook.event.as_deref(), Some("tracking_update"));
        assert_eq!(webhook.event_id.as_deref(), Some("94dadd60-ed26-46d0-aa52-3ced925a50ff"));
        assert_eq!(webhook.ts, Some(1_712_741_696));
        assert_eq!(webhook.tracking_id(), "t1");
        assert_eq!(webhook.msg().get("tag").and_then(Json::as_str), Some("InTransit"));
        assert!(!webhook.is_test());
    }

    #[test]
    fn the_code_is_read_of_what_is_no_event() {
        assert_eq!(event_code(br#"{"event":"edd_revise","msg":{}}"#).as_deref(), Some("edd_revise"));
        for body in [&b""[..], b"[]", b"{\"event\":{}}", b"{\"event\":\"x\""] {
            assert_eq!(event_code(body), None);
        }
    }

    #[test]
    fn what_is_no_event_says_why() {
        let deep = format!(r#"{{"msg":{{"id":"t1","x":{}{}}}}}"#, "[".repeat(63), "]".repeat(63));
        for (body, expected) in [
            ("", "empty"),
            (" \r\n", "empty"),
            ("not json", "not_json"),
            (r#"{"msg":{"id":"t1"}"#, "not_json"),
            ("\u{feff}{}", "not_json"),
            (deep.as_str(), "too_deep"),
            ("[]", "not_an_object"),
            ("null", "not_an_object"),
            ("{}", "no_tracking"),
            (r#"{"event":"tracking_pending_time","ts":1712741800}"#, "no_tracking"),
            (r#"{"msg":null}"#, "no_tracking"),
            (r#"{"msg":[{"id":"t1"}]}"#, "no_tracking"),
            (r#"{"msg":{"id":"","slug":"ups"}}"#, "no_tracking"),
            (r#"{"msg":{"id":{},"tracking_number":"1Z"}}"#, "no_tracking"),
        ] {
            assert_eq!(reason(body.as_bytes()), Some(expected), "{body:?}");
        }
        assert_eq!(reason(b"{\"msg\":{\"id\":\"\xff\"}}"), Some("not_json"));
    }

    #[test]
    fn odd_bodies_that_name_a_tracking_are_events() {
        for (body, id) in [
            (r#"{"event":"from_the_future","msg":{"id":"t1"}}"#, "t1"),
            (r#"{"event":7,"ts":"soon","msg":{"id":12}}"#, "12"),
            (r#"{"msg":{"id":null,"slug":"ups","tracking_number":"1Z"}}"#, "ups/1Z"),
            (r#"{"msg":{"slug":"ups","tracking_number":123}}"#, "ups/123"),
            (r#"{"msg":{"id":"t1","title":"\ud800"}}"#, "t1"),
            ("{\n\"msg\":{\"id\":\"t1\"}\n}\n", "t1"),
            (r#"{"msg":{"id":"t1"},"msg":{"id":"t2"}}"#, "t2"),
        ] {
            assert_eq!(read(body.as_bytes()).expect(body).tracking_id(), id);
        }
    }

    #[test]
    fn the_documentations_sample_is_a_test() {
        let is_test =
            |id: &str| read(format!(r#"{{"msg":{{"id":"{id}"}}}}"#).as_bytes()).expect("readable").is_test();

        assert!(is_test(&"0".repeat(32)));
        assert!(is_test(&"0".repeat(24)));
        assert!(!is_test("0"));
        assert!(!is_test(&format!("{}1", "0".repeat(31))));
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }

        #[test]
        fn the_envelope_alone_says_the_same(
            id in prop::sample::select(vec![r#""t1""#, "12", "null", "{}", "[\"t\"]", "\"\"", "true", "{\"id\":\"x\"}"]),
            more in r#"[\[\]{}",:0-9a-c ]{0,12}"#,
        ) {
            let body = format!(
                r#"{{"event_id":"e","event":"tracking_update","ts":7,"msg":{{"id":{id},"slug":"ups","more":[{more}]}}}}"#
            );
            match (read(body.as_bytes()), read_envelope(body.as_bytes())) {
                (Ok(all), Ok(envelope)) => {
                    prop_assert_eq!(&envelope.event_id, &all.event_id);
                    prop_assert_eq!(&envelope.event, &all.event);
                    prop_assert_eq!(envelope.ts, all.ts);
                    prop_assert_eq!(envelope.tracking_id(), all.tracking_id());
                    prop_assert_eq!(envelope.is_test(), all.is_test());
                }
                (all, envelope) => prop_assert_eq!(envelope.err(), all.err()),
            }
        }
    }
}
