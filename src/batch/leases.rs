//! The messages we hold: keeps their leases from ending while we work on them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::ops::metrics;
use crate::queue::{Lease, Queue, QueueError};

/// All leases held at this moment, shared by the loop, the flushes and the heartbeat.
#[derive(Clone)]
pub(super) struct Held {
    inner: Arc<Inner>,
}

struct Inner {
    /// When each lease must be extended next.
    leases: Mutex<HashMap<Lease, Instant>>,
    room: Notify,
    lease: Duration,
}

impl Held {
    pub(super) fn new(lease: Duration) -> Self {
        Held { inner: Arc::new(Inner { leases: Mutex::default(), room: Notify::new(), lease }) }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Lease, Instant>> {
        self.inner.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, leases: impl IntoIterator<Item = Lease>) {
        let due = Instant::now() + self.inner.lease / 3;
        self.lock().extend(leases.into_iter().map(|lease| (lease, due)));
    }

    pub(super) fn remove(&self, leases: &[Lease]) {
        let mut held = self.lock();
        for lease in leases {
            held.remove(lease);
        }
        drop(held);
        self.inner.room.notify_waiters();
    }

    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Waits until fewer than `max` are held.
    pub(super) async fn room(&self, max: usize) {
        loop {
            let freed = self.inner.room.notified();
            if self.count() < max {
                return;
            }
            freed.await;
        }
    }

    /// Extends every lease in time until told to stop.
    pub(super) async fn heartbeat(self, queue: Arc<dyn Queue>, stop: CancellationToken) {
        let mut tick = tokio::time::interval((self.inner.lease / 12).max(Duration::from_millis(20)));
        loop {
            tokio::select! {
                _ = tick.tick() => self.extend_due(queue.as_ref()).await,
                () = stop.cancelled() => return,
            }
        }
    }

    async fn extend_due(&self, queue: &dyn Queue) {
        let now = Instant::now();
        let due: Vec<Lease> =
            self.lock().iter().filter(|(_, due)| **due <= now).map(|(lease, _)| lease.clone()).collect();
        if due.is_empty() {
            return;
        }
        let fates = queue.extend(&due, self.inner.lease).await;
        let next = Instant::now() + self.inner.lease / 3;
        let mut lost = 0;
        let mut held = self.lock();
        for (lease, fate) in due.iter().zip(&fates) {
            match fate {
                Ok(()) => {
                    if let Some(due) = held.get_mut(lease) {
                        *due = next;
                    }
                }
                // Somebody else has it now. We still land it: a duplicate is absorbed later, a gap is not.
                Err(QueueError::LeaseOver) => {
                    lost += u64::from(held.contains_key(lease));
                    if let Some(due) = held.get_mut(lease) {
                        *due = now + Duration::from_secs(3600);
                    }
                }
                Err(_) => {}
            }
        }
        drop(held);
        if lost > 0 {
            metrics::batch_lease_lost(lost);
            warn!(lost, "leases ended while their messages were held: they will come again as duplicates");
        }
    }
}
