//! The mover that moves nothing: compares what was received, landed and loaded with each other, minute by minute, and
//! all of it with AfterShip's own list; names every difference.
//!
//! Receipts, manifests and the warehouse each know a count and a hash of the event keys of a minute (`minutes`, `bag`).
//! Where these agree nothing more is read. Where they do not, the minute's objects and rows are, and each difference is
//! named by its id (`compare`). The order of looking is that of letting go backwards: the queue first, then the lake, then
//! the rows, so that what moves on meanwhile is met again and not missed.
//!
//! It changes nothing, but for [`sweep::heal()`], which sends what AfterShip has and we have not through the queue.

mod bag;
mod compare;
mod evidence;
mod fates;
mod minutes;
mod read;
pub mod rebuild;
mod report;
mod rows;
pub mod sweep;
mod walk;

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::aftership::client::ApiError;
use crate::event::minute_of;
use crate::lake::{Lake, LakeError};
use crate::queue::{Queue, SendError};
use crate::warehouse::{Warehouse, WarehouseError};

pub use report::{Difference, Kind, Minute, Report, Stage};

use walk::Walk;

/// The mover.
pub struct Reconcile {
    /// Where receipts, objects and dead letters are.
    pub lake: Arc<dyn Lake>,
    /// Where rows are.
    pub warehouse: Arc<dyn Warehouse>,
    /// Where what has not landed may wait; `None`: nobody can be asked.
    pub queue: Option<Arc<dyn Queue>>,
    /// How.
    pub settings: ReconcileSettings,
}

/// How to compare.
#[derive(Debug, Clone)]
pub struct ReconcileSettings {
    /// Read every object, whatever the hashes say, and hold its bytes against its name.
    pub deep: bool,
    /// How long an object may wait to be loaded.
    pub load_grace: Duration,
    /// Messages in the spool of a receiver on this machine.
    pub spooled: u64,
    /// Messages in the queue's own dead-letter queue.
    pub set_aside: u64,
    /// How long an acknowledged event may be on its way to the lake, where the queue cannot tell how old its messages are.
    pub travel_max: Duration,
    /// How long AfterShip's newest state of a tracking may be on its way to the facts.
    pub behind_grace: Duration,
}

impl Default for ReconcileSettings {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        ReconcileSettings {
            deep: false,
            load_grace: minutes(10),
            spooled: 0,
            set_aside: 0,
            travel_max: minutes(10),
            behind_grace: minutes(10),
        }
    }
}

/// Whole UTC minutes: from the first until before the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first minute.
    pub from: Timestamp,
    /// The minute behind the last one.
    pub until: Timestamp,
}

impl Span {
    /// The minutes since `from` that ended at least `settle` before `until`; without any time to settle the one that
    /// `until` lies in, too.
    pub fn settled(from: Timestamp, until: Timestamp, settle: Duration) -> Span {
        let settle = SignedDuration::try_from(settle).unwrap_or(SignedDuration::MAX);
        let last = until.checked_sub(settle).unwrap_or(Timestamp::UNIX_EPOCH);
        let whole = minute_of(last);
        let is_running = settle.is_zero() && last > whole;
        Span {
            from: minute_of(from),
            until: if is_running { whole + SignedDuration::from_mins(1) } else { whole },
        }
    }

    fn minute(minute: Timestamp) -> Span {
        Span { from: minute, until: minute + SignedDuration::from_mins(1) }
    }
}

/// Why it stopped; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The lake.
    #[error("cannot read the lake")]
    Lake(#[from] LakeError),
    /// The warehouse.
    #[error("cannot ask the warehouse")]
    Warehouse(#[from] WarehouseError),
    /// AfterShip.
    #[error("cannot ask AfterShip")]
    Api(#[from] ApiError),
    /// The queue.
    #[error("cannot send to the queue")]
    Queue(#[from] SendError),
}

impl Reconcile {
    /// Compares a span. `progress` gets (done, of) in minutes.
    pub async fn compare(
        &self,
        span: Span,
        now: Timestamp,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Report, ReconcileError> {
        let mut walk = Walk::begin(self, span, now).await?;
        let minutes: Vec<Timestamp> = minutes::minutes(span.from, span.until).collect();
        let of = minutes.len() as u64;
        for (done, minute) in (1..).zip(minutes) {
            walk.step(minute).await?;
            progress(done, of);
        }
        walk.finish().await
    }
}

#[cfg(test)]
mod tests;
