//! The one replay or drop that runs: begun by a person, watched and cancelled by anybody who may act.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::event::format_instant;
use crate::lake::Lake;
use crate::lake::dead_letter::DeadLetter;
use crate::queue::Queue;
use crate::replay::{self, Order, Report};

use super::fault::Fault;

/// What is done to the letters.
#[derive(Clone)]
pub(super) enum Work {
    /// They go to this queue again.
    Replay(Arc<dyn Queue>),
    /// Nobody wants them.
    Drop,
}

impl Work {
    /// The word on pages and in answers.
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Work::Replay(_) => "replay",
            Work::Drop => "drop",
        }
    }
}

/// A replay or drop, under way or over.
pub(super) struct Job {
    pub(super) id: String,
    pub(super) work: &'static str,
    pub(super) order: Order,
    pub(super) began_at: Timestamp,
    pub(super) total: u64,
    done: AtomicU64,
    stop: CancellationToken,
    end: Mutex<Option<End>>,
}

/// How it ended.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub(super) at: Timestamp,
    pub(super) outcome: Result<Report, String>,
}

impl Job {
    /// Letters that are behind it.
    pub(super) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// How it ended, if it has.
    pub(super) fn end(&self) -> Option<End> {
        lock(&self.end).clone()
    }

    /// Was it asked to stop?
    pub(super) fn is_cancelled(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// `running`, `cancelling`, `done`, `cancelled` or `failed`.
    pub(super) fn state(&self) -> &'static str {
        match (self.end(), self.is_cancelled()) {
            (None, false) => "running",
            (None, true) => "cancelling",
            (Some(End { outcome: Err(_), .. }), _) => "failed",
            (Some(End { outcome: Ok(report), .. }), true)
                if report.done + report.not_replayable < report.chosen =>
            {
                "cancelled"
            }
            (Some(_), _) => "done",
        }
    }

    /// For programs.
    pub(super) fn to_json(&self) -> Value {
        let end = self.end();
        let (report, error) = match end.as_ref().map(|end| &end.outcome) {
            Some(Ok(report)) => (json!(report), Value::Null),
            Some(Err(error)) => (Value::Null, json!(error)),
            None => (Value::Null, Value::Null),
        };
        json!({
            "id": self.id,
            "work": self.work,
            "state": self.state(),
            "where": self.order.filter.to_string(),
            "rate": self.order.rate,
            "reason": self.order.reason,
            "who": self.order.who,
            "began_at": format_instant(self.began_at),
            "ended_at": end.as_ref().map(|end| format_instant(end.at)),
            "total": self.total,
            "done": self.done(),
            "report": report,
            "error": error,
        })
    }
}

/// The last job.
#[derive(Default)]
pub(super) struct Jobs(Mutex<Option<Arc<Job>>>);

impl Jobs {
    /// The last one, whether it still runs or not.
    pub(super) fn last(&self) -> Option<Arc<Job>> {
        lock(&self.0).clone()
    }

    /// Begins one in the background, unless one is running.
    pub(super) fn begin(
        &self,
        lake: &Arc<dyn Lake>,
        work: Work,
        letters: Vec<DeadLetter>,
        order: Order,
    ) -> Result<Arc<Job>, Fault> {
        let job = Arc::new(Job {
            id: uuid::Uuid::now_v7().to_string(),
            work: work.as_str(),
            order,
            began_at: Timestamp::now(),
            total: letters.len() as u64,
            done: AtomicU64::new(0),
            stop: CancellationToken::new(),
            end: Mutex::new(None),
        });
        {
            let mut last = lock(&self.0);
            if last.as_ref().is_some_and(|last| last.end().is_none()) {
                return Err(Fault::new(
                    StatusCode::CONFLICT,
                    "already_running",
                    "a replay or drop is running",
                )
                .hint("wait for its end, or cancel it"));
            }
            *last = Some(Arc::clone(&job));
        }
        info!(job = %job.id, work = job.work, letters = job.total, "begun from the console");
        tokio::spawn(run(Arc::clone(&job), Arc::clone(lake), work, letters));
        Ok(job)
    }

    /// Asks the running one to stop after the letter that it is at.
    pub(super) fn cancel(&self) -> Result<Arc<Job>, Fault> {
        let job = self.last().filter(|job| job.end().is_none());
        let job = job.ok_or_else(|| Fault::not_found("no replay or drop is running"))?;
        job.stop.cancel();
        info!(job = %job.id, "cancelled from the console");
        Ok(job)
    }
}

async fn run(job: Arc<Job>, lake: Arc<dyn Lake>, work: Work, letters: Vec<DeadLetter>) {
    let progress = |done: u64, _of: u64| job.done.store(done, Ordering::Relaxed);
    let outcome = match work {
        Work::Replay(queue) => {
            replay::replay(lake.as_ref(), queue, letters, &job.order, &job.stop, progress).await
        }
        Work::Drop => replay::drop_letters(lake.as_ref(), letters, &job.order, &job.stop, progress).await,
    };
    match &outcome {
        Ok(report) => info!(job = %job.id, done = report.done, "over"),
        Err(error) => warn!(job = %job.id, %error, "a replay or drop from the console stopped"),
    }
    let outcome = outcome.map_err(|error| error.to_string());
    *lock(&job.end) = Some(End { at: Timestamp::now(), outcome });
}

/// Nothing that panics runs under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
