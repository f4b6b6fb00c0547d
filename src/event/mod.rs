//! What travels: one AfterShip update, its bytes unchanged, with what we know about its arrival.
//!
//! Pure: no clock, no randomness, no I/O. Time comes in as an argument.
//!
//! - [`identity`]: which two events are the same one, and which snapshot is the newest.
//! - [`json`]: the strict JSON reader that every stage shares, so that no two stages disagree about a body.
//! - [`line`]: an event as one line of a lake object and as one queue message, and back.

pub mod identity;
pub mod json;
pub mod line;

use bytes::Bytes;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

pub use identity::{BodySha256, EventKey};

/// How an event reached us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// AfterShip called us.
    Webhook,
    /// We asked AfterShip's REST API.
    Api,
}

impl Source {
    /// The word used in lines, tables and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Webhook => "webhook",
            Source::Api => "api",
        }
    }
}

/// What was done to the personal data in a body before it came to rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Redacted {
    /// Keyed hashes stand in its place.
    Hash,
    /// `null` stands in its place.
    Drop,
    /// Its person was erased: `null` also in place of what couriers wrote.
    Erased,
    /// A word of a newer program.
    Other,
}

impl Redacted {
    /// The word used in lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Redacted::Hash => "hash",
            Redacted::Drop => "drop",
            Redacted::Erased => "erased",
            Redacted::Other => "other",
        }
    }

    /// The word read back; one that nobody knows yet is [`Redacted::Other`].
    pub fn from_word(word: &str) -> Redacted {
        [Redacted::Hash, Redacted::Drop, Redacted::Erased]
            .into_iter()
            .find(|known| known.as_str() == word)
            .unwrap_or(Redacted::Other)
    }
}

/// One update of one tracking, as received.
///
/// `received_at` is a UTC instant in whole microseconds ([`truncate_to_micros`]), the resolution that lines and
/// warehouses keep. `body` is exactly what AfterShip sent, unless `redacted` says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Same key, same event: see [`identity`].
    pub event_key: EventKey,
    /// AfterShip's own id, as it was written, when the body has one.
    pub event_id: Option<String>,
    /// Webhook or API.
    pub source: Source,
    /// When we received it; a replay keeps it.
    pub received_at: Timestamp,
    /// The replay that sent it again, if one did.
    pub replay_id: Option<String>,
    /// SHA-256 of the body as received; of `body` itself unless that is `redacted`.
    pub body_sha256: BodySha256,
    /// What was done to the personal data in `body`; `None`: it is as received.
    pub redacted: Option<Redacted>,
    /// The bytes as received, or what is left of them.
    pub body: Bytes,
}

impl Event {
    /// The event of a snapshot that we asked AfterShip's REST API for. `key`: of what it says
    /// ([`crate::aftership::api::content_key`]), not of its bytes, so that the same state asked for twice is one event.
    pub fn polled(body: Bytes, key: EventKey, received_at: Timestamp) -> Event {
        Event {
            event_key: key,
            event_id: None,
            source: Source::Api,
            received_at: truncate_to_micros(received_at),
            replay_id: None,
            body_sha256: BodySha256::of(&body),
            redacted: None,
            body,
        }
    }

    /// The event of a webhook's body. `event_id` and `is_test`: what the body says of itself, if it can be read.
    pub fn received(body: Bytes, event_id: Option<String>, is_test: bool, received_at: Timestamp) -> Event {
        let received_at = truncate_to_micros(received_at);
        let body_sha256 = BodySha256::of(&body);
        Event {
            event_key: identity::event_key(event_id.as_deref(), is_test, &body_sha256, received_at),
            event_id,
            source: Source::Webhook,
            received_at,
            replay_id: None,
            body_sha256,
            redacted: None,
            body,
        }
    }

    /// The same event with less in its body. Key, arrival and the hash of what was received stay: it is the same
    /// event in every order and count.
    pub fn with_body(self, body: Bytes, how: Redacted) -> Event {
        Event { redacted: Some(how), body, ..self }
    }
}

/// Cuts an instant to whole microseconds (towards the past), so that an instant survives every place unchanged.
pub fn truncate_to_micros(instant: Timestamp) -> Timestamp {
    let micros = instant.as_nanosecond().div_euclid(1_000);
    Timestamp::from_nanosecond(micros * 1_000).unwrap_or(Timestamp::MIN)
}

/// The UTC minute of an instant.
pub fn minute_of(instant: Timestamp) -> Timestamp {
    let seconds = instant.as_nanosecond().div_euclid(60_000_000_000) * 60;
    i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok()).unwrap_or(instant)
}

/// Is this an instant that somebody meant, and that every warehouse can hold? The years 1900 to 9998: what is before
/// is other programs' zero (0001-01-01, 1899-12-30), what is after their "never".
pub fn is_plausible(instant: Timestamp) -> bool {
    const FROM: i64 = -2_208_988_800;
    const UNTIL: i64 = 253_370_764_800;
    (FROM..UNTIL).contains(&instant.as_second())
}

/// An instant as we write it everywhere: `2026-07-09T12:00:00.000000Z`, always six decimals.
pub fn format_instant(instant: Timestamp) -> String {
    instant.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// An instant as people ask for it: `2h` or `3d` before `now`, a UTC day, or an instant.
pub fn since(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(instant);
    }
    if let Ok(day) = text.parse::<Date>() {
        return TimeZone::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok();
    }
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let number: i64 = text[..text.len() - 1].parse().ok()?;
    now.checked_sub(SignedDuration::from_secs(number.checked_mul(unit)?)).ok()
}

/// Instants in JSON as [`format_instant`] writes them; for `#[serde(with = "…")]`.
pub(crate) mod instant_text {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(instant: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::format_instant(*instant))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(super::truncate_to_micros).map_err(de::Error::custom)
    }
}
