//! Which two events are the same one, which two checkpoints are, and which snapshot is the newest.
//!
//! Everything here depends on the bytes alone (and, for AfterShip's repeated sample, on the time of arrival), so
//! that receiving, loading, replaying and rebuilding agree for ever.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::format_instant;

/// SHA-256 of a body as received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BodySha256([u8; 32]);

impl BodySha256 {
    /// Hashes a body.
    pub fn of(body: &[u8]) -> Self {
        BodySha256(Sha256::digest(body).into())
    }

    /// 64 lower-case hex digits, the form in lines and tables.
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Reads the hex form.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(BodySha256(bytes))
    }
}

/// Names an event for ever: two deliveries with the same key are the same event.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventKey(String);

impl EventKey {
    /// The key as text: a UUID in lower case, or 64 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes a key that we wrote before.
    pub fn from_text(text: &str) -> Self {
        EventKey(text.to_owned())
    }
}

/// The key of a webhook event: its `event_id` when that is a UUID (hyphenated, any case), else the body's hash.
///
/// AfterShip's documentation sample carries one fixed `event_id`, so a second press of the test button would count
/// as a repetition of the first. Its key is made of body and arrival instead; a replay keeps the arrival, and so
/// the key.
pub fn event_key(
    event_id: Option<&str>,
    is_test: bool,
    body_sha256: &BodySha256,
    received_at: Timestamp,
) -> EventKey {
    if is_test {
        let mut hash = Sha256::new();
        hash.update(body_sha256.0);
        hash.update(format_instant(received_at));
        return EventKey(hex::encode(hash.finalize()));
    }
    match event_id {
        Some(id) if is_uuid(id) => EventKey(id.to_ascii_lowercase()),
        _ => EventKey(body_sha256.to_hex()),
    }
}

/// The key of a checkpoint: SHA-256 (hex) over what a courier says, each part with its length, so that no two
/// different lists of parts read the same. An absent part differs from an empty one.
///
/// AfterShip's `hash` takes no part: it exists since version 2026-07 only, and an older copy of the same scan must
/// get the same key.
pub fn checkpoint_key(
    tracking_id: &str,
    slug: Option<&str>,
    checkpoint_time: Option<&str>,
    raw_tag: Option<&str>,
    message: Option<&str>,
    location: Option<&str>,
) -> String {
    let mut hash = Sha256::new();
    for part in [Some(tracking_id), slug, checkpoint_time, raw_tag, message, location] {
        match part {
            None => hash.update([0]),
            Some(text) => {
                hash.update([1]);
                hash.update((text.len() as u64).to_be_bytes());
                hash.update(text);
            }
        }
    }
    hex::encode(hash.finalize())
}

/// What orders the snapshots of one tracking: the greatest is the newest; nulls are the lowest.
///
/// The rank of a status takes no part: a parcel really goes from delivered back to exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotOrder<'a> {
    /// AfterShip's record time, whole microseconds.
    pub updated_at: Option<Timestamp>,
    /// The event's own time.
    pub event_at: Option<Timestamp>,
    /// Hex; settles what time cannot (both have a resolution of one second).
    pub body_sha256: &'a str,
}

/// A 64-bit key from a hash of parts, equal in every rebuild.
pub fn surrogate_key(parts: &[&str]) -> i64 {
    let mut hash = Sha256::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            hash.update([0]);
        }
        hash.update(part);
    }
    let digest = hash.finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(first)
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && uuid::Uuid::try_parse(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("instant")
    }

    #[test]
    fn a_uuid_is_the_key_whatever_its_case() {
        let sha = BodySha256::of(b"x");
        let lower =
            event_key(Some("94dadd60-ed26-46d0-aa52-3ced925a50ff"), false, &sha, at("2026-01-01T00:00:00Z"));
        let upper =
            event_key(Some("94DADD60-ED26-46D0-AA52-3CED925A50FF"), false, &sha, at("2026-01-02T00:00:00Z"));

        assert_eq!(lower, upper);
    }

    #[test]
    fn without_a_uuid_the_body_is_the_key() {
        let sha = BodySha256::of(b"x");
        for id in [None, Some(""), Some("evt-1"), Some("{94dadd60-ed26-46d0-aa52-3ced925a50ff}")] {
            assert_eq!(event_key(id, false, &sha, at("2026-01-01T00:00:00Z")).as_str(), sha.to_hex());
        }
    }

    #[test]
    fn a_second_press_of_the_test_button_is_a_second_event() {
        let sha = BodySha256::of(b"x");
        let id = Some("94dadd60-ed26-46d0-aa52-3ced925a50ff");
        let first = event_key(id, true, &sha, at("2026-01-01T00:00:00Z"));
        let second = event_key(id, true, &sha, at("2026-01-01T00:00:01Z"));

        assert_ne!(first, second);
        assert_eq!(first, event_key(id, true, &sha, at("2026-01-01T00:00:00Z")));
    }

    #[test]
    fn checkpoint_keys_do_not_run_parts_together() {
        let key = |slug, message| checkpoint_key("t", slug, None, None, message, None);

        assert_ne!(key(Some("ab"), Some("c")), key(Some("a"), Some("bc")));
        assert_ne!(key(None, Some("")), key(Some(""), None));
    }

    #[test]
    fn newest_is_by_time_then_by_hash_and_nulls_are_lowest() {
        let order = |updated: Option<&str>, event: Option<&str>, sha| SnapshotOrder {
            updated_at: updated.map(at),
            event_at: event.map(at),
            body_sha256: sha,
        };
        let day = Some("2026-01-01T00:00:00Z");
        let next = Some("2026-01-02T00:00:00Z");

        assert!(order(next, None, "a") > order(day, next, "b"));
        assert!(order(day, next, "a") > order(day, day, "b"));
        assert!(order(day, day, "b") > order(day, day, "a"));
        assert!(order(day, None, "a") > order(None, next, "b"));
    }
}
