//! The mover from AfterShip's REST API to the queue.
//!
//! Asks for what was updated since the last time ([`window`]), page by page (`walk`), and sends each snapshot that is new to
//! the queue as an event (`send`), exactly as a webhook would have brought it: from the queue on it is the same path. How
//! far it has come is kept in the lake ([`state`]), and only after everything it speaks of is durable in the queue. So a
//! run can be stopped or killed anywhere and the next one goes on from there. A window that is too much to be read in one
//! go is read in pieces (`piece`).
//!
//! What it finds repairs what webhooks lost: outages of more than 68 hours, parcels without events, wrong secrets. What
//! it cannot find: states between two polls, deleted parcels (`reconcile` names those), and anything of a parcel that was
//! created more than 120 days ago. When AfterShip or the queue fails, the poll is late; receiving goes on.

mod piece;
mod send;
pub mod state;
mod walk;
pub mod window;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::aftership::api::{self, KEPT_DAYS};
use crate::aftership::client::{Api, ApiError};
use crate::event::format_instant;
use crate::lake::receipt::ReceiptBook;
use crate::lake::{Lake, LakeError};
use crate::ops::health::Health;
use crate::ops::metrics;
use crate::ops::retry::Backoff;
use crate::queue::Queue;

use state::StateError;
use walk::Memory;

/// The mover's name.
const MOVER: &str = "poll";

/// The component in readiness.
const COMPONENT: &str = "aftership";

/// The longest that one step may rightly take: a question with all its attempts, the sending of some snapshots.
const STEP_MAX: Duration = Duration::from_secs(15 * 60);

/// How long the lake may take once the poll is to stop.
const STOPPING_MAX: Duration = Duration::from_secs(3);

/// Waits after a failure.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// How the poll works.
#[derive(Debug, Clone)]
pub struct PollSettings {
    /// How often to ask.
    pub interval: Duration,
    /// How much of the last window is asked for again: more than clocks differ and AfterShip shows late.
    pub overlap: Duration,
    /// Where the very first window begins; otherwise as far back as AfterShip goes.
    pub since: Option<Timestamp>,
    /// `since` counts although a poll has come further: for somebody who asks for it. An order that was stopped is gone on
    /// with by the next one that asks for no more; one that is done is done again.
    pub again: bool,
    /// Trackings a page, 1 to 200.
    pub page: u16,
    /// How often to keep how far it has come, in the middle of a window.
    pub save_every: Duration,
}

impl Default for PollSettings {
    fn default() -> Self {
        PollSettings {
            interval: Duration::from_secs(5 * 60),
            overlap: Duration::from_secs(10 * 60),
            since: None,
            again: false,
            page: api::LIMIT_MAX,
            save_every: Duration::from_secs(1),
        }
    }
}

/// What has been polled since the start.
#[derive(Debug, Default)]
pub struct Polled {
    /// Snapshots in the queue.
    pub sent: AtomicU64,
    /// Snapshots that were there already.
    pub unchanged: AtomicU64,
    /// Of those sent, what cannot be read and becomes a dead letter.
    pub unreadable: AtomicU64,
    /// Snapshots too large for the queue, set aside as dead letters.
    pub too_large: AtomicU64,
}

/// The mover.
pub struct Poll {
    /// Where snapshots come from.
    pub api: Api,
    /// Where they go.
    pub queue: Arc<dyn Queue>,
    /// Where it is kept how far the poll has come.
    pub lake: Arc<dyn Lake>,
    /// How.
    pub settings: PollSettings,
    /// Watchdog.
    pub health: Health,
    /// Counts for whoever looks.
    pub polled: Arc<Polled>,
    /// What was taken in, for `reconcile`.
    pub receipts: Option<ReceiptBook>,
}

/// What a run did, as `poll --once` prints it. `snapshots` is the sum of sent, unchanged and too large.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PollReport {
    /// Answers read.
    pub pages: u64,
    /// Trackings in them.
    pub snapshots: u64,
    /// In the queue.
    pub sent: u64,
    /// There already.
    pub unchanged: u64,
    /// Of those sent, what cannot be read and becomes a dead letter.
    pub unreadable: u64,
    /// Too large for the queue, and a dead letter already.
    pub too_large: u64,
    /// All updates from here on were asked for,
    #[serde(serialize_with = "state::instant_or_null::serialize")]
    pub from: Option<Timestamp>,
    /// until here.
    #[serde(serialize_with = "state::instant_or_null::serialize")]
    pub until: Option<Timestamp>,
    /// What should have been asked for, and is older than AfterShip keeps.
    #[serde(serialize_with = "state::instant_or_null::serialize")]
    pub out_of_reach: Option<Timestamp>,
    /// How often a window or a piece of one began again, since AfterShip no longer knew the cursor.
    pub restarts: u64,
    /// How far AfterShip's clock is ahead of ours, when they differ by more than 30 s.
    pub clock_ahead_seconds: Option<i64>,
    /// False when it was stopped before the end; the next run goes on from there.
    pub is_complete: bool,
}

