//! A signed body becomes an event. Pure.

use bytes::Bytes;
use jiff::Timestamp;

use crate::aftership::webhook;
use crate::event::{BodySha256, Event, Source, identity, truncate_to_micros};

/// Wraps a body, unchanged, with what we know about its arrival.
///
/// A body that cannot be read is an event too, with its hash as key: it is kept, and becomes a dead letter later.
pub(super) fn wrap(body: Bytes, arrived_at: Timestamp) -> Event {
    let received_at = truncate_to_micros(arrived_at);
    let body_sha256 = BodySha256::of(&body);
    let (event_id, is_test) = match webhook::read(&body) {
        Ok(webhook) => {
            let is_test = webhook.is_test();
            (webhook.event_id, is_test)
        }
        Err(_) => (None, false),
    };
    Event {
        event_key: identity::event_key(event_id.as_deref(), is_test, &body_sha256, received_at),
        event_id,
        source: Source::Webhook,
        received_at,
        replay_id: None,
        body_sha256,
        body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "94dadd60-ed26-46d0-aa52-3ced925a50ff";

    fn wrapped(body: &str) -> Event {
        let arrived_at = "2026-07-09T12:00:00.123456789Z".parse().expect("an instant");
        wrap(Bytes::copy_from_slice(body.as_bytes()), arrived_at)
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
    fn a_sample_sent_again_is_another_event() {
        let body = format!(r#"{{"event_id":"{ID}","msg":{{"id":"{}"}}}}"#, "0".repeat(32));
        let later = "2026-07-09T12:00:01Z".parse().expect("an instant");

        assert_ne!(wrapped(&body).event_key, wrap(Bytes::from(body), later).event_key);
    }
}
