//! Where events are noted while they are taken. Knows no clock: the instants come with the events.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::event::{EventKey, Source};
use crate::lake::manifest::KeysHash;

use super::{KEYS_MAX, Receipt, VERSION, number_of, start_of};

/// Keys held until their receipts are written. Beyond that (a lake that stays away) events are counted and hashed only.
const HELD_MAX: usize = 2_000_000;

/// The book of one process and source. Clones share it; each note is a short turn of a lock.
#[derive(Debug, Clone)]
pub struct ReceiptBook {
    source: Source,
    shared: Arc<Mutex<Book>>,
}

#[derive(Debug, Default)]
struct Book {
    /// By minutes since 1970.
    minutes: BTreeMap<i64, Tally>,
    /// Keys in here and in receipts that are not written yet.
    held: usize,
}

/// What one minute has so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    received: u64,
    verified: u64,
    rejected: BTreeMap<&'static str, u64>,
    keys: Vec<String>,
    keys_omitted: u64,
    /// Of the keys that were omitted.
    hash: KeysHash,
    uncertain: Vec<String>,
    uncertain_omitted: u64,
}

impl ReceiptBook {
    /// An empty book.
    pub fn new(source: Source) -> ReceiptBook {
        ReceiptBook { source, shared: Arc::default() }
    }

    /// A request came in.
    pub fn received(&self, at: Timestamp) {
        self.tally(at, |tally, _| tally.received += 1);
    }

    /// AfterShip signed it, or answered us.
    pub fn verified(&self, at: Timestamp) {
        self.tally(at, |tally, _| tally.verified += 1);
    }

    /// A request was refused; `reason` is the answer's error code.
    pub fn rejected(&self, at: Timestamp, reason: &'static str) {
        self.tally(at, |tally, _| *tally.rejected.entry(reason).or_default() += 1);
    }

    /// An event is durable in the queue; `at` is its arrival.
    pub fn acknowledged(&self, at: Timestamp, key: &EventKey) {
        self.tally(at, |tally, held| {
            if *held < HELD_MAX {
                *held += 1;
                tally.keys.push(key.as_str().to_owned());
            } else {
                tally.keys_omitted += 1;
                tally.hash.add(key.as_str());
            }
        });
    }

    /// An event was sent, and the queue did not tell its fate; `at` is its arrival.
    pub fn uncertain(&self, at: Timestamp, key: &EventKey) {
        self.tally(at, |tally, held| {
            if *held < HELD_MAX {
                *held += 1;
                tally.uncertain.push(key.as_str().to_owned());
            } else {
                tally.uncertain_omitted += 1;
            }
        });
    }

    /// Whose book it is.
    pub(super) fn source(&self) -> Source {
        self.source
    }

    /// Takes a minute out.
    pub(super) fn take(&self, minute: i64) -> Option<Tally> {
        self.lock().minutes.remove(&minute)
    }

    /// The minutes before this one that have something.
    pub(super) fn minutes_before(&self, minute: i64) -> Vec<i64> {
        self.lock().minutes.range(..minute).map(|(minute, _)| *minute).collect()
    }

    /// Every minute that has something.
    pub(super) fn minutes(&self) -> Vec<i64> {
        self.lock().minutes.keys().copied().collect()
    }

    /// So many keys are in the lake now.
    pub(super) fn let_go(&self, keys: usize) {
        let mut book = self.lock();
        book.held = book.held.saturating_sub(keys);
    }

    fn tally(&self, at: Timestamp, note: impl FnOnce(&mut Tally, &mut usize)) {
        let mut book = self.lock();
        let book = &mut *book;
        note(book.minutes.entry(number_of(at)).or_default(), &mut book.held);
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What stands in the head of each receipt.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) writer: String,
    pub(super) source: Source,
    pub(super) minute: i64,
    /// Of the first receipt.
    pub(super) part: u32,
    pub(super) written_at: Timestamp,
}

