//! The mover from the queue to the lake.
//!
//! Leases messages, groups them by the UTC minute of arrival ([`window`]), and lands each group as one object, then
//! the manifest, then deletes the messages ([`flush`]). What cannot be an event goes to the lake's dead letters
//! with its reason ([`read`]). A message that failed before travels alone, so that it takes no neighbour along.
//! Personal data is treated on the way ([`treatment`]): it is kept, hashed or dropped.
//!
//! Holds at most [`BatchSettings::held_max`] messages (SQS allows 120,000 in flight) and, of their bytes, only the
//! compressed form. Knows nothing of where an event came from.

mod flush;
mod leases;
pub mod read;
mod receive;
mod settings;
pub mod treatment;
pub mod window;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::failpoint::seeded_bug;
use crate::lake::Lake;
use crate::lake::dead_letter::DeadLetter;
use crate::lake::manifest::FlushReason;
use crate::lake::suppressed::Latest;
use crate::ops::health::Health;
use crate::ops::retry::Backoff;
use crate::ops::{metrics, oldest};
use crate::queue::{Delivery, Lease, Queue};

use flush::Flusher;
use leases::Held;
use read::{Readable, Verdict};
pub use settings::BatchSettings;
use window::{Closed, WindowLimits, Windows};

/// What has been landed since the start; the loader waits for `notify` when both run in one process.
#[derive(Debug, Default)]
pub struct Landed {
    /// Events in objects.
    pub events: AtomicU64,
    /// Messages set aside.
    pub dead_letters: AtomicU64,
    /// A loader in this process takes what landed: until then it is noted as waiting.
    pub is_loaded_here: AtomicBool,
    /// Rung after each flush; keeps one ring for a loader that is busy.
    pub notify: Arc<Notify>,
}

/// The mover.
pub struct Batch {
    /// Where messages come from.
    pub queue: Arc<dyn Queue>,
    /// The SQS dead-letter queue, emptied into the lake's dead letters.
    pub dead_letter_queue: Option<Arc<dyn Queue>>,
    /// Where objects go.
    pub lake: Arc<dyn Lake>,
    /// How.
    pub settings: BatchSettings,
    /// Who is erased.
    pub suppressed: Arc<Latest>,
    /// Watchdog.
    pub health: Health,
    /// Counts for whoever looks.
    pub landed: Arc<Landed>,
}

/// Objects on their way to the lake at once.
const FLUSHES_MAX: usize = 4;
/// The longest that a mover without work may wait for its last flushes before the watchdog calls it stuck.
const LANDING_MAX: Duration = Duration::from_secs(24 * 3600);
/// Of a drain's 25 s, what landing may take.
const DRAIN_MAX: Duration = Duration::from_secs(6);

