//! One lake object, read: its events, its rejects, its snapshots. Pure, and never stopped by content.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::aftership::{personal, tracking, webhook};
use crate::event::identity::SnapshotOrder;
use crate::event::{Event, line};
use crate::lake::object;
use crate::lake::suppressed::Suppressed;
use crate::warehouse::rows::{Claim, EventRow, FileRows, LoadSet, RejectedRow, Snapshot, TrackingRow, clean};

use super::{facts, reject};

/// Most that one object may unpack to. Ours close at 16 MiB; this leaves room for other writers.
pub const OBJECT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Longest tracking id that we load, bytes; AfterShip's have at most 128, and PostgreSQL's keys hold some 2,700.
const ID_BYTES_MAX: usize = 1_000;

/// An object, read.
#[derive(Debug)]
pub struct ReadFile {
    /// Ledger, events and rejects.
    pub rows: FileRows,
    /// The newest snapshot of each tracking in this object.
    pub snapshots: Vec<Snapshot>,
    /// All claims of legacy ids in this object.
    pub claims: Vec<Claim>,
    /// Size of its text.
    pub bytes_unpacked: usize,
    /// Entries of the list of who is erased that were known.
    pub suppressed_entries: usize,
    /// Lines about somebody erased that are still whole in the lake.
    pub unerased: u64,
}

/// Reads an object.
pub fn read(file: &str, landed_at: Timestamp, body: &Bytes) -> ReadFile {
    read_without(file, landed_at, body, &Suppressed::default())
}

/// Reads an object as if those who are erased had been erased in it, whether they are or not.
pub fn read_without(file: &str, landed_at: Timestamp, body: &Bytes, suppressed: &Suppressed) -> ReadFile {
    let unpacked = match object::unpack(file, body, OBJECT_BYTES_MAX) {
        Ok(unpacked) => unpacked,
        Err(error) => return unreadable(file, landed_at, reject::of_object(&error), error.to_string()),
    };
    let mut rows = FileRows {
        file: file.to_owned(),
        landed_at,
        lines: 0,
        is_readable: true,
        events: Vec::new(),
        rejects: Vec::new(),
    };
    let mut newest = Newest::default();
    let mut claims = Vec::new();
    let mut unerased = 0;
    for text in lines(&unpacked) {
        rows.lines += 1;
        // A line that makes us panic must not stop the others, nor this load for ever.
        let attempt = catch_unwind(AssertUnwindSafe(|| read_line(rows.lines, text, suppressed)));
        match attempt.unwrap_or(Err("reader_failed")) {
            Ok((event, snapshot, is_whole)) => {
                unerased += u64::from(is_whole);
                claims.extend(claim(&snapshot.tracking));
                rows.events.push(event);
                newest.offer(snapshot);
            }
            Err(reason) => {
                rows.rejects.push(RejectedRow { line: rows.lines, reason, text: reject::excerpt(text) });
            }
        }
    }
    claims.sort();
    claims.dedup();
    ReadFile {
        rows,
        snapshots: newest.into_vec(),
        claims,
        bytes_unpacked: unpacked.len(),
        suppressed_entries: suppressed.entries(),
        unerased,
    }
}

/// Puts objects together for one transaction.
pub fn combine(files: Vec<ReadFile>) -> LoadSet {
    let mut set = LoadSet::default();
    let mut newest = Newest::default();
    for file in files {
        set.files.push(file.rows);
        set.claims.extend(file.claims);
        for snapshot in file.snapshots {
            newest.offer(snapshot);
        }
    }
    set.claims.sort();
    set.claims.dedup();
    set.snapshots = newest.into_vec();
    set
}

/// Keeps, of all snapshots offered, the newest of each tracking.
#[derive(Default)]
struct Newest {
    by_id: HashMap<String, Snapshot>,
}

impl Newest {
    fn offer(&mut self, snapshot: Snapshot) {
        match self.by_id.get_mut(&snapshot.tracking.source_tracking_id) {
            Some(known) if order(&known.tracking) >= order(&snapshot.tracking) => {}
            Some(known) => *known = snapshot,
            None => {
                self.by_id.insert(snapshot.tracking.source_tracking_id.clone(), snapshot);
            }
        }
    }

    fn into_vec(self) -> Vec<Snapshot> {
        self.by_id.into_values().collect()
    }
}

fn order(row: &TrackingRow) -> SnapshotOrder<'_> {
    SnapshotOrder { updated_at: row.updated_at, event_at: row.event_at, body_sha256: &row.body_sha256 }
}

fn claim(row: &TrackingRow) -> Option<Claim> {
    Some(Claim { legacy_id: row.legacy_id.clone()?, tracking_id: row.source_tracking_id.clone() })
}

