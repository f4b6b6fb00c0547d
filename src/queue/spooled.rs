//! SQS, with a disk queue beside it for the time that SQS is away.
//!
//! A send goes to SQS while that works. What SQS does not take, and everything while its [`circuit`] is open, goes
//! durably to the spool and is acknowledged all the same; a forwarder brings it to SQS when that is back, fresh events
//! first. So `Ok` still means *durable*, in one of the two; an event may be in both, and then it is a duplicate.
//!
//! Receiving, extending and deleting are SQS's alone. A spool belongs on a disk that outlives the process: what it
//! holds is forwarded by whoever opens the same folder next.

mod circuit;
mod forward;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::circuit::Circuit;
use super::disk::DiskQueue;
use super::{Delivery, Depth, Enqueued, Lease, Queue, QueueError, SendError};
use crate::failpoint::{failpoint, seeded_bug};
use crate::ops::metrics;

/// What no SQS queue takes more than.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// How long the end waits for a step of forwarding that is under way.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// A queue with a spool.
#[derive(Debug)]
pub struct SpooledQueue {
    inner: Arc<Inner>,
    stop: CancellationToken,
    forwarding: AsyncMutex<Option<JoinHandle<()>>>,
}

struct Inner {
    main: Arc<dyn Queue>,
    spool: Arc<DiskQueue>,
    circuit: Mutex<Circuit>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner")
            .field("spool", &self.spool)
            .field("circuit", &self.circuit)
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came of asking SQS. Logs each change.
    fn note(&self, outcome: Result<(), String>) {
        let mut circuit = self.circuit();
        let was_open = circuit.reason().is_some();
        match outcome {
            Ok(()) => circuit.succeeded(),
            Err(reason) => circuit.failed(&reason, Instant::now()),
        }
        let reason = circuit.reason().map(str::to_owned);
        drop(circuit);
        metrics::spool_circuit(reason.is_some());
        match (was_open, reason) {
            (false, Some(reason)) => warn!(%reason, "the queue takes nothing: events go to the spool"),
            (true, None) => info!("the queue takes events again: the spool is forwarded"),
            _ => {}
        }
    }
}

impl SpooledQueue {
    /// Puts `spool` beside `main`, and begins to forward what it holds. `outage`: why `main` cannot be reached yet; then
    /// nobody waits for it, and all goes to the spool until it is. Needs a tokio runtime.
    pub fn start(main: Arc<dyn Queue>, spool: Arc<DiskQueue>, outage: Option<String>) -> SpooledQueue {
        metrics::spool_begins();
        let inner = Arc::new(Inner { main, spool, circuit: Mutex::default() });
        if let Some(reason) = outage {
            inner.note(Err(reason));
        }
        let stop = CancellationToken::new();
        let forwarding = tokio::spawn(forward::run(Arc::clone(&inner), stop.clone()));
        SpooledQueue { inner, stop, forwarding: AsyncMutex::new(Some(forwarding)) }
    }

    /// The disk queue that events wait in.
    pub fn spool(&self) -> &Arc<DiskQueue> {
        &self.inner.spool
    }

    /// Why events go to the spool, while they do.
    pub fn outage(&self) -> Option<String> {
        self.inner.circuit().reason().map(str::to_owned)
    }

