//! Makes closed windows durable in the lake, then lets go of their messages. In this order, always:
//! objects, manifest, delete. A crash in between leaves a duplicate, never a hole.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::failpoint::failpoint;
use crate::lake::dead_letter::{self, DeadLetter, Reason};
use crate::lake::manifest::Manifest;
use crate::lake::{Lake, LakeError, Put, layout};
use crate::ops::retry::Backoff;
use crate::ops::traces::{self, Span};
use crate::ops::{metrics, oldest};
use crate::queue::{Lease, Queue, QueueError};

use super::Landed;
use super::leases::Held;
use super::window::Closed;

/// Dead letters on their way to the lake at once: a flood of them must not hold up healthy events for long.
const LETTERS_AT_ONCE: usize = 16;

/// The age of what never becomes a fact, in the histogram of freshness: above its last bucket, a day.
const NEVER: Duration = Duration::from_secs(2 * 86_400);

/// Proof that everything a set of leases stands for is in the lake. Only this file makes one, and deleting takes it.
#[must_use]
struct Durable {
    leases: Vec<Lease>,
}

/// What a flush needs; cheap to clone.
#[derive(Clone)]
pub(super) struct Flusher {
    pub(super) queue: Arc<dyn Queue>,
    pub(super) lake: Arc<dyn Lake>,
    pub(super) held: Held,
    pub(super) landed: Arc<Landed>,
    /// Ends retrying: what is not durable by then goes back to the queue.
    pub(super) give_up: CancellationToken,
}

impl Flusher {
    /// Lands the windows of one flush. What cannot be landed before we must give up goes back to the queue.
    pub(super) async fn land(&self, closed: Vec<Closed>) {
        let started = Instant::now();
        let leases: Vec<Lease> = closed.iter().flat_map(|window| window.leases.iter().cloned()).collect();
        match self.write(&closed).await {
            Ok(durable) => {
                self.report(&closed, started.elapsed());
                self.let_go(durable).await;
            }
            Err(error) => {
                warn!(batch.events = leases.len(), %error, "cannot land a batch, its messages go back to the queue");
                metrics::batch_failure("put");
                self.give_back(leases).await;
            }
        }
    }

    /// Stores dead letters, then lets go of their messages.
    pub(super) async fn bury(&self, letters: Vec<(DeadLetter, Lease)>) {
        let queue = Arc::clone(&self.queue);
        self.bury_from(queue.as_ref(), letters).await;
    }

    /// The same for messages of another queue (the SQS dead-letter queue).
    pub(super) async fn bury_from(&self, queue: &dyn Queue, letters: Vec<(DeadLetter, Lease)>) {
        let stores = letters.into_iter().map(|(letter, lease)| self.bury_one(letter, lease));
        let outcomes: Vec<(Option<Reason>, Lease)> =
            stream::iter(stores.collect::<Vec<_>>()).buffer_unordered(LETTERS_AT_ONCE).collect().await;
        let mut reasons: BTreeMap<&'static str, u64> = BTreeMap::new();
        let mut buried = Vec::with_capacity(outcomes.len());
        let mut returned = Vec::new();
        for (reason, lease) in outcomes {
            match reason {
                Some(reason) => {
                    *reasons.entry(reason.as_str()).or_default() += 1;
                    buried.push(lease);
                }
                None => returned.push(lease),
            }
        }
        if !buried.is_empty() {
            let count = buried.len();
            warn!(batch.dead_letters = count, ?reasons, "set {count} messages aside as dead letters");
        }
        failpoint!("batch.after_dead_letter");
        if !buried.is_empty() {
            self.let_go_from(queue, Durable { leases: buried }).await;
        }
        if !returned.is_empty() {
            self.give_back_to(queue, returned).await;
        }
    }

    /// Stores one letter; why it is one, or nothing when it could not be stored.
    async fn bury_one(&self, letter: DeadLetter, lease: Lease) -> (Option<Reason>, Lease) {
        failpoint!("batch.before_dead_letter");
        let put = || dead_letter::put(self.lake.as_ref(), &letter);
        match self.until_given_up("dead letter", put).await {
            Ok(_) => {
                debug!(
                    batch.dead_letter = %letter.id, reason = letter.reason.as_str(), attempts = letter.attempts,
                    "set a message aside as dead letter {}", letter.id
                );
                metrics::batch_dead_lettered(letter.reason.as_str());
                // Acknowledged, and not to be queried: the oldest there is, or freshness would look better by it.
                metrics::load_ack_to_fact(NEVER);
                self.landed.dead_letters.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                (Some(letter.reason), lease)
            }
            Err(error) => {
                warn!(%error, "cannot store a dead letter, its message goes back to the queue");
                metrics::batch_failure("dead_letter");
                (None, lease)
            }
        }
    }

