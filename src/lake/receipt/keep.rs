//! Writes a book's receipts into the lake, minute by minute, until told to stop.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use uuid::Uuid;

use crate::lake::{Lake, layout};
use crate::ops::metrics;
use crate::ops::retry::Backoff;

use super::book::{Head, Tally};
use super::{BEGAN, ENDED, Mark, ReceiptBook, VERSION, number_of, start_of};

/// How long after a minute's end its receipt is written: requests that began in it are over by then.
const AFTER_SECONDS: i64 = 10;
/// How often to look.
const TICK: Duration = Duration::from_secs(1);
/// How often what came later than that is written.
const LATE_EVERY: Duration = Duration::from_secs(60);
/// A clock that jumps further ahead, or a machine that slept for longer, begins a new row: nobody was alive meanwhile.
const JUMP_MINUTES: i64 = 10;
/// At the end, for all that is left.
const END_MAX: Duration = Duration::from_secs(4);
/// Minutes whose number of parts is remembered.
const PARTS_MAX: usize = 10_000;

impl ReceiptBook {
    /// Writes receipts until `stop`, and then all that is left. Stop it when nothing more is taken.
    pub async fn keep(self, lake: Arc<dyn Lake>, stop: CancellationToken) {
        let mut keeper = Keeper::begin(self, Timestamp::now());
        loop {
            tokio::select! {
                () = keeper.write_due(lake.as_ref()) => {}
                () = stop.cancelled() => break,
            }
            tokio::select! {
                () = tokio::time::sleep(TICK) => {}
                () = stop.cancelled() => break,
            }
            keeper.take_due(Timestamp::now()).await;
        }
        keeper.end(Timestamp::now()).await;
        if !matches!(tokio::time::timeout(END_MAX, keeper.write(lake.as_ref())).await, Ok(true)) {
            warn!(
                receipts = keeper.pending.len(),
                "some receipts could not be written: reconcile will say that this process died without them"
            );
        }
    }
}

/// One row of receipts.
struct Row {
    writer: String,
    began_at: Timestamp,
    /// The minute whose receipt is written next, in minutes since 1970.
    next: i64,
    /// How many receipts a minute has.
    parts: BTreeMap<i64, u32>,
}

impl Row {
    fn begin(now: Timestamp) -> Row {
        Row {
            writer: Uuid::new_v4().to_string(),
            began_at: now,
            next: number_of(now),
            parts: BTreeMap::new(),
        }
    }
}

/// An object on its way.
struct Pending {
    key: String,
    body: Bytes,
    /// Keys in it, to be let go of.
    keys: usize,
}

struct Keeper {
    book: ReceiptBook,
    row: Row,
    pending: VecDeque<Pending>,
    late_at: Instant,
    /// After a failure: not before.
    write_at: Option<Instant>,
    backoff: Backoff,
}

impl Keeper {
    fn begin(book: ReceiptBook, now: Timestamp) -> Keeper {
        let mut keeper = Keeper {
            book,
            row: Row::begin(now),
            pending: VecDeque::new(),
            late_at: Instant::now() + LATE_EVERY,
            write_at: None,
            backoff: Backoff::new(Duration::from_millis(500), Duration::from_secs(30)),
        };
        keeper.mark(BEGAN, now, keeper.row.next);
        keeper
    }

    /// Makes receipts of the minutes that are over.
    async fn take_due(&mut self, now: Timestamp) {
        let due = (now.as_second() - AFTER_SECONDS).div_euclid(60);
        if due - self.row.next > JUMP_MINUTES {
            self.end(now).await;
            self.row = Row::begin(now);
            self.mark(BEGAN, now, self.row.next);
        }
        while self.row.next < due {
            let minute = self.row.next;
            let tally = self.book.take(minute).unwrap_or_default();
            self.receipt(minute, tally, now).await;
            self.row.next += 1;
        }
        if Instant::now() >= self.late_at {
            self.late_at = Instant::now() + LATE_EVERY;
            for minute in self.book.minutes_before(self.row.next) {
                let tally = self.book.take(minute).unwrap_or_default();
                self.receipt(minute, tally, now).await;
            }
        }
    }

    /// Makes receipts of all that is left, the running minute among it, and ends the row.
    async fn end(&mut self, now: Timestamp) {
        let last = self.row.next.max(number_of(now).min(self.row.next + JUMP_MINUTES));
        for minute in self.row.next..=last {
            let tally = self.book.take(minute).unwrap_or_default();
            self.receipt(minute, tally, now).await;
        }
        for minute in self.book.minutes() {
            let tally = self.book.take(minute).unwrap_or_default();
            self.receipt(minute, tally, now).await;
        }
        self.mark(ENDED, now, last);
    }

    async fn receipt(&mut self, minute: i64, tally: Tally, now: Timestamp) {
        let part = self.row.parts.get(&minute).copied().unwrap_or(0);
        let head = Head {
            writer: self.row.writer.clone(),
            source: self.book.source(),
            minute,
            part,
            written_at: crate::event::truncate_to_micros(now),
        };
        // A busy minute has hundreds of thousands of keys to hash and to pack.
        let packing = tokio::task::spawn_blocking(move || {
            let receipts = tally.receipts(&head);
            let pending = receipts.iter().map(|receipt| Pending {
                key: receipt.key(),
                body: receipt.pack(),
                keys: receipt.keys.len() + receipt.uncertain.len(),
            });
            pending.collect::<Vec<_>>()
        });
        let Ok(packed) = packing.await else {
            warn!("packing a receipt was interrupted: its minute has none");
            return;
        };
        self.row.parts.insert(minute, part + u32::try_from(packed.len()).unwrap_or(u32::MAX));
        while self.row.parts.len() > PARTS_MAX {
            self.row.parts.pop_first();
        }
        self.pending.extend(packed);
    }

