//! What the stand-in's REST API knows: the newest snapshot of every parcel, in the order of its listing.
//!
//! An event lands here when it happens, whatever becomes of its webhook. Pure: time comes in with the snapshots and the
//! questions.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use super::{Delivery, Snapshot};

/// Most parcels of a page.
pub const LIMIT_MAX: usize = 200;

/// Parcels of a page when nothing is said.
pub const LIMIT_DEFAULT: usize = 100;

/// A parcel whose last event lies this many snapshots back may be deleted.
const DELETED_AFTER: u64 = 100;

/// A shelf that a sender fills while a service reads it.
pub type SharedShelf = Arc<Mutex<Shelf>>;

/// What a shelf keeps.
#[derive(Debug, Clone, PartialEq)]
pub struct ShelfOptions {
    /// Share of the parcels that the shop deletes some time after their last event, 0 to 1.
    pub deleted_rate: f64,
    /// Parcels at most; beyond it the one that was not updated for the longest time goes.
    pub parcels_max: usize,
}

impl Default for ShelfOptions {
    fn default() -> Self {
        // About a gigabyte.
        ShelfOptions { deleted_rate: 0.0, parcels_max: 100_000 }
    }
}

/// Where a parcel stands in the listing: by its last update, oldest first, then by its id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Milliseconds since 1970.
    pub updated_ms: i64,
    /// The parcel's id.
    pub id: String,
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Start {
    /// At the beginning.
    #[default]
    First,
    /// Behind this position, whether or not anything stands there now.
    After(Position),
    /// At this page, from 1, of those that all have the same length.
    Page(u64),
}

/// A question for a page. All bounds count as within.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListAsk {
    /// Tracked since then or later.
    pub created_min: Option<Timestamp>,
    /// Tracked since then or earlier.
    pub created_max: Option<Timestamp>,
    /// Updated then or later.
    pub updated_min: Option<Timestamp>,
    /// Updated then or earlier.
    pub updated_max: Option<Timestamp>,
    /// Parcels of a page, 1 to [`LIMIT_MAX`].
    pub limit: usize,
    /// Where the page begins.
    pub start: Start,
}

impl Default for ListAsk {
    fn default() -> Self {
        ListAsk {
            created_min: None,
            created_max: None,
            updated_min: None,
            updated_max: None,
            limit: LIMIT_DEFAULT,
            start: Start::First,
        }
    }
}

/// A page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Its parcels, in the order of the listing.
    pub snapshots: Vec<Arc<Snapshot>>,
    /// Parcels of all pages.
    pub total: usize,
    /// The last of these parcels, if there are more behind it.
    pub next: Option<Position>,
}

/// The newest snapshot of every parcel.
#[derive(Debug, Default)]
pub struct Shelf {
    options: ShelfOptions,
    parcels: HashMap<String, Arc<Snapshot>>,
    legacy_ids: HashMap<String, String>,
    order: BTreeMap<Position, Arc<Snapshot>>,
    /// These do not come back.
    deleted: HashSet<String>,
    /// To be deleted, each with the snapshot it comes after.
    leaving: VecDeque<(u64, String)>,
    taken: u64,
}

impl Shelf {
    /// An empty one.
    pub fn new(options: ShelfOptions) -> Self {
        Shelf { options, ..Shelf::default() }
    }

    /// Takes what happened. True when something new is known now: not for what carries no snapshot, comes again, comes
    /// after newer ones, or is of a deleted parcel.
    pub fn put(&mut self, delivery: &Delivery) -> bool {
        let Some(snapshot) = &delivery.snapshot else { return false };
        self.delete_due();
        let is_known = self.parcels.get(&snapshot.id).is_some_and(|known| known.number >= snapshot.number);
        if is_known || self.deleted.contains(&snapshot.id) {
            return false;
        }
        self.take_down(&snapshot.id);
        self.set_up(Arc::clone(snapshot));
        self.taken += 1;
        if snapshot.is_last && share_of(&snapshot.id) < self.options.deleted_rate {
            self.leaving.push_back((self.taken + DELETED_AFTER, snapshot.id.clone()));
        }
        while self.parcels.len() > self.options.parcels_max.max(1) {
            let Some(oldest) = self.order.first_key_value().map(|(position, _)| position.id.clone()) else {
                break;
            };
            self.take_down(&oldest);
        }
        true
    }