    async fn write(&self, closed: &[Closed]) -> Result<Durable, LakeError> {
        for window in closed {
            failpoint!("batch.before_object");
            let put =
                self.until_given_up("object", || self.lake.put_new(&window.key, window.body.clone())).await?;
            if put == Put::AlreadyThere {
                // The name is the hash of the content: it is ours, from a crash or a lost answer.
                metrics::batch_put_already_there();
            }
        }
        failpoint!("batch.after_object");
        let objects: Vec<_> = closed.iter().map(|window| window.manifest.clone()).collect();
        let reason = closed.first().map(|window| window.reason);
        if let Some(reason) = reason {
            let put = || {
                // Loaders look for what is new by this time: it must be of the attempt that succeeds, not of one
                // before a long outage.
                let written_at = crate::event::truncate_to_micros(Timestamp::now());
                let manifest = Manifest { v: 1, written_at, reason, objects: objects.clone() };
                let key = layout::manifest_key(written_at, &manifest.hash());
                async move { self.lake.put_new(&key, Bytes::from(manifest.to_json())).await }
            };
            failpoint!("batch.before_manifest");
            self.until_given_up("manifest", put).await?;
            failpoint!("batch.after_manifest");
        }
        Ok(Durable { leases: closed.iter().flat_map(|window| window.leases.iter().cloned()).collect() })
    }

    /// Repeats what may heal until it does, or until we must give up. Leases are extended meanwhile.
    async fn until_given_up<T, F>(
        &self,
        what: &'static str,
        mut act: impl FnMut() -> F,
    ) -> Result<T, LakeError>
    where
        F: Future<Output = Result<T, LakeError>>,
    {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
        let mut attempts = 0u32;
        loop {
            let outcome = tokio::select! {
                outcome = act() => outcome,
                // A put may try for a minute by itself. What it did by then is a duplicate at worst.
                () = self.give_up.cancelled() => Err(LakeError::Unavailable("time to end".to_owned())),
            };
            match outcome {
                Err(error @ LakeError::Unavailable(_)) if !self.give_up.is_cancelled() => {
                    attempts += 1;
                    metrics::batch_failure("put");
                    // Once, and then each time the wait has become long: an outage is one story, not a thousand.
                    if attempts == 1 || attempts.is_multiple_of(20) {
                        warn!(%error, attempts, "cannot write a {what} to the lake, trying on");
                    }
                    tokio::select! {
                        () = tokio::time::sleep(backoff.next()) => {}
                        () = self.give_up.cancelled() => {}
                    }
                }
                Err(error @ LakeError::Refused(_)) if !self.give_up.is_cancelled() => {
                    // Permissions get mended by people; the messages stay ours meanwhile.
                    attempts += 1;
                    metrics::batch_failure("put_refused");
                    if attempts == 1 || attempts.is_multiple_of(20) {
                        warn!(%error, attempts, "the lake refuses a {what}, trying on");
                    }
                    tokio::select! {
                        () = tokio::time::sleep(Duration::from_secs(5)) => {}
                        () = self.give_up.cancelled() => {}
                    }
                }
                outcome => return outcome,
            }
        }
    }

    fn report(&self, closed: &[Closed], took: Duration) {
        let now = Timestamp::now();
        for window in closed {
            let events = window.manifest.lines;
            metrics::batch_landed(
                events,
                window.bytes_raw,
                window.manifest.bytes,
                took,
                window.reason.as_str(),
            );
            for received_at in &window.received_at {
                metrics::batch_ack_to_lake(
                    Duration::try_from(now.duration_since(*received_at)).unwrap_or_default(),
                );
            }
            for (key, received_at) in window.traced.iter().zip(&window.received_at) {
                traces::record(Span {
                    key: key.clone(),
                    name: "batch",
                    is_root: false,
                    from: *received_at,
                    until: now,
                    attributes: vec![("file", window.key.clone())],
                });
            }
            self.landed.events.fetch_add(events, std::sync::atomic::Ordering::Relaxed);
            info!(
                batch.events = events, batch.bytes = window.manifest.bytes, batch.reason = window.reason.as_str(),
                path = %window.key, "wrote batch of {events} events to {}", window.key
            );
        }
        let first = closed.iter().flat_map(|window| &window.received_at).min();
        if self.landed.is_loaded_here.load(std::sync::atomic::Ordering::Relaxed)
            && let Some(first) = first
        {
            oldest::waits_too(oldest::LANDED, *first);
        }
        metrics::mover_last_success("batch", now);
        self.landed.notify.notify_one();
    }

    async fn let_go(&self, durable: Durable) {
        self.let_go_from(self.queue.as_ref(), durable).await;
    }

    async fn let_go_from(&self, queue: &dyn Queue, durable: Durable) {
        // Delete only after the object is durable: a crash here may duplicate, never lose.
        failpoint!("batch.before_delete");
        let fates = queue.delete(&durable.leases).await;
        failpoint!("batch.after_delete");
        let mut failed = 0;
        for fate in &fates {
            match fate {
                Ok(()) => {}
                Err(QueueError::LeaseOver) => {
                    metrics::batch_lease_lost(1);
                    failed += 1;
                }
                Err(_) => failed += 1,
            }
        }
        metrics::batch_deleted(fates.len() as u64 - failed, failed);
        if let Some(error) = fates.iter().find_map(|fate| fate.as_ref().err()) {
            warn!(failed, %error, "some messages are in the lake but still in the queue: they will come again as duplicates");
        }
        self.held.remove(&durable.leases);
    }

    async fn give_back(&self, leases: Vec<Lease>) {
        self.give_back_to(self.queue.as_ref(), leases).await;
    }

    async fn give_back_to(&self, queue: &dyn Queue, leases: Vec<Lease>) {
        // Best effort: without it they come back when their leases end.
        let _ = queue.extend(&leases, Duration::ZERO).await;
        self.held.remove(&leases);
    }
}
