//! What the places say of one minute, side by side. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use crate::lake::receipt::Receipt;

use super::minutes::Cover;

/// A line of the lake that is an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) key: String,
    pub(super) source: &'static str,
    pub(super) received_at: Timestamp,
    pub(super) body_sha256: String,
    /// Sent by a replay or a healing, and so in no receipt.
    pub(super) is_replay: bool,
    /// The tracking it is about, if its body can be read.
    pub(super) tracking: Option<String>,
}

/// What an object holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Contents {
    /// By number.
    pub(super) lines: BTreeMap<u64, Line>,
    /// Numbers of lines that are no events of ours.
    pub(super) unread: Vec<u64>,
    /// The bytes are not those that its name was made of, and no erasure has changed them.
    pub(super) is_other: bool,
    /// Where one has: numbers of the lines that nobody erased and that do not agree with themselves.
    pub(super) others: Vec<u64>,
}

/// An object, as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Not in the lake.
    Gone,
    /// Does not unpack.
    Damaged(String),
    /// Read.
    Read(Contents),
}

/// What the ledger says of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ledger {
    /// False: rejected as a whole.
    pub(super) is_loaded: bool,
    pub(super) lines: u64,
    pub(super) inserted: u64,
}

/// An object that is in the lake, or ought to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) file: String,
    pub(super) state: State,
    pub(super) ledger: Option<Ledger>,
    /// When the store says that it was written.
    pub(super) landed_at: Option<Timestamp>,
}

/// A row of `raw.tracking_event`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) key: String,
    pub(super) source: String,
    pub(super) received_at: Timestamp,
    pub(super) body_sha256: String,
    pub(super) file: String,
    pub(super) line: u64,
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) key: String,
    pub(super) source: &'static str,
}

/// All that is known of a minute.
#[derive(Debug, Clone)]
pub(super) struct Evidence {
    pub(super) minute: Timestamp,
    pub(super) now: Timestamp,
    /// How long an object may wait to be loaded.
    pub(super) load_grace: SignedDuration,
    /// The objects of the minute.
    pub(super) objects: Vec<Object>,
    /// Objects of other minutes that a row of this one names.
    pub(super) elsewhere: Vec<Object>,
    /// Rows that arrived in the minute.
    pub(super) rows: Vec<Row>,
    /// Rows of keys that landed in the minute, whenever they arrived first.
    pub(super) known: HashMap<String, Row>,
    /// Key and body of conflicts.
    pub(super) conflicts: HashSet<(String, String)>,
    /// Rejected lines: file and number, 0 for the whole.
    pub(super) rejected: HashSet<(String, u64)>,
    pub(super) letters: Vec<Letter>,
    /// With their keys.
    pub(super) receipts: Vec<Receipt>,
    /// By source.
    pub(super) covers: BTreeMap<&'static str, Cover>,
    /// Sources of which somebody may have been at work whose receipts never reached the lake.
    pub(super) silent: BTreeSet<&'static str>,
}
