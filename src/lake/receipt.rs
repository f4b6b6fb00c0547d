//! What a receiver or a poll took, minute by minute: the proof that nothing acknowledged was lost must not rest on
//! metrics, which die with their process.
//!
//! Whoever takes events notes them in a [`ReceiptBook`]; [`ReceiptBook::keep`] writes each minute's receipt some seconds
//! after the minute is over, a receipt of nothing too, so that silence is a proof of life. Two marks say when its writer
//! began and ended. So a receipt that is gone is a hole in a row, and a writer that died is one without an end: neither
//! is taken for a loss.

mod book;
mod keep;
mod writers;

use std::collections::BTreeMap;
use std::io::Read;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::event::minute_of;

use super::between::list_between;
use super::manifest::KeysHash;
use super::{Lake, LakeError, layout};

pub use book::ReceiptBook;

use writers::writers;

/// Version of the format.
const VERSION: u32 = 1;
/// Keys in one receipt; a minute with more has more parts.
const KEYS_MAX: usize = 20_000;
/// Most that one receipt may unpack to.
const RECEIPT_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Receipts and marks read at once.
const READS: usize = 16;
/// How long a writer that never ended may still be at work, away from the lake: its mark is kept in sight for so long.
pub const SILENT_MAX: SignedDuration = SignedDuration::from_hours(48);

const LEVEL: i32 = 3;
const IN_MEMORY: &str = "compressing into memory fails only without memory";
const BEGAN: &str = "began";
const ENDED: &str = "ended";

/// What one writer took in one minute, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Version of the format, 1.
    pub v: u32,
    /// Who wrote it: another for each process.
    pub writer: String,
    /// `webhook` or `api`.
    pub source: String,
    /// The UTC minute it is about.
    #[serde(with = "crate::event::instant_text")]
    pub minute: Timestamp,
    /// Counts the receipts that the writer wrote for this minute, from 0 on.
    pub part: u32,
    /// Requests that came in.
    pub received: u64,
    /// Of them, those that were signed by AfterShip.
    pub verified: u64,
    /// Refusals by the answer's error code.
    pub rejected: BTreeMap<String, u64>,
    /// Events that were acknowledged, and so durable in the queue.
    pub acknowledged: u64,
    /// Of their keys, see [`crate::lake::manifest::KeysHash`].
    pub keys_hash: String,
    /// Their keys, in the order of the acknowledgements.
    pub keys: Vec<String>,
    /// Acknowledged events that are counted and hashed, and whose keys found no room.
    #[serde(default)]
    pub keys_omitted: u64,
    /// Keys of events that were sent, and whose fate the queue did not tell: they may be in it.
    pub uncertain: Vec<String>,
    /// The same without room for the keys.
    #[serde(default)]
    pub uncertain_omitted: u64,
    /// When it was written.
    #[serde(with = "crate::event::instant_text")]
    pub written_at: Timestamp,
    /// No part follows it, as far as its writer knew.
    pub is_last: bool,
}

impl Receipt {
    /// Where it lies in the lake.
    pub fn key(&self) -> String {
        layout::receipt_key(self.minute, &self.writer, self.part)
    }

    /// Does it agree with itself: as many keys as it counts, and those that its hash was made of? Where keys found no
    /// room only the count can be told.
    pub fn is_sound(&self) -> bool {
        let count = (self.keys.len() as u64).checked_add(self.keys_omitted);
        if count != Some(self.acknowledged) {
            return false;
        }
        let mut hash = KeysHash::default();
        self.keys.iter().for_each(|key| hash.add(key));
        self.keys_omitted > 0 || hash.finish() == self.keys_hash
    }

    fn pack(&self) -> Bytes {
        let json = serde_json::to_vec(self).expect("a receipt always has a JSON form");
        Bytes::from(zstd::bulk::compress(&json, LEVEL).expect(IN_MEMORY))
    }

