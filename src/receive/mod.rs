//! The first mover: takes AfterShip's webhooks into the queue.
//!
//! The order of work is cheap before dear, and nothing is parsed before the signature holds: path and method,
//! content encoding, the signature's form, the declared length, a place among the requests at work, the body, the
//! signature itself, the queue. A request is answered 200 once its event is durable, and by one function alone
//! (in `answer`), which takes the queue's proof.
//!
//! Everything is bounded, and what finds no room is refused at once instead of waiting: connections, requests at
//! work, their body bytes, and each step's time.

mod answer;
mod body;
mod connection;
mod finishing;
mod limits;
mod server;
mod webhook;
mod wrap;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::aftership::signature::Verifier;
use crate::lake::receipt::ReceiptBook;
use crate::ops::health::Health;
use crate::ops::shutdown::Shutdown;
use crate::queue::Queue;

use limits::Places;

/// The one path of the public listener.
pub const PATH: &str = "/webhooks/aftership";

/// The mover's name for the watchdog.
const MOVER: &str = "receive";

/// The queue's name in readiness.
const QUEUE: &str = "queue";

/// The limits of receiving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiveSettings {
    /// Largest body.
    pub body_bytes_max: usize,
    /// Time for a request's head, from its first byte.
    pub header_deadline: Duration,
    /// Time for the whole body, however it trickles.
    pub body_deadline: Duration,
    /// Time for the queue to take an event.
    pub enqueue_deadline: Duration,
    /// How long a connection may be silent between requests; load balancers hold theirs for 60 s.
    pub idle_timeout: Duration,
    /// Open connections; less if the process may open few files.
    pub connections_max: usize,
    /// Requests at work.
    pub requests_max: usize,
    /// Body bytes that requests at work may hold together.
    pub body_bytes_in_flight_max: usize,
    /// Header lines of a request.
    pub headers_max: usize,
    /// Bytes of a request's head.
    pub header_bytes_max: usize,
    /// Bytes of path and query.
    pub uri_bytes_max: usize,
    /// How long to go on receiving after readiness is gone.
    pub drain_delay: Duration,
    /// How long requests under way get to finish, after the listener is closed.
    pub finish_max: Duration,
    /// How often a queue that failed is tried.
    pub probe_every: Duration,
    /// How long the queue must have failed, without one success, before we are not ready: some failures among many
    /// successes must not take every receiver out of service.
    pub unready_after: Duration,
}

impl Default for ReceiveSettings {
    fn default() -> Self {
        ReceiveSettings {
            body_bytes_max: 1_048_576,
            header_deadline: Duration::from_secs(10),
            body_deadline: Duration::from_secs(10),
            enqueue_deadline: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(75),
            connections_max: 4_096,
            requests_max: 2_048,
            body_bytes_in_flight_max: 64 * 1024 * 1024,
            headers_max: 64,
            header_bytes_max: 32 * 1024,
            uri_bytes_max: 2 * 1024,
            drain_delay: Duration::from_secs(3),
            finish_max: Duration::from_secs(8),
            probe_every: Duration::from_secs(2),
            unready_after: Duration::from_secs(10),
        }
    }
}

/// What was received, for whoever looks.
#[derive(Debug, Default)]
pub struct Received {
    accepted: AtomicU64,
}

impl Received {
    /// Events that are durable in the queue, even if their sender did not wait for the answer.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }
}

/// Whose signatures count now. Clones share it, and it can be changed while requests are served.
#[derive(Debug, Clone)]
pub struct CurrentVerifier(Arc<RwLock<Arc<Verifier>>>);

impl CurrentVerifier {
    /// Begins with this one.
    pub fn new(verifier: Verifier) -> Self {
        CurrentVerifier(Arc::new(RwLock::new(Arc::new(verifier))))
    }

    /// From now on this one counts. Requests under way are judged by the one they began with.
    pub fn set(&self, verifier: Verifier) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(verifier);
    }

    fn now(&self) -> Arc<Verifier> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The mover, ready to serve.
pub struct Receive {
    shared: Arc<Shared>,
}

/// What all connections and requests share.
struct Shared {
    settings: ReceiveSettings,
    verifier: CurrentVerifier,
    queue: Arc<dyn Queue>,
    health: Health,
    received: Arc<Received>,
    /// Where each request is noted, for reconciling.
    receipts: Option<ReceiptBook>,
    places: Places,
    /// Since when the queue has taken nothing, if it fails.
    failing: Mutex<Option<Instant>>,
    /// Sends to the queue whose clients went away.
    sending: TaskTracker,
    /// The listener is closed: connections end with the request they have, or soon without one.
    closing: CancellationToken,
}

impl Receive {
    /// `verifier` says whose signatures count; `queue` is where events go; `receipts` is where each request is noted, and
    /// kept by whoever gives it.
    pub fn new(
        settings: ReceiveSettings,
        verifier: CurrentVerifier,
        queue: Arc<dyn Queue>,
        health: Health,
        received: Arc<Received>,
        receipts: Option<ReceiptBook>,
    ) -> Self {
        let places = Places::new(settings.requests_max, settings.body_bytes_in_flight_max);
        Receive {
            shared: Arc::new(Shared {
                settings,
                verifier,
                queue,
                health,
                received,
                receipts,
                places,
                failing: Mutex::default(),
                sending: TaskTracker::new(),
                closing: CancellationToken::new(),
            }),
        }
    }

    /// Serves until asked to end; then drains: readiness goes, receiving goes on for the drain delay and every answer
    /// closes its connection; the listener closes; requests under way finish, those among them that come within a second
    /// on connections that were there. Returns when nothing is under way, or time is up.
    pub async fn serve(self, listener: TcpListener, shutdown: Shutdown) {
        server::serve(self.shared, listener, shutdown).await;
    }
}

#[cfg(test)]
mod tests;