/// Lines end with a line feed; the last one may lack it. An empty line is a line (and will be rejected): the count
/// must agree with everybody else's.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let text = text.strip_suffix(b"\n").map_or(text, |rest| rest);
    let is_empty = text.is_empty();
    text.split(|byte| *byte == b'\n').filter(move |_| !is_empty)
}

/// The last one: it is about somebody erased, and still whole.
fn read_line(
    number: u64,
    text: &[u8],
    suppressed: &Suppressed,
) -> Result<(EventRow, Snapshot, bool), &'static str> {
    if text.len() > line::LINE_BYTES_MAX {
        return Err("line_too_long");
    }
    let event = line::decode(text).map_err(|error| reject::of_line(&error))?;
    let erased = erased(&event, suppressed);
    let body = erased.as_deref().unwrap_or(&event.body);
    let webhook = webhook::read(body).map_err(reject::of_body)?;
    let mut tracking = tracking::read(&webhook);
    if tracking.id.len() > ID_BYTES_MAX {
        return Err("tracking_id_too_long");
    }
    // An older id that nobody can have is no claim.
    tracking.legacy_id = tracking.legacy_id.filter(|id| id.len() <= ID_BYTES_MAX);
    let body_sha256 = event.body_sha256.to_hex();
    let snapshot = facts::snapshot(&tracking, &body_sha256);
    let row = EventRow {
        line: number,
        event_key: clean(event.event_key.as_str()),
        event_id: event.event_id.as_deref().map(clean),
        event: webhook.event.as_deref().map(clean),
        tracking_id: snapshot.tracking.source_tracking_id.clone(),
        source: event.source.as_str(),
        received_at: event.received_at,
        replay_id: event.replay_id.as_deref().map(clean),
        body_sha256,
        event_date: tracking
            .event_at
            .or(tracking.updated_at)
            .map(|instant| TimeZone::UTC.to_datetime(instant).date()),
        is_test: tracking.is_test,
    };
    Ok((row, snapshot, erased.is_some()))
}

/// What is left of the body when it is about somebody erased; `None`: it stays as it is.
fn erased(event: &Event, suppressed: &Suppressed) -> Option<Vec<u8>> {
    if suppressed.is_empty() {
        return None;
    }
    personal::erase_marked(&event.body, suppressed.key(), |trackings, people| {
        suppressed.extent(trackings, people, event.received_at).map(|extent| extent.with_numbers)
    })
}

/// An object that nobody should read into memory.
pub fn too_large(file: &str, landed_at: Timestamp, error: &dyn std::fmt::Display) -> ReadFile {
    unreadable(file, landed_at, "object_too_large", error.to_string())
}

fn unreadable(file: &str, landed_at: Timestamp, reason: &'static str, text: String) -> ReadFile {
    let rejected = RejectedRow { line: 0, reason, text };
    ReadFile {
        rows: FileRows {
            file: file.to_owned(),
            landed_at,
            lines: 0,
            is_readable: false,
            events: Vec::new(),
            rejects: vec![rejected],
        },
        snapshots: Vec::new(),
        claims: Vec::new(),
        bytes_unpacked: 0,
        suppressed_entries: 0,
        unerased: 0,
    }
}

#[cfg(test)]
mod tests {
    use crate::event::Redacted;
    use crate::lake::suppressed::Entry;

    use super::*;

