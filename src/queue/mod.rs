//! The first place: where an acknowledged event rests until it has landed in the lake.
//!
//! The promise, held by one contract suite (`tests/contracts/queue.rs`) for every backend:
//! - [`Queue::send`] says `Ok` for a message only once that message is durable.
//! - A received message is leased: nobody else gets it until the lease ends. A message whose lease ends
//!   undeleted comes again, with a higher receive count.
//! - Only [`Queue::delete`] removes a message. Delivery is at least once; order is not promised.
//!
//! What a message holds is not the queue's business: base64 text made by [`crate::event::line`].

pub mod disk;
pub mod late;
pub mod spooled;
pub mod sqs;

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

/// Proof that a message is durable in a queue. Only a queue backend can make one, and the 200 answer takes one.
#[derive(Debug)]
#[must_use]
pub struct Enqueued(pub(in crate::queue) ());

#[cfg(any(test, feature = "failpoints"))]
impl Enqueued {
    /// A lie, for the mistakes that tests ask for.
    pub(crate) fn forged() -> Self {
        Enqueued(())
    }
}

/// A leased message.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The text as sent.
    pub body: String,
    /// What extend and delete need.
    pub lease: Lease,
    /// The queue's own id of the message, the same at each delivery.
    pub message_id: String,
    /// How often it has been received, this time included.
    pub receive_count: u32,
    /// When it was sent, if the backend tells.
    pub sent_at: Option<Timestamp>,
}

/// The right to extend or delete one delivery; opaque outside its backend.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lease(pub(in crate::queue) String);

impl Lease {
    /// A lease of no queue, for tests of what carries leases about.
    #[cfg(test)]
    pub(crate) fn for_tests(text: &str) -> Self {
        Lease(text.to_owned())
    }

    /// The text of such a lease.
    #[cfg(test)]
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

/// How full a queue is. The numbers are approximate on SQS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Waiting to be received.
    pub ready: u64,
    /// Leased and neither deleted nor come back yet.
    pub leased: u64,
    /// Age of the oldest message that is still there, leased or not, where the backend can tell.
    pub oldest: Option<Duration>,
}

/// Why one message was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Larger than this queue takes; sending it again cannot help.
    #[error("message of {bytes} bytes is over the queue's limit of {limit} bytes")]
    TooLarge {
        /// Size of the message text.
        bytes: usize,
        /// What the queue takes.
        limit: usize,
    },
    /// The queue could not take it now; it may be in the queue nevertheless (a lost answer).
    #[error("queue unavailable: {0}")]
    Unavailable(String),
}

/// Why a queue call as a whole failed.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// May heal: the network, a throttle, a busy disk.
    #[error("queue unavailable: {0}")]
    Unavailable(String),
    /// Will not heal by itself: wrong address, no permission, a damaged file.
    #[error("queue refused: {0}")]
    Refused(String),
    /// This lease is over: the message came to somebody else, or is gone.
    #[error("lease is over")]
    LeaseOver,
}

/// A durable queue with leases.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// Sends messages; the answer holds one fate per message, in order. Concurrent calls are grouped by the backend.
    ///
    /// Dropping the returned future does not take back what was handed over: the messages may still be sent.
    async fn send(&self, messages: Vec<String>) -> Vec<Result<Enqueued, SendError>>;

    /// Leases up to `max` messages for `lease`, waiting up to `wait` for the first one. Empty when none came.
    ///
    /// Do not drop the future before it is done: leased messages would stay hidden until their lease ends.
    async fn receive(&self, max: usize, wait: Duration, lease: Duration)
    -> Result<Vec<Delivery>, QueueError>;

    /// Sets leases to end `lease` from now; zero gives them back at once. One fate per lease, in order.
    async fn extend(&self, leases: &[Lease], lease: Duration) -> Vec<Result<(), QueueError>>;

    /// Deletes leased messages for good. One fate per lease, in order. Deleting a deleted one is `Ok`.
    async fn delete(&self, leases: &[Lease]) -> Vec<Result<(), QueueError>>;

    /// How full the queue is.
    async fn depth(&self) -> Result<Depth, QueueError>;

    /// Checks that a durable write would work now, without leaving a message behind.
    async fn probe(&self) -> Result<(), QueueError>;

    /// Largest message text this queue takes, bytes.
    fn message_bytes_max(&self) -> usize;

    /// What operators call it: `disk` or `sqs`.
    fn kind(&self) -> &'static str;

    /// Sends everything still grouped and stops accepting; called once, at the end of a drain.
    async fn close(&self);
}