impl Tally {
    /// Its receipts: one, or as many as its keys need. The counts stand in the first.
    pub(super) fn receipts(self, head: &Head) -> Vec<Receipt> {
        let mut keys = self.keys.into_iter();
        let mut uncertain = self.uncertain.into_iter();
        let mut first = Some((self.received, self.verified, self.rejected, self.keys_omitted, self.hash));
        let mut uncertain_omitted = self.uncertain_omitted;
        let mut receipts = Vec::new();
        loop {
            let (received, verified, rejected, keys_omitted, mut hash) = first.take().unwrap_or_default();
            let some: Vec<String> = keys.by_ref().take(KEYS_MAX).collect();
            let open: Vec<String> = uncertain.by_ref().take(KEYS_MAX - some.len()).collect();
            some.iter().for_each(|key| hash.add(key));
            let is_last = keys.as_slice().is_empty() && uncertain.as_slice().is_empty();
            let part = head.part + u32::try_from(receipts.len()).unwrap_or(u32::MAX);
            receipts.push(Receipt {
                v: VERSION,
                writer: head.writer.clone(),
                source: head.source.as_str().to_owned(),
                minute: start_of(head.minute),
                part,
                received,
                verified,
                rejected: rejected.into_iter().map(|(reason, count)| (reason.to_owned(), count)).collect(),
                acknowledged: some.len() as u64 + keys_omitted,
                keys_hash: hash.finish(),
                keys: some,
                keys_omitted,
                uncertain: open,
                uncertain_omitted: std::mem::take(&mut uncertain_omitted),
                written_at: head.written_at,
                is_last,
            });
            if is_last {
                return receipts;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("instant")
    }

    fn head() -> Head {
        Head {
            writer: "w".to_owned(),
            source: Source::Webhook,
            minute: number_of(at("2026-07-09T12:00:00Z")),
            part: 3,
            written_at: at("2026-07-09T12:01:10Z"),
        }
    }

    fn key(number: usize) -> EventKey {
        EventKey::from_text(&format!("key-{number}"))
    }

    #[test]
    fn a_minute_is_one_receipt_with_its_counts_and_the_hash_of_its_keys() {
        let book = ReceiptBook::new(Source::Webhook);
        let (early, late) = (at("2026-07-09T12:00:01Z"), at("2026-07-09T12:00:59Z"));
        for instant in [early, late, at("2026-07-09T12:01:00Z")] {
            book.received(instant);
        }
        book.verified(early);
        book.acknowledged(early, &key(1));
        book.uncertain(late, &key(2));
        book.rejected(late, "queue_unavailable");

        let tally = book.take(head().minute).expect("noted");
        let receipts = tally.receipts(&head());

        let [receipt] = receipts.as_slice() else { panic!("{receipts:?}") };
        let mut hash = KeysHash::default();
        hash.add("key-1");
        assert_eq!((receipt.received, receipt.verified, receipt.acknowledged), (2, 1, 1));
        assert_eq!(receipt.rejected.get("queue_unavailable"), Some(&1));
        assert_eq!((&receipt.keys, &receipt.keys_hash), (&vec!["key-1".to_owned()], &hash.finish()));
        assert_eq!(receipt.uncertain, ["key-2"]);
        assert_eq!((receipt.part, receipt.is_last), (3, true));
        assert_eq!(book.minutes(), [head().minute + 1], "what is taken is gone, the rest stays");
    }

    #[test]
    fn many_keys_are_many_parts_and_none_is_lost() {
        let book = ReceiptBook::new(Source::Webhook);
        let minute = at("2026-07-09T12:00:01Z");
        for number in 0..KEYS_MAX + 5 {
            book.received(minute);
            book.acknowledged(minute, &key(number));
        }
        book.uncertain(minute, &key(KEYS_MAX + 5));

        let receipts = book.take(head().minute).expect("noted").receipts(&head());

        assert_eq!(receipts.iter().map(|one| one.part).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(receipts.iter().map(|one| one.is_last).collect::<Vec<_>>(), [false, true]);
        assert_eq!(receipts.iter().map(|one| one.received).collect::<Vec<_>>(), [KEYS_MAX as u64 + 5, 0]);
        assert_eq!(receipts.iter().map(|one| one.acknowledged).sum::<u64>(), KEYS_MAX as u64 + 5);
        assert_eq!(receipts[1].keys.len() + receipts[1].uncertain.len(), 6);
    }

    #[test]
    fn keys_without_room_are_counted_and_hashed() {
        let book = ReceiptBook::new(Source::Webhook);
        let minute = at("2026-07-09T12:00:01Z");
        book.acknowledged(minute, &key(1));
        book.lock().held = HELD_MAX;
        book.acknowledged(minute, &key(2));
        book.uncertain(minute, &key(3));

        let receipt = book.take(head().minute).expect("noted").receipts(&head()).remove(0);

        let mut hash = KeysHash::default();
        hash.add("key-2");
        hash.add("key-1");
        assert_eq!((receipt.acknowledged, receipt.keys_omitted, receipt.uncertain_omitted), (2, 1, 1));
        assert_eq!((receipt.keys.len(), receipt.keys_hash), (1, hash.finish()));

        book.let_go(1);
        book.acknowledged(minute, &key(4));
        assert_eq!(book.take(head().minute).expect("noted").keys, ["key-4"], "there is room again");
    }
}