    fn line(body: &str) -> Vec<u8> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let received_at = "2026-07-09T12:00:00Z".parse().expect("instant");
        line::encode(&Event::received(body, None, false, received_at))
    }

    fn file(lines: &[Vec<u8>]) -> ReadFile {
        let body = lines.join(&b'\n');
        read("events/x.jsonl", Timestamp::UNIX_EPOCH, &Bytes::from(body))
    }

    #[test]
    fn bad_lines_are_named_and_the_others_load() {
        let good = line(r#"{"event":"tracking_update","msg":{"id":"t1"}}"#);
        let read = file(&[
            good.clone(),
            b"not json".to_vec(),
            Vec::new(),
            line(r#"{"no":"tracking"}"#),
            br#"{"v":7}"#.to_vec(),
            String::from_utf8(good).expect("UTF-8").replace("t1", "t2").into_bytes(),
        ]);

        assert_eq!(read.rows.lines, 6);
        assert_eq!(read.rows.events.len(), 1);
        let reasons: Vec<_> = read.rows.rejects.iter().map(|row| (row.line, row.reason)).collect();
        assert_eq!(
            reasons,
            [
                (2, "line_not_json"),
                (3, "line_not_json"),
                (4, "no_tracking"),
                (5, "line_version"),
                (6, "body_changed")
            ]
        );
    }

    #[test]
    fn who_is_erased_is_loaded_without_a_trace_also_from_a_whole_line() {
        const KEY: &[u8] = b"sixteen letters or more";
        let entry = Entry {
            v: 1,
            id: "e1".to_owned(),
            at: "2026-07-10T00:00:00Z".parse().expect("instant"),
            key_id: "k".to_owned(),
            subject: None,
            people: Vec::new(),
            trackings: vec![personal::pseudonym("t1", KEY)],
            with_numbers: true,
        };
        let suppressed = Suppressed::new(KEY, "k".to_owned()).with(entry);
        let whole = r#"{"msg":{"id":"t1","tracking_number":"N1","checkpoints":[{"message":"at Ada's"}]}}"#;
        let other = line(&whole.replace("t1", "t2"));
        let whole = line(whole);
        let event = line::decode(&whole).expect("own line");
        let body = personal::erase(&event.body, true).expect("something to erase");
        let erased = line::encode(&event.with_body(body.into(), Redacted::Erased));

        let read = |first: &[u8]| {
            let body = Bytes::from([first, other.as_slice()].join(&b'\n'));
            read_without("events/x.jsonl", Timestamp::UNIX_EPOCH, &body, &suppressed)
        };
        let (from_whole, from_erased) = (read(&whole), read(&erased));

        assert_eq!((from_whole.unerased, from_erased.unerased), (1, 0));
        assert_eq!(from_whole.rows, from_erased.rows);
        for read in [from_whole, from_erased] {
            let of = |id: &str| read.snapshots.iter().find(|s| s.tracking.source_tracking_id == id).cloned();
            let (t1, t2) = (of("t1").expect("loaded"), of("t2").expect("loaded"));
            assert_eq!((t1.tracking.tracking_number, t1.checkpoints[0].message.clone()), (None, None));
            assert_eq!(t2.checkpoints[0].message.as_deref(), Some("at Ada's"));
        }
    }

    #[test]
    fn the_newest_snapshot_stays_whatever_the_order() {
        let old =
            line(r#"{"ts":1,"msg":{"id":"t1","tag":"InTransit","updated_at":"2026-07-09T10:00:00+00:00"}}"#);
        let new =
            line(r#"{"ts":1,"msg":{"id":"t1","tag":"Exception","updated_at":"2026-07-09T11:00:00+00:00"}}"#);
        for lines in [[old.clone(), new.clone()], [new, old]] {
            let read = file(&lines);

            assert_eq!(read.snapshots.len(), 1);
            assert_eq!(read.snapshots[0].tracking.tag.as_deref(), Some("Exception"));
        }
    }

    #[test]
    fn a_claim_of_an_older_snapshot_counts_too() {
        let read = file(&[
            line(r#"{"msg":{"id":"t1","legacy_id":"old","updated_at":"2026-07-09T10:00:00+00:00"}}"#),
            line(r#"{"msg":{"id":"t1","updated_at":"2026-07-09T11:00:00+00:00"}}"#),
        ]);

        assert_eq!(read.claims, [Claim { legacy_id: "old".into(), tracking_id: "t1".into() }]);
        assert_eq!(read.snapshots[0].tracking.legacy_id, None);
    }

    #[test]
    fn a_damaged_object_is_one_reject_of_the_whole() {
        let read = read("events/x.jsonl.zst", Timestamp::UNIX_EPOCH, &Bytes::from_static(b"not zstd"));

        assert!(!read.rows.is_readable);
        assert_eq!(read.rows.rejects[0].line, 0);
        assert_eq!(read.rows.rejects[0].reason, "object_damaged");
    }

    #[test]
    fn an_id_that_no_key_can_hold_is_rejected_by_name() {
        let read = file(&[line(&format!(r#"{{"msg":{{"id":"{}"}}}}"#, "x".repeat(1_001)))]);

        assert_eq!(read.rows.rejects[0].reason, "tracking_id_too_long");
    }

    #[test]
    fn odd_content_never_stops_a_load() {
        let read = file(&[
            line(r#"{"msg":{"id":"t1","tag":"a\u0000b","updated_at":"9999-99-99T00:00:00Z"},"ts":1e400}"#),
            line(
                r#"{"msg":{"id":"t2","title":"\ud800","checkpoints":[{"message":"\udc00","checkpoint_time":"+262143-01-01"}]}}"#,
            ),
            line(
                r#"{"msg":{"id":"t3","on_time_difference":99999999999999999999,"checkpoints":"none"},"ts":-1}"#,
            ),
        ]);

        assert_eq!(read.rows.rejects, []);
        assert_eq!(read.snapshots.len(), 3);
        assert!(read.snapshots.iter().all(|snapshot| snapshot.tracking.tag.as_deref() != Some("a\0b")));
    }
}