/// Why a run ended early. What was sent until then stays sent, and the next run goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// AfterShip.
    #[error("cannot list AfterShip's trackings")]
    Api(#[from] ApiError),
    /// A list that goes round in a circle would never end.
    #[error("AfterShip's API gave the same cursor twice in one window: the next run begins the window again")]
    RepeatedCursor,
    /// The queue.
    #[error("cannot send snapshots to the queue: {0}")]
    Queue(String),
    /// The lake.
    #[error("cannot keep how far the poll has come")]
    State(#[from] StateError),
    /// The lake.
    #[error("cannot set aside a snapshot that is too large for the queue")]
    SetAside(#[source] LakeError),
    /// The lake is too slow for a poll that is to stop.
    #[error("stopped before the lake answered; the next run goes on from what was kept before")]
    CutShort,
}

impl PollError {
    /// The step that failed, as in metrics.
    pub fn step(&self) -> &'static str {
        match self {
            PollError::Api(_) | PollError::RepeatedCursor => "list",
            PollError::Queue(_) => "queue",
            PollError::State(_) | PollError::SetAside(_) | PollError::CutShort => "state",
        }
    }

    /// Will asking again soon not help?
    fn is_for_people(&self) -> bool {
        matches!(
            self,
            PollError::Api(ApiError::Refused { .. } | ApiError::Unusable(_) | ApiError::TooMany)
                | PollError::State(StateError::Unusable(_))
        )
    }
}

/// Gets (done, of) in trackings.
type Progress<'a> = dyn FnMut(u64, u64) + Send + 'a;

impl Poll {
    /// Asks for all that is new now, and returns. `progress` gets (done, of) in trackings.
    pub async fn run_once(
        &self,
        stop: &CancellationToken,
        mut progress: impl FnMut(u64, u64) + Send,
    ) -> Result<PollReport, PollError> {
        metrics::poll_begins();
        let mut report = PollReport::default();
        let outcome = self.round(&mut None, stop, &mut report, &mut progress).await;
        self.health.rest(MOVER);
        match outcome {
            Ok(()) => Ok(report),
            Err(error) => {
                metrics::poll_failure(error.step());
                Err(error)
            }
        }
    }

    /// Asks again and again, until `stop`; what is being sent is sent first.
    pub async fn run(self, stop: CancellationToken) {
        metrics::poll_begins();
        let mut backoff = Backoff::new(BACKOFF_FIRST, BACKOFF_MAX);
        let mut memory = None;
        let mut said = None;
        while !stop.is_cancelled() {
            let mut ignore = |_: u64, _: u64| {};
            let outcome = self.round(&mut memory, &stop, &mut PollReport::default(), &mut ignore).await;
            let pause = match outcome {
                Ok(()) => {
                    backoff.reset();
                    said = None;
                    self.health.set_ready(COMPONENT, Ok(()));
                    self.settings.interval
                }
                Err(error) if stop.is_cancelled() => {
                    debug!(%error, "the last poll was cut short, the next start goes on from there");
                    break;
                }
                Err(error) => {
                    self.note(&error, &mut said);
                    if error.is_for_people() {
                        self.settings.interval.max(BACKOFF_MAX)
                    } else {
                        backoff.next()
                    }
                }
            };
            let rest = async {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = stop.cancelled() => {}
                }
            };
            self.health.attended(MOVER, pause + STEP_MAX, rest).await;
        }
        self.health.rest(MOVER);
    }

    /// Reads what a run before left unfinished, then all until now.
    async fn round(
        &self,
        memory: &mut Option<Memory>,
        stop: &CancellationToken,
        report: &mut PollReport,
        progress: &mut Progress<'_>,
    ) -> Result<(), PollError> {
        let memory = match memory {
            Some(memory) => memory,
            None => memory.insert(self.remember(stop).await?),
        };
        loop {
            let PollSettings { overlap, since, .. } = self.settings;
            let now = window::agreed(Timestamp::now(), memory.ahead);
            let Some(plan) = window::plan(&memory.state, now, overlap, since, memory.again) else {
                report.is_complete = true;
                return Ok(());
            };
            report.from = report.from.or(Some(plan.window.from));
            if let Some(wanted) = plan.out_of_reach {
                report.out_of_reach = Some(wanted);
                let (wanted, from) = (format_instant(wanted), format_instant(plan.window.from));
                warn!(
                    wanted,
                    from,
                    "AfterShip keeps trackings for {KEPT_DAYS} days: what was updated before {from} is not asked for"
                );
            }
            let is_resumed = plan.is_resumed;
            let walked = self.walk(plan, memory, stop, report, progress).await;
            let is_worth_keeping =
                |error: &PollError| !matches!(error, PollError::State(_) | PollError::CutShort);
            if walked.as_ref().is_err_and(is_worth_keeping) {
                // What was sent before the failure need not be sent again.
                self.keep_if_changed(memory, stop).await.unwrap_or_else(|error| self.note(&error, &mut None));
            }
            if !walked? {
                return Ok(());
            }
            if !is_resumed {
                report.is_complete = true;
                return Ok(());
            }
        }
    }

    /// Waits for the lake, but not for long once it is to stop: it may try for a minute, and what it had to keep is only
    /// sent once more.
    async fn with_lake<T>(
        &self,
        stop: &CancellationToken,
        work: impl Future<Output = T> + Send,
    ) -> Result<T, PollError> {
        let long_stopped = async {
            stop.cancelled().await;
            tokio::time::sleep(STOPPING_MAX).await;
        };
        tokio::select! {
            biased;
            outcome = self.health.attended(MOVER, STEP_MAX, work) => Ok(outcome),
            () = long_stopped => Err(PollError::CutShort),
        }
    }

    /// Says what is wrong, once. The poll is late, receiving is not: this must not turn webhooks away.
    fn note(&self, error: &PollError, said: &mut Option<String>) {
        let reason = error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"));
        metrics::poll_failure(error.step());
        self.health.set_degraded(COMPONENT, &reason);
        if said.as_ref() == Some(&reason) {
            debug!(error = %reason, "poll failed again");
        } else {
            warn!(error = %reason, "poll failed, trying on");
            *said = Some(reason);
        }
    }
}

#[cfg(test)]
mod tests;