    /// Sends to SQS; gives the fates, and what goes to the spool instead with its place among them.
    async fn try_main(
        &self,
        messages: Vec<String>,
    ) -> (Vec<Option<Result<Enqueued, SendError>>>, Vec<(usize, String)>) {
        let inner = &self.inner;
        let limit = inner.main.message_bytes_max();
        let mut fates: Vec<Option<Result<Enqueued, SendError>>> = Vec::with_capacity(messages.len());
        let mut left: Vec<(usize, String)> = Vec::new();
        for (index, text) in messages.into_iter().enumerate() {
            if text.len() > limit {
                // The spool would take it, and could never forward it. While SQS is away its limit may not be known:
                // then it is for later, not for never.
                let fate = match inner.circuit().reason() {
                    Some(reason) if text.len() <= MESSAGE_BYTES_MAX => {
                        SendError::Unavailable(reason.to_owned())
                    }
                    _ => SendError::TooLarge { bytes: text.len(), limit },
                };
                fates.push(Some(Err(fate)));
            } else {
                fates.push(None);
                left.push((index, text));
            }
        }
        if left.is_empty() || inner.circuit().reason().is_some() {
            return (fates, left);
        }
        let texts = left.iter().map(|(_, text)| text.clone()).collect();
        let mut spooled = Vec::new();
        let mut fault = None;
        let mut any_sent = false;
        for ((index, text), fate) in left.into_iter().zip(inner.main.send(texts).await) {
            match fate {
                Err(SendError::Unavailable(reason)) => {
                    fault = Some(reason);
                    spooled.push((index, text));
                }
                fate => {
                    any_sent |= fate.is_ok();
                    fates[index] = Some(fate);
                }
            }
        }
        match fault {
            Some(reason) => inner.note(Err(reason)),
            None if any_sent && self.outage().is_some() => inner.note(Ok(())),
            None => {}
        }
        (fates, spooled)
    }
}

#[async_trait]
impl Queue for SpooledQueue {
    async fn send(&self, messages: Vec<String>) -> Vec<Result<Enqueued, SendError>> {
        let (mut fates, to_spool) = self.try_main(messages).await;
        if !to_spool.is_empty() {
            let (indexes, texts): (Vec<usize>, Vec<String>) = to_spool.into_iter().unzip();
            failpoint!("spool.before_send");
            let spooled = if seeded_bug!("spool_forgets") {
                texts.iter().map(|_| Ok(Enqueued(()))).collect()
            } else {
                self.inner.spool.send(texts).await
            };
            failpoint!("spool.after_send");
            metrics::spool_spooled(spooled.iter().filter(|fate| fate.is_ok()).count() as u64);
            for (index, fate) in indexes.into_iter().zip(spooled) {
                fates[index] = Some(fate.map_err(|error| neither(self.outage(), &error)));
            }
        }
        fates
            .into_iter()
            .map(|fate| {
                fate.unwrap_or_else(|| Err(SendError::Unavailable("nobody told its fate".to_owned())))
            })
            .collect()
    }

    async fn receive(
        &self,
        max: usize,
        wait: Duration,
        lease: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        self.inner.main.receive(max, wait, lease).await
    }

    async fn extend(&self, leases: &[Lease], lease: Duration) -> Vec<Result<(), QueueError>> {
        self.inner.main.extend(leases, lease).await
    }

    async fn delete(&self, leases: &[Lease]) -> Vec<Result<(), QueueError>> {
        self.inner.main.delete(leases).await
    }

    /// Of SQS alone; the spool is counted apart, see [`SpooledQueue::spool`].
    async fn depth(&self) -> Result<Depth, QueueError> {
        self.inner.main.depth().await
    }

    /// One of the two is enough.
    async fn probe(&self) -> Result<(), QueueError> {
        if self.outage().is_none() && self.inner.main.probe().await.is_ok() {
            return Ok(());
        }
        self.inner.spool.probe().await
    }

    fn message_bytes_max(&self) -> usize {
        self.inner.main.message_bytes_max()
    }

    fn kind(&self) -> &'static str {
        self.inner.main.kind()
    }

    async fn close(&self) {
        self.stop.cancel();
        if let Some(forwarding) = self.forwarding.lock().await.take() {
            let _ = tokio::time::timeout(CLOSE_MAX, forwarding).await;
        }
        self.inner.main.close().await;
        if let Ok(depth) = self.inner.spool.depth().await
            && depth.ready + depth.leased > 0
        {
            let events = depth.ready + depth.leased;
            warn!(events, "{events} events wait in the spool: the next start on this folder forwards them");
        }
        self.inner.spool.close().await;
    }
}

/// Neither took it: what is wrong with each.
fn neither(outage: Option<String>, spool: &SendError) -> SendError {
    let main = outage.unwrap_or_else(|| "the queue did not take it".to_owned());
    SendError::Unavailable(format!("{main}; and the spool: {spool}"))
}
