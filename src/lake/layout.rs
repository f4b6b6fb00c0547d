//! Where things are in the lake: the only code that knows a path. Pure.
//!
//! Keys are relative to the lake's root. All times are UTC; folder names sort as their times do.

use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Events, by the minute of their arrival.
pub const EVENTS: &str = "events/";
/// Manifests, by the minute of their writing.
pub const MANIFESTS: &str = "manifests/";
/// Dead letters, by the day of their arrival.
pub const DEAD_LETTERS: &str = "dead-letters/";
/// Marks of dead letters that were replayed or dropped, by the day of their arrival.
pub const CLOSED: &str = "audit/dead-letters/";

/// What a receiver or a poll took in a minute, by that minute.
pub const RECEIPTS: &str = "receipts/";
/// Who writes receipts: one object for each process that began, and one when it ended.
pub const RECEIVERS: &str = "receivers/";
/// How far a poll has come.
pub const POLL_STATE: &str = "state/poll.json";

/// Who is erased: keyed hashes of people and trackings.
pub const SUPPRESSED: &str = "suppressed/";
/// Ends the name of a mark in there that an erasure is over.
const OVER: &str = "-over.json";

/// What an object of events is packed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// `.jsonl.zst`
    Zstd,
    /// `.jsonl.gz`
    Gzip,
    /// `.jsonl`
    None,
}

impl Compression {
    fn extension(self) -> &'static str {
        match self {
            Compression::Zstd => ".jsonl.zst",
            Compression::Gzip => ".jsonl.gz",
            Compression::None => ".jsonl",
        }
    }
}

/// Not the name of a compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be zstd, gzip or none")]
pub struct UnknownCompression;

impl FromStr for Compression {
    type Err = UnknownCompression;

    fn from_str(text: &str) -> Result<Self, UnknownCompression> {
        match text {
            "zstd" => Ok(Compression::Zstd),
            "gzip" => Ok(Compression::Gzip),
            "none" => Ok(Compression::None),
            _ => Err(UnknownCompression),
        }
    }
}

/// An object of events that arrived in this minute.
pub fn events_key(minute: Timestamp, content_hash: &str, compression: Compression) -> String {
    format!("{EVENTS}{}{content_hash}{}", minute_folder(minute), compression.extension())
}

/// Is this the key of an object of events?
pub fn is_events_key(key: &str) -> bool {
    let name = key.rsplit('/').next().unwrap_or(key);
    key.starts_with(EVENTS)
        && key.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && compression_of(key).is_some()
        && !name.starts_with('.')
        && !name.starts_with('_')
}

/// What an object is packed with, by its name.
pub fn compression_of(key: &str) -> Option<Compression> {
    [Compression::Zstd, Compression::Gzip, Compression::None]
        .into_iter()
        .find(|compression| key.ends_with(compression.extension()))
}

/// A manifest written at this instant.
pub fn manifest_key(written_at: Timestamp, hash: &str) -> String {
    format!("{MANIFESTS}{}{}-{hash}.json", minute_folder(written_at), compact(written_at))
}

/// When a manifest was written, by its name.
pub fn manifest_written_at(key: &str) -> Option<Timestamp> {
    let name = key.strip_prefix(MANIFESTS)?.rsplit('/').next()?;
    let text = name.split('-').next()?;
    let time = DateTime::strptime("%Y%m%dT%H%M%S%fZ", text).ok()?;
    TimeZone::UTC.to_timestamp(time).ok()
}

/// A listing of manifests behind this key has all that were written at or after the instant.
pub fn manifests_after(instant: Timestamp) -> String {
    format!("{MANIFESTS}{}{}", minute_folder(instant), compact(instant))
}

/// A dead letter.
pub fn dead_letter_key(received_at: Timestamp, id: &str) -> String {
    format!("{DEAD_LETTERS}{}{id}.json", day_folder(received_at))
}

/// The mark that a dead letter was replayed or dropped.
pub fn closed_key(received_at: Timestamp, id: &str) -> String {
    format!("{CLOSED}{}{id}.json", day_folder(received_at))
}

/// The record of an action, written before it is done.
pub fn audit_key(at: Timestamp, action: &str, hash: &str) -> String {
    format!("audit/{}{}-{action}-{hash}.json", day_folder(at), compact(at))
}