    /// Deletes a parcel, by its id, as the shop may do. True when it was there.
    pub fn remove(&mut self, id: &str) -> bool {
        self.deleted.insert(id.to_owned());
        self.take_down(id)
    }

    /// The parcel of this id, or of this legacy id.
    pub fn get(&self, id: &str) -> Option<Arc<Snapshot>> {
        let by_legacy_id = || self.parcels.get(self.legacy_ids.get(id)?);
        self.parcels.get(id).or_else(by_legacy_id).cloned()
    }

    /// Parcels.
    pub fn len(&self) -> usize {
        self.parcels.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.parcels.is_empty()
    }

    /// All of them, in the order of the listing.
    pub fn snapshots(&self) -> impl Iterator<Item = &Snapshot> {
        self.order.values().map(|snapshot| &**snapshot)
    }

    /// One page of those that a question is about.
    pub fn list(&self, ask: &ListAsk) -> Page {
        let limit = ask.limit.clamp(1, LIMIT_MAX);
        let from = ask.updated_min.map_or(i64::MIN, Timestamp::as_millisecond);
        let to = ask.updated_max.map_or(i64::MAX, Timestamp::as_millisecond);
        let first = Position { updated_ms: from, id: String::new() };
        let in_window = self.order.range(first..).take_while(|(position, _)| position.updated_ms <= to);
        let mut page = Page::default();
        let (mut last, mut has_more) = (None, false);
        for (position, snapshot) in in_window.filter(|(_, snapshot)| is_created_within(snapshot, ask)) {
            let is_before = match &ask.start {
                Start::First => false,
                Start::After(after) => position <= after,
                Start::Page(number) => {
                    (page.total as u64) < number.saturating_sub(1).saturating_mul(limit as u64)
                }
            };
            page.total += 1;
            if is_before {
                continue;
            }
            if page.snapshots.len() < limit {
                page.snapshots.push(Arc::clone(snapshot));
                last = Some(position);
            } else {
                has_more = true;
            }
        }
        page.next = last.filter(|_| has_more).cloned();
        page
    }

    fn set_up(&mut self, snapshot: Arc<Snapshot>) {
        self.legacy_ids.insert(snapshot.legacy_id.clone(), snapshot.id.clone());
        self.order.insert(position(&snapshot), Arc::clone(&snapshot));
        self.parcels.insert(snapshot.id.clone(), snapshot);
    }

    fn take_down(&mut self, id: &str) -> bool {
        let Some(snapshot) = self.parcels.remove(id) else { return false };
        self.legacy_ids.remove(&snapshot.legacy_id);
        self.order.remove(&position(&snapshot));
        true
    }

    fn delete_due(&mut self) {
        while self.leaving.front().is_some_and(|(due, _)| *due <= self.taken) {
            if let Some((_, id)) = self.leaving.pop_front() {
                self.remove(&id);
            }
        }
    }
}

fn position(snapshot: &Snapshot) -> Position {
    Position { updated_ms: snapshot.updated_at.as_millisecond(), id: snapshot.id.clone() }
}

fn is_created_within(snapshot: &Snapshot, ask: &ListAsk) -> bool {
    let created_at = snapshot.created_at;
    ask.created_min.is_none_or(|min| created_at >= min) && ask.created_max.is_none_or(|max| created_at <= max)
}

/// A number from 0 to below 1 that an id always has: its digits are random already.
fn share_of(id: &str) -> f64 {
    let digits = id.get(..8).and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or_default();
    f64::from(digits) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests;