impl Batch {
    /// Runs until `stop`, then lands everything held and returns.
    pub async fn run(self, stop: CancellationToken) {
        let Some(every) = self.settings.every else { return self.work(stop, false).await };
        loop {
            let next = tokio::time::Instant::now() + every;
            self.work(stop.clone(), true).await;
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Runs until the queue is empty, then lands everything held and returns.
    pub async fn run_once(self, stop: CancellationToken) {
        self.work(stop, true).await;
    }

    async fn work(&self, stop: CancellationToken, once: bool) {
        let held = Held::new(self.settings.lease);
        let heartbeat_stop = CancellationToken::new();
        let heartbeat = tokio::spawn(held.clone().heartbeat(Arc::clone(&self.queue), heartbeat_stop.clone()));
        let (sender, receiver) = mpsc::channel(2);
        let receiving = tokio::spawn(receive::run(
            Arc::clone(&self.queue),
            receive::Watch { lake: Arc::clone(&self.lake), suppressed: Arc::clone(&self.suppressed) },
            held.clone(),
            self.settings.clone(),
            sender,
            stop.clone(),
            once,
        ));
        let give_up = CancellationToken::new();
        let flusher = Flusher {
            queue: Arc::clone(&self.queue),
            lake: Arc::clone(&self.lake),
            held: held.clone(),
            landed: Arc::clone(&self.landed),
            give_up: give_up.clone(),
        };
        let emptying = self.dead_letter_queue.clone().map(|queue| {
            let (flusher, lease, stop) = (flusher.clone(), self.settings.lease, stop.clone());
            tokio::spawn(async move { empty_dead_letter_queue(queue, flusher, lease, stop, once).await })
        });

        let ending = tokio::spawn(async move {
            stop.cancelled().await;
            tokio::time::sleep(DRAIN_MAX).await;
            give_up.cancel();
        });

        self.group(receiver, flusher).await;

        let mut ended = vec![receiving.await];
        if let Some(emptying) = emptying {
            ended.push(emptying.await);
        }
        ending.abort();
        heartbeat_stop.cancel();
        ended.push(heartbeat.await);
        for outcome in ended {
            pass_on_panic(outcome);
        }
    }

    /// The loop: groups what comes in, lands what is due, until nothing comes any more.
    async fn group(&self, mut receiver: mpsc::Receiver<Vec<Delivery>>, flusher: Flusher) {
        let mut windows = Windows::new(WindowLimits {
            age: self.settings.age,
            bytes_max: self.settings.bytes_max,
            events_max: self.settings.events_max,
            windows_max: self.settings.windows_max,
            minute_grace: self.settings.minute_grace,
            compression: self.settings.compression,
        });
        let flushes = Flushes::new(flusher);
        let mut tick = tokio::time::interval(
            (self.settings.age / 20).clamp(Duration::from_millis(10), Duration::from_millis(250)),
        );
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut running = JoinSet::new();
        loop {
            // When all flushes are under way (an outage of the lake) nothing more is taken, but the loop goes on
            // turning: it is not stuck, and it must notice the end.
            let has_room = running.len() < FLUSHES_MAX;
            tokio::select! {
                deliveries = receiver.recv(), if has_room => match deliveries {
                    Some(deliveries) => self.sort(deliveries, &mut windows, &flushes, &mut running),
                    None => break,
                },
                _ = tick.tick() => {
                    self.health.beat("batch");
                    metrics::batch_held(windows.events() as u64, windows.bytes_raw());
                    oldest::waits("held", windows.oldest());
                    if has_room {
                        flushes.land(windows.close_due(Timestamp::now()), &mut running);
                    }
                }
                Some(outcome) = running.join_next() => pass_on_panic(outcome),
            }
        }

        let rest = windows.close_all(FlushReason::Drain);
        if seeded_bug!("drain_drops") {
            let leases: Vec<Lease> = rest.into_iter().flat_map(|window| window.leases).collect();
            let _ = self.queue.delete(&leases).await;
        } else {
            flushes.land(rest, &mut running);
        }
        let landing = async {
            while let Some(outcome) = running.join_next().await {
                pass_on_panic(outcome);
            }
        };
        self.health.attended("batch", LANDING_MAX, landing).await;
        self.health.rest("batch");
        metrics::batch_held(0, 0);
        oldest::waits("held", None);
    }

    /// Puts deliveries where they belong, and lands the windows that this fills.
    fn sort(
        &self,
        deliveries: Vec<Delivery>,
        windows: &mut Windows,
        flushes: &Flushes,
        running: &mut JoinSet<()>,
    ) {
        metrics::batch_received(deliveries.len() as u64);
        let now = Timestamp::now();
        let BatchSettings { treatment, attempts_max, .. } = &self.settings;
        let suppressed = self.suppressed.get();
        let mut closed = Vec::new();
        let mut letters = Vec::new();
        let mut alone_count = 0;
        for delivery in deliveries {
            let lease = delivery.lease.clone();
            let verdict = read::read(&delivery, treatment, &suppressed, *attempts_max, now);
            if let Verdict::Event(Readable { redacted: Some(how), .. }) = &verdict {
                metrics::batch_redacted(how.as_str());
            }
            match verdict {
                Verdict::Dead(letter) => letters.push((*letter, lease)),
                Verdict::Event(event) if delivery.receive_count > self.settings.attempts_alone => {
                    debug!(
                        attempts = delivery.receive_count,
                        "a message came again and again, it travels alone"
                    );
                    alone_count += 1;
                    let alone = window::alone(&event, lease, self.settings.compression, now);
                    flushes.land(vec![alone], running);
                }
                Verdict::Event(event) => closed.extend(windows.push(&event, lease, now)),
            }
        }
        if alone_count > 0 {
            warn!(alone_count, "messages came again and again: each travels alone");
        }
        if !letters.is_empty() {
            flushes.bury(letters, running);
        }
        // No room for more: what is held must land, however young it is.
        if windows.events() >= self.settings.held_max / 10 * 9 {
            closed.extend(windows.close_all(FlushReason::Count));
        }
        flushes.land(closed, running);
    }
}

/// A part of the mover that died takes the mover along: half a mover would look alive, and land nothing.
fn pass_on_panic(outcome: Result<(), JoinError>) {
    if let Err(error) = outcome
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

/// Starts flushes; a bounded number write at once.
struct Flushes {
    flusher: Flusher,
    places: Arc<Semaphore>,
}

impl Flushes {
    fn new(flusher: Flusher) -> Self {
        Flushes { flusher, places: Arc::new(Semaphore::new(FLUSHES_MAX)) }
    }

    fn land(&self, closed: Vec<Closed>, running: &mut JoinSet<()>) {
        if closed.is_empty() {
            return;
        }
        let (flusher, places) = (self.flusher.clone(), Arc::clone(&self.places));
        running.spawn(async move {
            let _place = places.acquire_owned().await;
            flusher.land(closed).await;
        });
    }

    fn bury(&self, letters: Vec<(DeadLetter, Lease)>, running: &mut JoinSet<()>) {
        let (flusher, places) = (self.flusher.clone(), Arc::clone(&self.places));
        running.spawn(async move {
            let _place = places.acquire_owned().await;
            flusher.bury(letters).await;
        });
    }
}

/// Copies what SQS itself set aside into the lake's dead letters, within its 14 days.
async fn empty_dead_letter_queue(
    queue: Arc<dyn Queue>,
    flusher: Flusher,
    lease: Duration,
    stop: CancellationToken,
    once: bool,
) {
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
    while !stop.is_cancelled() {
        match queue.receive(10, if once { Duration::ZERO } else { receive::RECEIVE_WAIT }, lease).await {
            Ok(deliveries) if deliveries.is_empty() => {
                if once {
                    return;
                }
            }
            Ok(deliveries) => {
                let now = Timestamp::now();
                let count = deliveries.len();
                let letters = deliveries
                    .into_iter()
                    .map(|delivery| (*read::redriven(&delivery, now), delivery.lease))
                    .collect();
                flusher.bury_from(queue.as_ref(), letters).await;
                info!(count, "emptied {count} messages of the dead-letter queue into the lake");
            }
            Err(error) => {
                metrics::batch_failure("receive_dead_letters");
                warn!(%error, "cannot receive from the dead-letter queue, trying on");
                receive::pause(&mut backoff, &stop).await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
