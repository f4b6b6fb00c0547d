//! A canary: an update of no parcel, which we send ourselves to see how long it takes through everything.
//!
//! It looks like AfterShip's in every way but its id, by which all stages know it: it is `is_test`, and so in no count and
//! no mart. Pure.

use jiff::Timestamp;
use serde_json::json;

/// Ids of trackings that begin so are canaries. AfterShip's own ids are 32 hex digits.
pub const ID_PREFIX: &str = "waybill-canary-";

/// The body of a canary's update, compact JSON.
///
/// `name`: of who sends it, so that several do not take each other's for theirs; `event_id`: a UUID; `at`: now, in whole
/// microseconds, which becomes its `updated_at`.
pub fn body(name: &str, event_id: &str, at: Timestamp) -> Vec<u8> {
    let tracking_id = format!("{ID_PREFIX}{name}");
    json!({
        "event": "tracking_update",
        "event_id": event_id,
        "is_tracking_first_tag": false,
        "ts": at.as_second(),
        "msg": {
            "id": tracking_id,
            "tracking_number": tracking_id,
            "slug": "waybill",
            "tag": "InTransit",
            "subtag": "InTransit_001",
            "created_at": crate::event::format_instant(at),
            "updated_at": crate::event::format_instant(at),
            "active": true,
            "checkpoints": [],
        },
    })
    .to_string()
    .into_bytes()
}

/// Is this the id of a canary?
pub fn is_canary(tracking_id: &str) -> bool {
    tracking_id.starts_with(ID_PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aftership::{tracking, webhook};

    #[test]
    fn a_canary_reads_as_a_test_with_its_instant() {
        let at = "2026-07-09T12:00:00.123456Z".parse().expect("an instant");

        let body = body("a1", "94dadd60-ed26-46d0-aa52-3ced925a50fe", at);
        let webhook = webhook::read(&body).expect("readable");
        let read = tracking::read(&webhook);

        assert!(webhook.is_test() && read.is_test);
        assert_eq!(read.id, "waybill-canary-a1");
        assert_eq!(read.updated_at, Some(at));
    }

    #[test]
    fn a_parcel_is_no_canary() {
        assert!(is_canary("waybill-canary-x"));
        assert!(!is_canary("0b02015fc7fd4f3c8d5490cece4d124d") && !is_canary("waybill"));
    }
}
