//! New events, each when it is due, and onto the shelf as they happen.

use std::sync::PoisonError;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::aftership::simulator::{Delivery, SharedShelf, Simulator, SimulatorOptions};

use super::{GAP_MAX, SendOptions};

/// Lets events happen and tells nobody: they only land on the shelf. Ends after `count` of them, or when stopped, and
/// gives their number; `progress` gets it on the way.
pub async fn happen(
    options: &SendOptions,
    mut progress: impl FnMut(u64) + Send,
    stop: CancellationToken,
) -> u64 {
    let mut source = Source::new(options);
    let mut happened = 0;
    while let Some(due) = source.due() {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = sleep_until(due) => {}
        }
        if source.take_due(Instant::now()).is_some() {
            happened += 1;
            progress(happened);
        }
        // Without a rate nothing else here lets those in who ask about the shelf.
        tokio::task::yield_now().await;
    }
    happened
}

/// New events, each when it is due.
pub(super) struct Source {
    simulator: Simulator,
    left: Option<u64>,
    gap: Duration,
    next_at: Instant,
    is_live: bool,
    clock_skew: SignedDuration,
    shelf: Option<SharedShelf>,
}

impl Source {
    pub(super) fn new(options: &SendOptions) -> Self {
        let simulator = SimulatorOptions {
            rate: options.rate,
            has_snapshots: options.shelf.is_some(),
            ..options.simulator.clone()
        };
        let gap = options.rate.map_or(0.0, |rate| rate.recip());
        Source {
            is_live: simulator.is_live,
            simulator: Simulator::new(options.seed, simulator),
            left: options.count,
            gap: Duration::try_from_secs_f64(gap).unwrap_or(GAP_MAX).min(GAP_MAX),
            next_at: Instant::now(),
            clock_skew: options.clock_skew,
            shelf: options.shelf.clone(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.left == Some(0)
    }

    pub(super) fn due(&self) -> Option<Instant> {
        (!self.is_empty()).then_some(self.next_at)
    }

    pub(super) fn take_due(&mut self, now: Instant) -> Option<Delivery> {
        if self.is_empty() || self.next_at > now {
            return None;
        }
        self.left = self.left.map(|left| left - 1);
        // What slow answers held up is caught up with for a second's worth, not in one burst later.
        self.next_at = (self.next_at + self.gap).max(now.checked_sub(Duration::from_secs(1)).unwrap_or(now));
        let delivery = if self.is_live {
            let now = Timestamp::now();
            self.simulator.deliver_at(now.saturating_add(self.clock_skew).unwrap_or(now))
        } else {
            self.simulator.next()?
        };
        self.shelve(&delivery);
        Some(delivery)
    }

    fn shelve(&mut self, delivery: &Delivery) {
        let unsent = self.simulator.take_unsent();
        if let Some(shelf) = &self.shelf {
            let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
            for happened in unsent.iter().chain([delivery]) {
                shelf.put(happened);
            }
        }
    }
}