    /// `None` when it is damaged, or of a newer program.
    fn unpack(body: &[u8]) -> Option<Receipt> {
        let mut json = Vec::new();
        let reader = zstd::stream::read::Decoder::new(body).ok()?;
        reader.take(RECEIPT_BYTES_MAX).read_to_end(&mut json).ok()?;
        serde_json::from_slice(&json).ok().filter(|receipt: &Receipt| receipt.v == VERSION)
    }
}

/// Says that a writer began or ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    v: u32,
    writer: String,
    source: String,
    pid: u32,
    #[serde(with = "crate::event::instant_text")]
    at: Timestamp,
    /// The first minute of its row of receipts; in the mark of its end the last one.
    #[serde(with = "crate::event::instant_text")]
    minute: Timestamp,
}

/// A writer of receipts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writer {
    /// Its id.
    pub id: String,
    /// `webhook` or `api`.
    pub source: String,
    /// The first minute of its row of receipts.
    pub first: Timestamp,
    /// The last one, once it has ended; it wrote this only after all its receipts.
    pub last: Option<Timestamp>,
    /// A minute behind those asked for of which there is a receipt, when it has not ended: it was at work until then.
    pub later: Option<Timestamp>,
}

/// What was found of some minutes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipts {
    /// By minute, then by writer and part.
    pub receipts: Vec<Receipt>,
    /// Those who may have written in these minutes.
    pub writers: Vec<Writer>,
    /// Keys of receipts and marks that nobody can read.
    pub unreadable: Vec<String>,
}

/// The receipts of the minutes from `from` until before `until`, and their writers.
pub async fn read_minutes(lake: &dyn Lake, from: Timestamp, until: Timestamp) -> Result<Receipts, LakeError> {
    let mut found = read(lake, from, until, true).await?;
    found.writers = writers(lake, from, until, &mut found).await?;
    Ok(found)
}

/// The same with counts and hashes alone: the keys of many minutes may be more than fits into memory.
pub async fn read_counts(lake: &dyn Lake, from: Timestamp, until: Timestamp) -> Result<Receipts, LakeError> {
    let mut found = read(lake, from, until, false).await?;
    found.writers = writers(lake, from, until, &mut found).await?;
    Ok(found)
}

/// The receipts of one minute, with their keys.
pub async fn read_minute(lake: &dyn Lake, minute: Timestamp) -> Result<Vec<Receipt>, LakeError> {
    let behind = minute.checked_add(SignedDuration::from_mins(1)).unwrap_or(Timestamp::MAX);
    Ok(read(lake, minute, behind, true).await?.receipts)
}

async fn read(
    lake: &dyn Lake,
    from: Timestamp,
    until: Timestamp,
    with_keys: bool,
) -> Result<Receipts, LakeError> {
    let (after, before) = (layout::receipts_of(from), layout::receipts_of(until));
    let objects = list_between(lake, layout::RECEIPTS, &after, &before).await?;
    let keys: Vec<String> = objects.into_iter().map(|object| object.key).collect();
    let mut found = Receipts::default();
    let mut bodies = stream::iter(keys).map(|key| async move { (lake.get(&key).await, key) }).buffered(READS);
    while let Some((outcome, key)) = bodies.next().await {
        let body = match outcome {
            Ok(body) => body,
            // Its retention ended meanwhile.
            Err(LakeError::NotFound(_)) => continue,
            Err(error) => return Err(error),
        };
        match Receipt::unpack(&body) {
            Some(mut receipt) => {
                if !with_keys {
                    receipt.keys = Vec::new();
                    receipt.uncertain_omitted += std::mem::take(&mut receipt.uncertain).len() as u64;
                }
                found.receipts.push(receipt);
            }
            None => {
                warn!(path = %key, "cannot read a receipt, it is left out");
                found.unreadable.push(key);
            }
        }
    }
    Ok(found)
}

