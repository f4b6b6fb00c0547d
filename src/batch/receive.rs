//! Leasing messages from the queue, as many as there is room for.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::failpoint::failpoint;
use crate::lake::Lake;
use crate::lake::suppressed::Latest;
use crate::ops::metrics;
use crate::ops::retry::Backoff;
use crate::queue::{Delivery, Queue};

use super::BatchSettings;
use super::leases::Held;

/// Messages asked for at once.
const RECEIVE_MAX: usize = 200;
/// Bytes of text that one receive should bring, judged by the last one: SQS cannot be told, and its messages may have
/// 1 MiB each.
const RECEIVE_BYTES: usize = 8 * 1024 * 1024;
/// The first time, when their size is not known yet.
const FIRST_RECEIVE: usize = 10;
/// How old the list of who is erased may be.
const SUPPRESSED_AGE_MAX: Duration = Duration::from_secs(10);
/// How long one receive waits; also the longest that a drain waits for it.
pub(super) const RECEIVE_WAIT: Duration = Duration::from_secs(5);
/// The same where asking is free.
const RECEIVE_WAIT_LOCAL: Duration = Duration::from_millis(500);

/// Where to look who is erased.
pub(super) struct Watch {
    pub(super) lake: Arc<dyn Lake>,
    pub(super) suppressed: Arc<Latest>,
}

/// Leases messages while there is room. Never drops a receive half-way: its messages would stay hidden.
pub(super) async fn run(
    queue: Arc<dyn Queue>,
    watch: Watch,
    held: Held,
    settings: BatchSettings,
    sender: mpsc::Sender<Vec<Delivery>>,
    stop: CancellationToken,
    once: bool,
) {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
    let mut count_max = FIRST_RECEIVE;
    while !stop.is_cancelled() {
        tokio::select! {
            () = held.room(settings.held_max) => {}
            () = stop.cancelled() => return,
        }
        // Nothing is taken in without knowing who is erased.
        let looked = tokio::select! {
            looked = watch.suppressed.keep_fresh(watch.lake.as_ref(), SUPPRESSED_AGE_MAX) => looked,
            () = stop.cancelled() => return,
        };
        if let Err(error) = looked {
            metrics::batch_failure("suppressed");
            warn!(%error, "cannot read who is erased, trying on");
            pause(&mut backoff, &stop).await;
            continue;
        }
        let max = count_max.min(settings.held_max.saturating_sub(held.count())).max(1);
        // A drain waits for this to end; only where asking costs money is a long wait worth it.
        let is_local = queue.kind() == "disk";
        let wait = if once || is_local { RECEIVE_WAIT_LOCAL } else { RECEIVE_WAIT };
        match queue.receive(max, wait, settings.lease).await {
            Ok(deliveries) if deliveries.is_empty() => {
                backoff.reset();
                if once && is_empty(queue.as_ref()).await {
                    return;
                }
            }
            Ok(deliveries) => {
                backoff.reset();
                count_max = receive_max(&deliveries);
                held.add(deliveries.iter().map(|delivery| delivery.lease.clone()));
                failpoint!("batch.after_receive");
                if sender.send(deliveries).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                metrics::batch_failure("receive");
                warn!(%error, "cannot receive from the queue, trying on");
                pause(&mut backoff, &stop).await;
            }
        }
    }
}

/// Until the next attempt, or the end.
pub(super) async fn pause(backoff: &mut Backoff, stop: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(backoff.next()) => {}
        () = stop.cancelled() => {}
    }
}

/// How many messages of this size to ask for next.
fn receive_max(deliveries: &[Delivery]) -> usize {
    let bytes: usize = deliveries.iter().map(|delivery| delivery.body.len()).sum();
    let average = (bytes / deliveries.len().max(1)).max(1);
    (RECEIVE_BYTES / average).clamp(1, RECEIVE_MAX)
}

/// Nothing left to take now. Messages that others hold are theirs.
async fn is_empty(queue: &dyn Queue) -> bool {
    queue.depth().await.is_ok_and(|depth| depth.ready == 0)
}
