//! What a comparison comes to: each minute's counts, and every difference by name. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::event::format_instant;

/// Ids that a difference names; it counts the others.
const IDS_MAX: usize = 100;

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The first minute.
    #[serde(with = "crate::event::instant_text")]
    pub from: Timestamp,
    /// The minute behind the last one.
    #[serde(with = "crate::event::instant_text")]
    pub until: Timestamp,
    /// When it was made.
    #[serde(with = "crate::event::instant_text")]
    pub made_at: Timestamp,
    /// Minutes and sources with anything to tell, in order of time.
    pub minutes: Vec<Minute>,
    /// In order of time.
    pub differences: Vec<Difference>,
    /// What could not be compared, and why.
    pub notes: Vec<String>,
}

impl Report {
    /// Is there no difference but such as are explained?
    pub fn is_clean(&self) -> bool {
        self.differences.iter().all(|difference| difference.is_explained)
    }
}

/// A bag of event keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// How many; a key that is there twice counts twice.
    pub count: u64,
    /// See [`crate::lake::manifest::KeysHash`].
    pub keys_hash: String,
}

/// One UTC minute of arrival, and one source.
#[derive(Debug, Clone, Serialize)]
pub struct Minute {
    /// The minute.
    #[serde(with = "crate::event::instant_text")]
    pub minute: Timestamp,
    /// `webhook` or `api`.
    pub source: &'static str,
    /// Requests.
    pub received: u64,
    /// Of them, signed ones.
    pub verified: u64,
    /// Refusals by error code.
    pub rejected: BTreeMap<String, u64>,
    /// What was acknowledged; `None`: there are no receipts.
    pub acknowledged: Option<Stage>,
    /// Sent without an answer of the queue: they may be in it.
    pub uncertain: u64,
    /// Lines in the lake.
    pub landed: Stage,
    /// Rows of `raw.tracking_event` that arrived in this minute.
    pub loaded: Stage,
    /// Lines that repeat an event.
    pub duplicate: u64,
    /// Lines with another body under the key of an event.
    pub conflict: u64,
    /// Lines that were rejected.
    pub rejected_lines: u64,
    /// Dead letters.
    pub dead_lettered: Stage,
    /// Acknowledged events that may wait in the queue or in its spool.
    pub waiting: u64,
    /// Receipts.
    pub receipts: u64,
    /// Has it no difference but explained ones?
    pub is_clean: bool,
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal;)+) => {
        /// What a difference is: a closed list.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Kind {
            /// All of them, in the order of an event's path.
            pub const ALL: &'static [Kind] = &[$(Kind::$name,)+];

            /// The word in reports.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Kind::$name => $word,)+
                }
            }
        }
    };
}

kinds! {
    /// A receipt is gone from the row of its writer, or is not as it was written.
    ReceiptMissing = "receipt_missing";
    /// A writer of receipts stopped without a word of its end.
    ReceiverDied = "receiver_died";
    /// Landed, and in no receipt although all receipts are there.
    NotReceipted = "not_receipted";
    /// Acknowledged, and neither landed nor dead nor waiting.
    Lost = "lost";
    /// Acknowledged, and may wait in the queue or its spool; explained while it is young enough for that.
    Waiting = "waiting";
    /// An object that a manifest or the ledger names is not in the lake.
    ObjectMissing = "object_missing";
    /// An object or a line of it is not what was written.
    ObjectChanged = "object_changed";
    /// An object is not in the ledger.
    NotLoaded = "not_loaded";
    /// The ledger says that it is loaded, and there is no row.
    RowMissing = "row_missing";
    /// A row that no line in the lake stands for, or not as it is.
    RowForged = "row_forged";
    /// A tracking has events and no row, or another number of checkpoints than it says.
    FactMissing = "fact_missing";
    /// A tracking's row is that of no event, or there is more than one.
    FactForged = "fact_forged";
    /// AfterShip has a newer state of a tracking, or one that we have not at all.
    BehindAftership = "behind_aftership";
    /// AfterShip has a tracking no more.
    DeletedAtAftership = "deleted_at_aftership";
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A difference between two stages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The minute of arrival, where it is about one.
    #[serde(serialize_with = "maybe_instant")]
    pub minute: Option<Timestamp>,
    /// `webhook` or `api`, where it is about one.
    pub source: Option<&'static str>,
    /// What it is.
    pub kind: Kind,
    /// Nothing is wrong, or nothing that has not its reason.
    pub is_explained: bool,
    /// How many ids.
    pub count: u64,
    /// The first of them: event keys, trackings, or lines as `file:line`.
    pub ids: Vec<String>,
    /// What it is and what to do about it.
    pub text: String,
}

impl Difference {
    /// About these ids; they are sorted, counted and cut.
    pub(super) fn of(kind: Kind, mut ids: Vec<String>, text: impl Into<String>) -> Difference {
        ids.sort();
        ids.dedup();
        let count = ids.len() as u64;
        ids.truncate(IDS_MAX);
        Difference { minute: None, source: None, kind, is_explained: false, count, ids, text: text.into() }
    }

    /// In this minute.
    pub(super) fn at(self, minute: Timestamp) -> Difference {
        Difference { minute: Some(minute), ..self }
    }

    /// Of this source.
    pub(super) fn in_source(self, source: &'static str) -> Difference {
        Difference { source: Some(source), ..self }
    }

    /// With its reason.
    pub(super) fn explained(self) -> Difference {
        Difference { is_explained: true, ..self }
    }
}

/// Puts differences in order, and says which minutes they spoil.
pub(super) fn settle(minutes: &mut [Minute], differences: &mut [Difference]) {
    differences.sort_by(|a, b| {
        (a.minute.is_none(), a.minute, a.kind, a.source, &a.ids).cmp(&(
            b.minute.is_none(),
            b.minute,
            b.kind,
            b.source,
            &b.ids,
        ))
    });
    minutes.sort_by_key(|minute| (minute.minute, std::cmp::Reverse(minute.source)));
    for minute in minutes {
        minute.is_clean = !differences.iter().any(|difference| {
            !difference.is_explained
                && difference.minute == Some(minute.minute)
                && difference.source.is_none_or(|source| source == minute.source)
        });
    }
}

fn maybe_instant<S: Serializer>(instant: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match instant {
        Some(instant) => serializer.serialize_str(&format_instant(*instant)),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_words_that_differ() {
        let words: std::collections::BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();

        assert_eq!(words.len(), Kind::ALL.len());
        assert_eq!(serde_json::to_string(&Kind::RowForged).expect("JSON"), "\"row_forged\"");
    }

    #[test]
    fn ids_are_counted_before_they_are_cut() {
        let ids = (0..250).map(|number| format!("{number:03}")).chain(["000".to_owned()]).collect();

        let difference = Difference::of(Kind::Lost, ids, "gone");

        assert_eq!((difference.count, difference.ids.len()), (250, IDS_MAX));
        assert_eq!(difference.ids[0], "000");
    }
}