/// Minutes since 1970.
fn number_of(at: Timestamp) -> i64 {
    minute_of(at).as_second().div_euclid(60)
}

fn start_of(minute: i64) -> Timestamp {
    Timestamp::from_second(minute.saturating_mul(60)).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("instant")
    }

    fn receipt() -> Receipt {
        Receipt {
            v: 1,
            writer: "w".to_owned(),
            source: "webhook".to_owned(),
            minute: at("2026-07-09T12:00:00Z"),
            part: 0,
            received: 3,
            verified: 2,
            rejected: BTreeMap::from([("signature_mismatch".to_owned(), 1)]),
            acknowledged: 2,
            keys_hash: "0".repeat(32),
            keys: vec!["a".to_owned(), "b".to_owned()],
            keys_omitted: 0,
            uncertain: vec!["c".to_owned()],
            uncertain_omitted: 0,
            written_at: at("2026-07-09T12:01:10Z"),
            is_last: true,
        }
    }

    #[test]
    fn a_receipt_reads_back_and_what_is_none_does_not() {
        assert_eq!(Receipt::unpack(&receipt().pack()), Some(receipt()));
        assert_eq!(Receipt::unpack(b"no zstd"), None);
        assert_eq!(Receipt::unpack(&Receipt { v: 2, ..receipt() }.pack()), None);
    }

    #[test]
    fn a_receipt_whose_keys_are_not_those_of_its_hash_is_unsound() {
        let mut hash = KeysHash::default();
        ["a", "b"].iter().for_each(|key| hash.add(key));
        let sound = Receipt { keys_hash: hash.finish(), ..receipt() };

        assert!(sound.is_sound());
        assert!(!Receipt { keys: vec!["a".to_owned(), "c".to_owned()], ..sound.clone() }.is_sound());
        assert!(!Receipt { keys: vec!["a".to_owned()], ..sound.clone() }.is_sound());
        assert!(!Receipt { acknowledged: 3, ..sound.clone() }.is_sound());
        assert!(Receipt { acknowledged: 3, keys_omitted: 1, ..sound }.is_sound(), "one key has no name");
    }

    #[tokio::test]
    async fn a_writer_of_long_ago_is_known_by_a_receipt_behind_the_minutes() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let lake = crate::lake::disk::DiskLake::open(dir.path()).expect("lake");
        let began_at = at("2026-07-01T00:00:00Z");
        for id in ["w", "v"] {
            let mark = Mark {
                v: VERSION,
                writer: id.to_owned(),
                source: "webhook".to_owned(),
                pid: 1,
                at: began_at,
                minute: began_at,
            };
            let body = Bytes::from(serde_json::to_vec(&mark).expect("JSON"));
            lake.put_new(&layout::receiver_key(began_at, id, BEGAN), body).await.expect("put");
        }
        lake.put_new(&receipt().key(), receipt().pack()).await.expect("put");

        // The marks were written now, long after these minutes.
        let (from, until) = (at("2100-07-09T09:00:00Z"), at("2100-07-09T10:00:00Z"));
        assert_eq!(read_counts(&lake, from, until).await.expect("read").writers, []);
        let later = Receipt { minute: at("2100-07-09T12:00:00Z"), ..receipt() };
        lake.put_new(&later.key(), later.pack()).await.expect("put");
        let writers = read_counts(&lake, from, until).await.expect("read").writers;

        let found: Vec<_> = writers.iter().map(|one| (one.id.as_str(), one.first, one.later)).collect();
        assert_eq!(found, [("w", began_at, Some(later.minute))]);
    }

    #[test]
    fn a_minute_begins_at_its_first_second() {
        assert_eq!(minute_of(at("2026-07-09T12:00:59.999999Z")), at("2026-07-09T12:00:00Z"));
        assert_eq!(minute_of(at("2026-07-09T12:01:00Z")), at("2026-07-09T12:01:00Z"));
    }
}
