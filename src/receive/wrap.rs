//! A signed body becomes an event. Pure.

use bytes::Bytes;
use jiff::Timestamp;

use crate::aftership::webhook::{self, Webhook};
use crate::event::{Event, EventKey, line};

/// A body, made ready to be sent.
pub(super) struct Wrapped {
    /// Its line.
    pub(super) line: Vec<u8>,
    /// AfterShip's time of the event, seconds since 1970, if it says one.
    pub(super) ts: Option<i64>,
    /// For the receipts.
    pub(super) event_key: EventKey,
    /// It is our own, and no traffic.
    pub(super) is_canary: bool,
}

/// The line of a body, unchanged, with what we know about its arrival.
///
/// A body that cannot be read is an event too, with its hash as key: it is kept, and becomes a dead letter later.
/// The body is read once, for its id and for its form in the line: reading is the dearest step after the signature.
pub(super) fn wrap(body: Bytes, arrived_at: Timestamp) -> Wrapped {
    match webhook::read_envelope(&body.clone()) {
        Ok(webhook) => {
            let event = event(body, arrived_at, Some(&webhook));
            Wrapped {
                line: line::encode_read(&event, Some(&webhook.doc)),
                // The documentation's sample has a time of its own.
                ts: webhook.ts.filter(|_| !webhook.is_test()),
                event_key: event.event_key,
                is_canary: webhook.is_canary(),
            }
        }
        Err(_) => {
            let event = event(body, arrived_at, None);
            Wrapped { line: line::encode(&event), ts: None, event_key: event.event_key, is_canary: false }
        }
    }
}

fn event(body: Bytes, arrived_at: Timestamp, webhook: Option<&Webhook<'_>>) -> Event {
    let event_id = webhook.and_then(|webhook| webhook.event_id.clone());
    Event::received(body, event_id, webhook.is_some_and(Webhook::is_test), arrived_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Source;

    const ID: &str = "94dadd60-ed26-46d0-aa52-3ced925a50ff";

    fn wrapped(body: &str) -> Event {
        let arrived_at = "2026-07-09T12:00:00.123456789Z".parse().expect("an instant");
        line::decode(&wrap(Bytes::copy_from_slice(body.as_bytes()), arrived_at).line).expect("own line")
    }

    #[test]
    fn an_event_keeps_its_bytes_and_its_id() {
        let body = format!("{{ \"event_id\":\"{ID}\", \"msg\":{{\"id\":\"t1\"}} }}\n");
        let event = wrapped(&body);

        assert_eq!(event.body, body.as_bytes());
        assert_eq!(event.event_key.as_str(), ID);
        assert_eq!(event.event_id.as_deref(), Some(ID));
        assert_eq!(event.source, Source::Webhook);
        assert_eq!(event.received_at.to_string(), "2026-07-09T12:00:00.123456Z");
    }

    #[test]
    fn a_body_that_cannot_be_read_is_known_by_its_hash() {
        for body in ["", "not json", "[]", "{\"event_id\":1}"] {
            let event = wrapped(body);

            assert_eq!(event.event_key.as_str(), event.body_sha256.to_hex(), "{body:?}");
            assert_eq!(event.event_id, None);
        }
    }

    #[test]
    fn the_key_for_the_receipt_is_that_of_the_line() {
        let arrived_at = "2026-07-09T12:00:00Z".parse().expect("an instant");
        let read = format!(r#"{{"event_id":"{}","msg":{{"id":"t1"}}}}"#, ID.to_uppercase());
        for body in [read.as_str(), "not json", ""] {
            let wrapped = wrap(Bytes::copy_from_slice(body.as_bytes()), arrived_at);

            let event = line::decode(&wrapped.line).expect("own line");
            assert_eq!(wrapped.event_key, event.event_key, "{body:?}");
        }
    }

    #[test]
    fn a_sample_sent_again_is_another_event() {
        let body = format!(r#"{{"event_id":"{ID}","msg":{{"id":"{}"}}}}"#, "0".repeat(32));
        let later = "2026-07-09T12:00:01Z".parse().expect("an instant");

        let again = line::decode(&wrap(Bytes::from(body.clone()), later).line).expect("own line");
        assert_ne!(wrapped(&body).event_key, again.event_key);
    }
}