/// An entry of the list of who is erased.
pub fn suppressed_key(erasure_id: &str, hash: &str) -> String {
    format!("{SUPPRESSED}{erasure_id}-{hash}.json")
}

/// The mark that an erasure is over.
pub fn erasure_over_key(erasure_id: &str) -> String {
    format!("{SUPPRESSED}{erasure_id}{OVER}")
}

/// The erasure that such a mark is about.
pub fn erasure_over(key: &str) -> Option<&str> {
    key.strip_prefix(SUPPRESSED)?.strip_suffix(OVER)
}

/// A receipt: `part` counts those that one writer wrote for one minute.
pub fn receipt_key(minute: Timestamp, writer: &str, part: u32) -> String {
    format!("{RECEIPTS}{}{writer}-{part}.json.zst", minute_folder(minute))
}

/// The receipts of a minute, and only those.
pub fn receipts_of(minute: Timestamp) -> String {
    format!("{RECEIPTS}{}", minute_folder(minute))
}

/// The objects of events that arrived in a minute, and only those.
pub fn events_of(minute: Timestamp) -> String {
    format!("{EVENTS}{}", minute_folder(minute))
}

/// The mark that a writer of receipts began (`began`) or ended (`ended`); `began_at`: when it began.
pub fn receiver_key(began_at: Timestamp, writer: &str, mark: &str) -> String {
    format!("{RECEIVERS}{}{writer}-{mark}.json", day_folder(began_at))
}

fn day_folder(instant: Timestamp) -> String {
    instant.strftime("dt=%Y-%m-%d/").to_string()
}

fn minute_folder(instant: Timestamp) -> String {
    instant.strftime("dt=%Y-%m-%d/hour=%H/minute=%M/").to_string()
}

fn compact(instant: Timestamp) -> String {
    instant.strftime("%Y%m%dT%H%M%S%6fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("instant")
    }

    #[test]
    fn keys_look_as_the_contract_says() {
        assert_eq!(
            events_key(at("2026-07-09T23:59:59.999999Z"), "abc", Compression::Zstd),
            "events/dt=2026-07-09/hour=23/minute=59/abc.jsonl.zst"
        );
        assert_eq!(
            manifest_key(at("2026-07-09T12:00:05.000001Z"), "abc"),
            "manifests/dt=2026-07-09/hour=12/minute=00/20260709T120005000001Z-abc.json"
        );
        assert_eq!(dead_letter_key(at("2026-07-09T00:00:00Z"), "x"), "dead-letters/dt=2026-07-09/x.json");
    }

    #[test]
    fn a_manifests_time_is_read_back() {
        let written_at = at("2026-07-09T12:00:05.000001Z");
        assert_eq!(manifest_written_at(&manifest_key(written_at, "abc")), Some(written_at));
        assert_eq!(manifest_written_at("manifests/x.json"), None);
    }

    #[test]
    fn the_order_of_keys_is_the_order_of_writing() {
        let times = [
            "2026-07-09T12:00:05Z",
            "2026-07-09T12:00:05.000001Z",
            "2026-07-09T12:01:00Z",
            "2026-07-10T00:00:00Z",
        ];
        let keys: Vec<String> = times.iter().map(|time| manifest_key(at(time), "f")).collect();
        assert!(keys.is_sorted());
        assert!(manifests_after(at(times[1])) < keys[1] && manifests_after(at(times[1])) > keys[0]);
    }

    #[test]
    fn an_erasures_entries_and_its_mark_are_told_apart() {
        assert_eq!(suppressed_key("1-2", "abc"), "suppressed/1-2-abc.json");
        assert_eq!(erasure_over(&erasure_over_key("1-2")), Some("1-2"));
        assert_eq!(erasure_over(&suppressed_key("1-2", "abc")), None);
    }

    #[test]
    fn only_packed_lines_are_objects_of_events() {
        assert!(is_events_key("events/dt=2026-07-09/hour=12/minute=00/abc.jsonl.gz"));
        for key in ["events/x.json", "manifests/x.jsonl", "events/.x.jsonl", "events/dt=1/_x.jsonl"] {
            assert!(!is_events_key(key), "{key}");
        }
    }
}
