//! What a load did, in numbers.

use std::sync::atomic::AtomicU64;

use tokio::sync::Notify;

use crate::ops::metrics;
use crate::warehouse::rows::FileOutcome;

/// What has been loaded since the start.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Events new in the warehouse.
    pub events: AtomicU64,
    /// Lines in the warehouse, repetitions included, rejects not.
    pub lines: AtomicU64,
    /// Lines and objects rejected.
    pub rejected: AtomicU64,
    /// Rung after each load.
    pub notify: Notify,
}

/// What `load --once` prints.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    /// Objects that got a ledger row.
    pub files: u64,
    /// Of those, objects that could not be read as a whole.
    pub files_rejected: u64,
    /// Objects that were named and are not there; they have no ledger row.
    pub files_missing: u64,
    /// Lines in them.
    pub lines: i64,
    /// The seven outcomes, see [`FileOutcome`].
    pub inserted: i64,
    /// See [`FileOutcome`].
    pub updated: i64,
    /// See [`FileOutcome`].
    pub unchanged: i64,
    /// See [`FileOutcome`].
    pub duplicate: i64,
    /// See [`FileOutcome`].
    pub conflict: i64,
    /// See [`FileOutcome`].
    pub waiting: i64,
    /// See [`FileOutcome`].
    pub rejected: i64,
}

impl Summary {
    pub(super) fn add(&mut self, outcome: &FileOutcome) {
        self.files += 1;
        self.files_rejected += u64::from(outcome.status == "rejected");
        self.lines += outcome.lines;
        self.inserted += outcome.inserted;
        self.updated += outcome.updated;
        self.unchanged += outcome.unchanged;
        self.duplicate += outcome.duplicate;
        self.conflict += outcome.conflict;
        self.waiting += outcome.waiting;
        self.rejected += outcome.rejected;
    }
}

/// Counts what became of the lines of one file.
pub(super) fn count(outcome: &FileOutcome) {
    for (name, lines) in [
        ("inserted", outcome.inserted),
        ("updated", outcome.updated),
        ("unchanged", outcome.unchanged),
        ("duplicate", outcome.duplicate),
        ("conflict", outcome.conflict),
        ("waiting", outcome.waiting),
        ("rejected", outcome.rejected),
    ] {
        metrics::load_rows(name, u64::try_from(lines).unwrap_or(0));
    }
}
