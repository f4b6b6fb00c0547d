//! A queue that cannot be reached yet when the program starts. With a spool there is no need to wait for it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::Instant;
use tracing::info;

use super::{Delivery, Depth, Enqueued, Lease, Queue, QueueError, SendError};

/// Between two tries to reach it.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// Until it is known: what every SQS queue takes that was not made smaller on purpose. More could be acknowledged, and
/// never be forwarded.
const MESSAGE_BYTES_SURE: usize = 256 * 1024;

/// How the queue is opened; `None` when there turns out to be none.
pub type Connect =
    Box<dyn Fn() -> BoxFuture<'static, Result<Option<Arc<dyn Queue>>, QueueError>> + Send + Sync>;

/// Opens a queue when it is first used, and tries again while it cannot be reached.
pub struct LateQueue {
    connect: Connect,
    queue: OnceCell<Option<Arc<dyn Queue>>>,
    /// When it was last tried, and what came of it.
    tried: Mutex<Option<(Instant, String)>>,
}

impl LateQueue {
    /// Nothing is opened yet.
    pub fn new(connect: Connect) -> LateQueue {
        LateQueue { connect, queue: OnceCell::new(), tried: Mutex::default() }
    }

    /// The queue, if it can be reached; of many callers one tries.
    async fn reach(&self) -> Result<Option<&Arc<dyn Queue>>, QueueError> {
        if let Some(queue) = self.queue.get() {
            return Ok(queue.as_ref());
        }
        let mut tried = self.tried.lock().await;
        if let Some(queue) = self.queue.get() {
            return Ok(queue.as_ref());
        }
        if let Some((at, reason)) = &*tried
            && at.elapsed() < TRY_EVERY
        {
            return Err(QueueError::Unavailable(reason.clone()));
        }
        match (self.connect)().await {
            Ok(queue) => {
                info!("the queue is reached");
                Ok(self.queue.get_or_init(|| async { queue }).await.as_ref())
            }
            Err(error) => {
                *tried = Some((Instant::now(), error.to_string()));
                Err(error)
            }
        }
    }

    async fn there(&self) -> Result<&Arc<dyn Queue>, QueueError> {
        self.reach().await?.ok_or_else(|| QueueError::Refused("there is no such queue".to_owned()))
    }
}

impl std::fmt::Debug for LateQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LateQueue").field("is_reached", &self.queue.initialized()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Queue for LateQueue {
    async fn send(&self, messages: Vec<String>) -> Vec<Result<Enqueued, SendError>> {
        match self.there().await {
            Ok(queue) => queue.send(messages).await,
            Err(error) => messages.iter().map(|_| Err(SendError::Unavailable(error.to_string()))).collect(),
        }
    }

    /// Empty when there is no such queue.
    async fn receive(
        &self,
        max: usize,
        wait: Duration,
        lease: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        match self.reach().await? {
            Some(queue) => queue.receive(max, wait, lease).await,
            None => {
                tokio::time::sleep(wait).await;
                Ok(Vec::new())
            }
        }
    }

    async fn extend(&self, leases: &[Lease], lease: Duration) -> Vec<Result<(), QueueError>> {
        match self.there().await {
            Ok(queue) => queue.extend(leases, lease).await,
            Err(error) => for_all(leases, &error),
        }
    }

    async fn delete(&self, leases: &[Lease]) -> Vec<Result<(), QueueError>> {
        match self.there().await {
            Ok(queue) => queue.delete(leases).await,
            Err(error) => for_all(leases, &error),
        }
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        match self.reach().await? {
            Some(queue) => queue.depth().await,
            None => Ok(Depth { ready: 0, leased: 0, oldest: None }),
        }
    }

    async fn probe(&self) -> Result<(), QueueError> {
        match self.reach().await? {
            Some(queue) => queue.probe().await,
            None => Ok(()),
        }
    }

    fn message_bytes_max(&self) -> usize {
        let reached = self.queue.get().and_then(Option::as_ref);
        reached.map_or(MESSAGE_BYTES_SURE, |queue| queue.message_bytes_max())
    }

    /// Only what is far away is opened late.
    fn kind(&self) -> &'static str {
        "sqs"
    }

    async fn close(&self) {
        if let Some(Some(queue)) = self.queue.get() {
            queue.close().await;
        }
    }
}

fn for_all(leases: &[Lease], error: &QueueError) -> Vec<Result<(), QueueError>> {
    leases.iter().map(|_| Err(QueueError::Unavailable(error.to_string()))).collect()
}
