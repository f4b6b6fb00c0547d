//! One window, page by page: each page goes to the queue before the next one is asked for. If it cannot be read in one
//! go, it is read piece by piece.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::aftership::api::{ListQuery, Next};
use crate::aftership::client::ApiError;
use crate::event::format_instant;
use crate::failpoint::failpoint;
use crate::ops::metrics;

use super::piece;
use super::state::{self, State, Unfinished};
use super::window::{self, Plan, Seen};
use super::{COMPONENT, MOVER, Poll, PollError, PollReport, Progress, STEP_MAX};

/// How often a window that is too short to be halved may begin again because the cursor is gone.
const RESTARTS_MAX: u64 = 3;

/// Contents that are kept beside the state; some 1 MB.
const SEEN_KEPT_MAX: usize = 20_000;

/// What a poll knows between two windows.
pub(super) struct Memory {
    /// As it is kept; all but `seen`, which is filled in when it is.
    pub(super) state: State,
    pub(super) seen: Seen,
    /// How far AfterShip's clock is ahead of ours.
    pub(super) ahead: Option<SignedDuration>,
    /// Somebody asked to go back, and it is not done yet.
    pub(super) again: bool,
    is_clock_said: bool,
    is_changed: bool,
    kept_at: Option<Instant>,
}

impl Memory {
    /// Where the window goes on; what comes before is durable in the queue.
    fn goes_on(&mut self, window: &Unfinished) {
        self.state.unfinished = Some(window.clone());
        self.is_changed = true;
    }

    fn is_due(&self, every: Duration) -> bool {
        self.kept_at.is_none_or(|at| at.elapsed() >= every)
    }
}

impl Poll {
    /// What the last run left.
    pub(super) async fn remember(&self, stop: &CancellationToken) -> Result<Memory, PollError> {
        let loading = state::load(self.lake.as_ref());
        let state = self.with_lake(stop, loading).await??.unwrap_or_default();
        if let Some(until) = state.until {
            metrics::poll_watermark(until);
        }
        let again = self.settings.again;
        Ok(Memory {
            // Who asks to go back wants everything sent once more.
            seen: if again { Seen::default() } else { Seen::of(&state.seen) },
            state,
            ahead: None,
            again,
            is_clock_said: false,
            is_changed: false,
            kept_at: None,
        })
    }

    /// Reads a window to its end; false when it was stopped before.
    pub(super) async fn walk(
        &self,
        plan: Plan,
        memory: &mut Memory,
        stop: &CancellationToken,
        report: &mut PollReport,
        progress: &mut Progress<'_>,
    ) -> Result<bool, PollError> {
        let mut window = plan.window;
        let begun = window.from;
        let mut is_first_answer = !plan.is_resumed;
        let mut met: HashSet<Next> = window.next.iter().cloned().collect();
        let (mut restarts, mut done) = (0, 0);
        loop {
            if stop.is_cancelled() {
                self.keep_if_changed(memory, stop).await?;
                return Ok(false);
            }
            report.until = Some(window.until);
            let query = ListQuery {
                updated_from: Some(window.from),
                updated_until: Some(window.until),
                next: window.next.clone(),
                limit: self.settings.page,
                ..ListQuery::default()
            };
            let listing = self.health.attended(MOVER, STEP_MAX, self.api.list(&query));
            let answer = tokio::select! {
                biased;
                () = stop.cancelled() => continue,
                answer = listing => answer,
            };
            let (page, date) = match answer {
                Ok(answer) => answer,
                Err(error) => {
                    let Some(instead) = instead_of(&window, &error, restarts) else {
                        return Err(error.into());
                    };
                    restarts = if instead.until == window.until { restarts + 1 } else { 0 };
                    report.restarts += u64::from(error == ApiError::CursorExpired);
                    window = instead;
                    let until = format_instant(window.until);
                    info!(reason = %error, until, "the window begins again, at first until {until}");
                    (met, done) = (HashSet::new(), 0);
                    memory.goes_on(&window);
                    continue;
                }
            };
            self.mind_clock(date, memory, report);
            if is_first_answer {
                is_first_answer = false;
                // What is later by AfterShip's clock has not happened yet: the window would move while we page.
                if let Some(end) = window::earlier_end(window.until, date) {
                    window.until = end;
                    if end <= window.from {
                        report.until = report.from;
                        return Ok(true);
                    }
                    continue;
                }
            }
            let (next, total) = (page.next.clone(), page.total);
            let count = (page.trackings.len() + page.unreadable.len()) as u64;
            if !self.deliver(page, window.until, memory, stop, report).await? {
                memory.is_changed = true;
                continue;
            }
            done += count;
            self.health.set_ready(COMPONENT, Ok(()));
            report.pages += 1;
            progress(done, total.unwrap_or(done).max(done));
            if let Some(next) = next {
                if !met.insert(next.clone()) {
                    window.next = None;
                    memory.goes_on(&window);
                    return Err(PollError::RepeatedCursor);
                }
                window.next = Some(next);
            } else if let Some(rest) = piece::rest(&window) {
                window = rest;
                (met, done, restarts) = (HashSet::new(), 0, 0);
            } else {
                self.finish((begun, window.until), memory, stop, report).await?;
                return Ok(true);
            }
            memory.goes_on(&window);
            if memory.is_due(self.settings.save_every) {
                self.keep(memory, stop).await?;
            }
        }
    }

