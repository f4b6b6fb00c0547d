//! Brings what was spooled to SQS when SQS is back: gently, so that fresh events go first.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::Inner;
use crate::failpoint::{failpoint, seeded_bug};
use crate::ops::metrics;
use crate::queue::{Delivery, Lease, Queue, SendError};

/// Messages of one step, at most. One step runs at a time, beside dozens of calls at once for fresh events.
const STEP_MAX: usize = 100;
/// How long a message is hidden while it is on its way; what a crash costs.
const LEASE: Duration = Duration::from_secs(10);
/// How long one look into the spool waits.
const WAIT: Duration = Duration::from_millis(500);
/// A message that SQS will never take comes up again so seldom, for whoever raises the queue's limit.
const LEASE_TOO_LARGE: Duration = Duration::from_secs(600);
/// After a spool that cannot be read.
const PAUSE: Duration = Duration::from_secs(1);

/// Works until `stop`.
pub(super) async fn run(inner: Arc<Inner>, stop: CancellationToken) {
    tokio::select! {
        // What is under way when it is dropped is a duplicate at worst: messages leave the spool last.
        () = stop.cancelled() => {}
        () = work(&inner) => {}
    }
}

async fn work(inner: &Inner) {
    // Doubles with each step that went through, and begins anew after a failure: a queue that has just come back is
    // not run over by what waited for it.
    let mut step = 1;
    loop {
        let next_try = inner.circuit().next_try();
        let is_open = next_try.is_some();
        if let Some(until) = next_try {
            step = 1;
            sleep_until(until).await;
        }
        match inner.spool.receive(step, WAIT, LEASE).await {
            Ok(deliveries) if deliveries.is_empty() => {
                // Nothing to try it with.
                if is_open {
                    inner.note(inner.main.probe().await.map_err(|error| error.to_string()));
                }
            }
            Ok(deliveries) => {
                step = if forward(inner, deliveries).await { (step * 2).min(STEP_MAX) } else { 1 };
            }
            Err(error) => {
                warn!(%error, "cannot read the spool, trying on");
                sleep(PAUSE).await;
            }
        }
    }
}

/// One step; false when not everything went through.
async fn forward(inner: &Inner, deliveries: Vec<Delivery>) -> bool {
    let (bodies, leases): (Vec<String>, Vec<Lease>) =
        deliveries.into_iter().map(|delivery| (delivery.body, delivery.lease)).unzip();
    if seeded_bug!("forward_deletes_first") {
        let _ = inner.spool.delete(&leases).await;
    }
    failpoint!("spool.forward.before_send");
    let fates = inner.main.send(bodies).await;
    failpoint!("spool.forward.before_delete");
    let (mut sent, mut back, mut too_large) = (Vec::new(), Vec::new(), Vec::new());
    let mut fault = None;
    for (fate, lease) in fates.into_iter().zip(leases) {
        match fate {
            Ok(_enqueued) => sent.push(lease),
            Err(SendError::TooLarge { bytes, limit }) => {
                error!(
                    bytes,
                    limit,
                    "a spooled event is larger than the queue takes and stays in the spool: raise the queue's \
                     MaximumMessageSize"
                );
                too_large.push(lease);
            }
            Err(SendError::Unavailable(reason)) => {
                fault = Some(reason);
                back.push(lease);
            }
        }
    }
    match fault {
        Some(reason) => inner.note(Err(reason)),
        // Those that are too large say nothing of SQS: it was not asked.
        None if !sent.is_empty() => inner.note(Ok(())),
        None => {}
    }
    // Best effort: without it they come back when their leases end.
    let _ = inner.spool.extend(&back, Duration::ZERO).await;
    let _ = inner.spool.extend(&too_large, LEASE_TOO_LARGE).await;
    let failed = inner.spool.delete(&sent).await.iter().filter(|fate| fate.is_err()).count();
    if failed > 0 {
        warn!(failed, "some events are in the queue but still in the spool: they will be duplicates");
    }
    if !sent.is_empty() {
        metrics::spool_forwarded(sent.len() as u64);
        info!(events = sent.len(), "forwarded {} spooled events to the queue", sent.len());
    }
    failpoint!("spool.forward.after_delete");
    back.is_empty() && too_large.is_empty()
}