    fn mark(&mut self, what: &str, now: Timestamp, minute: i64) {
        let mark = Mark {
            v: VERSION,
            writer: self.row.writer.clone(),
            source: self.book.source().as_str().to_owned(),
            pid: std::process::id(),
            at: crate::event::truncate_to_micros(now),
            minute: start_of(minute),
        };
        let body = serde_json::to_vec(&mark).expect("a mark always has a JSON form");
        let key = layout::receiver_key(self.row.began_at, &self.row.writer, what);
        self.pending.push_back(Pending { key, body: Bytes::from(body), keys: 0 });
    }

    /// Writes what is pending, unless the lake has just failed.
    async fn write_due(&mut self, lake: &dyn Lake) {
        if self.write_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        self.write_at = None;
        if self.write(lake).await {
            self.backoff.reset();
        } else {
            self.write_at = Some(Instant::now() + self.backoff.next());
        }
    }

    /// Writes what is pending, in order, so that the mark of the end comes last; false when the lake fails. Asked
    /// again after it was dropped half-way it goes on: the same object twice is one.
    async fn write(&mut self, lake: &dyn Lake) -> bool {
        while let Some(first) = self.pending.front() {
            match lake.put_new(&first.key, first.body.clone()).await {
                Ok(_) => metrics::receipts_written(1, 0),
                Err(error) => {
                    metrics::receipts_written(0, 1);
                    warn!(%error, waiting = self.pending.len(), "cannot write a receipt, trying on");
                    return false;
                }
            }
            if let Some(written) = self.pending.pop_front() {
                self.book.let_go(written.keys);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use crate::event::{EventKey, Source};
    use crate::lake::disk::DiskLake;

    use super::super::{Receipt, read_counts, read_minutes};
    use super::*;
    use crate::event::minute_of;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("instant")
    }

    fn minutes(receipts: &[Receipt]) -> Vec<String> {
        let text = |one: &Receipt| format!("{}-{}", one.minute.strftime("%H:%M"), one.part);
        receipts.iter().map(text).collect()
    }

    #[tokio::test]
    async fn each_minute_has_a_receipt_and_the_row_its_two_ends() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let lake = DiskLake::open(dir.path()).expect("lake");
        let book = ReceiptBook::new(Source::Webhook);
        let mut keeper = Keeper::begin(book.clone(), at("2026-07-09T12:00:30Z"));
        book.acknowledged(at("2026-07-09T12:01:59Z"), &EventKey::from_text("a"));

        keeper.take_due(at("2026-07-09T12:02:05Z")).await;
        assert_eq!(keeper.pending.len(), 2, "the beginning, and the first minute");
        keeper.take_due(at("2026-07-09T12:02:10Z")).await;
        // Too late for its minute.
        book.acknowledged(at("2026-07-09T12:01:58Z"), &EventKey::from_text("b"));
        keeper.end(at("2026-07-09T12:02:30Z")).await;
        assert!(keeper.write(&lake).await);

        let (from, until) = (at("2026-07-09T12:00:00Z"), at("2026-07-09T12:03:00Z"));
        let found = read_minutes(&lake, from, until).await.expect("read");
        assert_eq!(minutes(&found.receipts), ["12:00-0", "12:01-0", "12:01-1", "12:02-0"]);
        let keys: Vec<&str> = found.receipts.iter().flat_map(|one| &one.keys).map(String::as_str).collect();
        assert_eq!(keys, ["a", "b"]);
        let [writer] = found.writers.as_slice() else { panic!("{:?}", found.writers) };
        assert_eq!((writer.first, writer.last), (from, Some(at("2026-07-09T12:02:00Z"))));
        let counts = read_counts(&lake, from, at("2026-07-09T12:02:00Z")).await.expect("read");
        assert_eq!(minutes(&counts.receipts), ["12:00-0", "12:01-0", "12:01-1"]);
        assert!(counts.receipts.iter().all(|one| one.keys.is_empty()));
    }

    #[tokio::test]
    async fn a_machine_that_slept_begins_a_new_row() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let lake = DiskLake::open(dir.path()).expect("lake");
        let began_at = at("2026-07-09T12:00:30Z");
        let mut keeper = Keeper::begin(ReceiptBook::new(Source::Api), began_at);

        keeper.take_due(began_at + SignedDuration::from_hours(8)).await;
        assert!(keeper.write(&lake).await);

        let until = began_at + SignedDuration::from_hours(9);
        let found = read_minutes(&lake, at("2026-07-09T12:00:00Z"), until).await.expect("read");
        assert_eq!(found.writers.len(), 2);
        assert_eq!(found.writers.iter().filter(|writer| writer.last.is_some()).count(), 1);
        assert!(found.receipts.len() <= 12, "no row through the night: {}", found.receipts.len());
    }

    #[tokio::test]
    async fn what_was_taken_in_a_moment_is_written_when_it_stops() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let lake: Arc<dyn Lake> = Arc::new(DiskLake::open(dir.path()).expect("lake"));
        let book = ReceiptBook::new(Source::Webhook);
        let began_at = Timestamp::now();
        book.received(began_at);
        let stop = CancellationToken::new();
        stop.cancel();

        book.clone().keep(Arc::clone(&lake), stop).await;

        let (from, until) = (minute_of(began_at), began_at + SignedDuration::from_mins(2));
        let found = read_minutes(lake.as_ref(), from, until).await.expect("read");
        assert_eq!(found.receipts.iter().map(|one| one.received).sum::<u64>(), 1);
        assert!(found.writers[0].last.is_some());
    }
}