    /// The window is read, and all of it is in the queue.
    async fn finish(
        &self,
        (from, until): (Timestamp, Timestamp),
        memory: &mut Memory,
        stop: &CancellationToken,
        report: &PollReport,
    ) -> Result<(), PollError> {
        memory.state.until = Some(until);
        memory.state.unfinished = None;
        memory.again = false;
        memory.seen.forget_before(window::before(until, self.settings.overlap));
        memory.is_changed = true;
        self.keep(memory, stop).await?;
        metrics::poll_watermark(until);
        metrics::mover_last_success(MOVER, Timestamp::now());
        let (from, until) = (format_instant(from), format_instant(until));
        info!(
            poll.sent = report.sent,
            poll.unchanged = report.unchanged,
            from,
            until,
            "polled AfterShip's updates until {until}, {} of {} snapshots were new",
            report.sent,
            report.snapshots
        );
        Ok(())
    }

    pub(super) async fn keep_if_changed(
        &self,
        memory: &mut Memory,
        stop: &CancellationToken,
    ) -> Result<(), PollError> {
        if memory.is_changed { self.keep(memory, stop).await } else { Ok(()) }
    }

    async fn keep(&self, memory: &mut Memory, stop: &CancellationToken) -> Result<(), PollError> {
        let state = &memory.state;
        let until = state.unfinished.as_ref().map(|window| window.until).or(state.until);
        let from = until.map_or(Timestamp::MIN, |until| window::before(until, self.settings.overlap));
        memory.state.seen = memory.seen.newest(from, SEEN_KEPT_MAX);
        let saving = state::save(self.lake.as_ref(), &memory.state);
        self.with_lake(stop, saving).await??;
        failpoint!("poll.after_save");
        memory.is_changed = false;
        memory.kept_at = Some(Instant::now());
        Ok(())
    }

    /// Clocks that differ are said once for as long as they do.
    fn mind_clock(&self, date: Option<Timestamp>, memory: &mut Memory, report: &mut PollReport) {
        let Some(date) = date else { return };
        let ahead = date.duration_since(Timestamp::now());
        memory.ahead = Some(ahead);
        let is_off = window::is_clock_off(ahead);
        if is_off {
            let seconds = ahead.as_secs();
            report.clock_ahead_seconds = Some(seconds);
            if !memory.is_clock_said {
                warn!(
                    seconds,
                    "AfterShip's clock and this host's differ: windows end by the one that is behind"
                );
            }
        }
        memory.is_clock_said = is_off;
    }
}

/// What is asked for instead of a window that cannot be read to its end: its first half, or once more the same when it is
/// too short for that. `None`: the error has another reason, or stays.
fn instead_of(window: &Unfinished, error: &ApiError, restarts: u64) -> Option<Unfinished> {
    let again = match error {
        ApiError::CursorExpired => {
            (restarts < RESTARTS_MAX).then(|| Unfinished { next: None, ..window.clone() })
        }
        ApiError::TooMany => None,
        _ => return None,
    };
    piece::first_half(window).or(again)
}
