//! Whether this process lives, and whether it wants work.
//!
//! *Live* means that the loops turn; it depends on nothing outside, since a restart mends nothing outside. *Ready*
//! means: not draining, and the last durable write worked. After a failure a background probe ([`Health::probe`])
//! brings readiness back, so that no traffic has to be risked for finding out.

mod page;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use page::router;

/// A mover that has not beaten for so long is stuck.
pub const STALE_AFTER: Duration = Duration::from_secs(60);

/// How often a beat is given while something outside is waited for.
const BEAT_EVERY: Duration = Duration::from_secs(10);

/// A probe that takes longer has failed.
const PROBE_MAX: Duration = Duration::from_secs(10);

/// `last_signed_at` before the first signed request.
const NEVER: i64 = i64::MIN;

/// The state of this process, shared by everything in it.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    components: Mutex<BTreeMap<&'static str, State>>,
    beats: Mutex<BTreeMap<&'static str, Instant>>,
    is_draining: AtomicBool,
    /// Microseconds since 1970, or [`NEVER`].
    last_signed_at: AtomicI64,
}

impl Default for Inner {
    fn default() -> Self {
        Inner {
            components: Mutex::default(),
            beats: Mutex::default(),
            is_draining: AtomicBool::new(false),
            last_signed_at: AtomicI64::new(NEVER),
        }
    }
}

/// How a component is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Ready,
    /// It fails, and what it does can wait: readiness stays.
    Degraded {
        reason: String,
        since: Timestamp,
    },
    /// It fails, and without it we want no work.
    NotReady {
        reason: String,
        since: Timestamp,
    },
}

/// How a component is, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Its name, such as `queue`.
    pub component: &'static str,
    /// `ready`, `degraded` or `not_ready`.
    pub status: &'static str,
    /// Why it fails.
    pub reason: Option<String>,
    /// Since when it fails.
    pub since: Option<Timestamp>,
}

impl Health {
    /// Ready, with no components.
    pub fn new() -> Self {
        Self::default()
    }

    /// A component that we cannot work without works, or does not. Logs each change.
    pub fn set_ready(&self, component: &'static str, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.set(component, State::Ready),
            Err(reason) => {
                let since = Timestamp::now();
                self.set(component, State::NotReady { reason, since });
            }
        }
    }

    /// A component fails that we can do without for a while. Logs each change.
    pub fn set_degraded(&self, component: &'static str, reason: &str) {
        let since = Timestamp::now();
        let reason = reason.to_owned();
        self.set(component, State::Degraded { reason, since });
    }

    fn set(&self, component: &'static str, mut next: State) {
        let mut components = lock(&self.0.components);
        let known = components.get(component);
        match (known, &mut next) {
            (Some(State::NotReady { .. } | State::Degraded { .. }), State::Ready) => {
                info!(component, "works again");
            }
            // Still failing: since when it fails is what matters.
            (Some(State::NotReady { since: began, .. }), State::NotReady { since, .. })
            | (Some(State::Degraded { since: began, .. }), State::Degraded { since, .. }) => *since = *began,
            (_, State::NotReady { reason, .. }) => warn!(component, reason = %reason, "not ready"),
            (_, State::Degraded { reason, .. }) => warn!(component, reason = %reason, "degraded"),
            (_, State::Ready) => {}
        }
        components.insert(component, next);
    }

    /// Does this component work, as far as we know?
    pub fn is_ready(&self, component: &'static str) -> bool {
        !matches!(lock(&self.0.components).get(component), Some(State::NotReady { .. }))
    }

    /// We are about to end and want no new work. There is no way back.
    pub fn set_draining(&self) {
        self.0.is_draining.store(true, Ordering::Relaxed);
    }

    /// Are we about to end?
    pub fn is_draining(&self) -> bool {
        self.0.is_draining.load(Ordering::Relaxed)
    }

    /// A rightly signed request came.
    pub fn last_signed_request(&self, at: Timestamp) {
        self.0.last_signed_at.fetch_max(at.as_microsecond(), Ordering::Relaxed);
    }

    /// When the last rightly signed request came.
    pub fn last_signed_at(&self) -> Option<Timestamp> {
        let micros = self.0.last_signed_at.load(Ordering::Relaxed);
        (micros != NEVER).then(|| Timestamp::from_microsecond(micros).ok()).flatten()
    }

    /// How each component is, by name.
    pub fn conditions(&self) -> Vec<Condition> {
        lock(&self.0.components)
            .iter()
            .map(|(&component, state)| {
                let (status, failure) = match state {
                    State::Ready => ("ready", None),
                    State::Degraded { reason, since } => ("degraded", Some((reason, since))),
                    State::NotReady { reason, since } => ("not_ready", Some((reason, since))),
                };
                Condition {
                    component,
                    status,
                    reason: failure.map(|(reason, _)| reason.clone()),
                    since: failure.map(|(_, since)| *since),
                }
            })
            .collect()
    }

    /// A mover's loop turns. Who has beaten once must go on.
    pub fn beat(&self, mover: &'static str) {
        lock(&self.0.beats).insert(mover, Instant::now());
    }

    /// Beats for a mover while it waits for something outside that may rightly take long, for at most `longest`: a
    /// restart would mend nothing there.
    pub async fn attended<T>(
        &self,
        mover: &'static str,
        longest: Duration,
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = std::pin::pin!(work);
        let end = Instant::now() + longest;
        loop {
            if Instant::now() < end {
                self.beat(mover);
            }
            tokio::select! {
                outcome = &mut work => return outcome,
                () = tokio::time::sleep(BEAT_EVERY) => {}
            }
        }
    }

    /// A mover's loop has ended as it should; nothing is expected of it any more.
    pub fn rest(&self, mover: &'static str) {
        lock(&self.0.beats).remove(mover);
    }

    /// The movers that have not beaten for longer than [`STALE_AFTER`].
    fn stuck(&self, now: Instant) -> Vec<&'static str> {
        lock(&self.0.beats)
            .iter()
            .filter(|(_, beaten)| now.saturating_duration_since(**beaten) > STALE_AFTER)
            .map(|(mover, _)| *mover)
            .collect()
    }

    /// Looks every so often, while `component` is not ready, whether it works again; until `stop`.
    pub async fn probe<F, Fut>(
        self,
        component: &'static str,
        every: Duration,
        stop: CancellationToken,
        check: F,
    ) where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<(), String>>,
    {
        loop {
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                () = stop.cancelled() => return,
            }
            if self.is_ready(component) {
                continue;
            }
            match tokio::time::timeout(PROBE_MAX, check()).await {
                Ok(outcome) => self.set_ready(component, outcome),
                Err(_) => self.set_ready(component, Err("the probe got no answer".to_owned())),
            }
        }
    }
}

/// Nothing that panics runs under these locks, and what they guard is whole after each statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mover_that_stops_beating_is_stuck() {
        let health = Health::new();
        health.beat("batch");
        let now = Instant::now();

        assert!(health.stuck(now).is_empty());
        assert_eq!(health.stuck(now + STALE_AFTER + Duration::from_secs(1)), ["batch"]);

        health.rest("batch");

        assert!(health.stuck(now + STALE_AFTER + Duration::from_secs(1)).is_empty());
    }

    #[test]
    fn a_failure_is_dated_by_its_begin() {
        let health = Health::new();
        let since = |health: &Health| match lock(&health.0.components).get("queue") {
            Some(State::NotReady { since, reason }) => (*since, reason.clone()),
            other => panic!("{other:?}"),
        };
        health.set_ready("queue", Err("first".to_owned()));
        let (began, _) = since(&health);

        health.set_ready("queue", Err("second".to_owned()));

        assert_eq!(since(&health), (began, "second".to_owned()));
        assert!(!health.is_ready("queue"));
    }

    #[test]
    fn degraded_is_still_ready() {
        let health = Health::new();
        health.set_degraded("warehouse", "held by another process");

        assert!(health.is_ready("warehouse"));
    }

    #[test]
    fn conditions_say_how_each_component_is() {
        let health = Health::new();
        health.set_ready("queue", Ok(()));
        health.set_degraded("warehouse", "held");

        let conditions = health.conditions();

        let told: Vec<_> =
            conditions.iter().map(|one| (one.component, one.status, one.reason.as_deref())).collect();
        assert_eq!(told, [("queue", "ready", None), ("warehouse", "degraded", Some("held"))]);
        assert!(conditions[0].since.is_none() && conditions[1].since.is_some());
        assert_eq!(health.last_signed_at(), None);
    }

    #[tokio::test]
    async fn a_probe_brings_readiness_back_without_traffic() {
        let health = Health::new();
        health.set_ready("queue", Err("away".to_owned()));
        let stop = CancellationToken::new();
        let asked = Arc::new(AtomicI64::new(0));
        let check = {
            let asked = Arc::clone(&asked);
            move || {
                let count = asked.fetch_add(1, Ordering::Relaxed);
                async move { if count < 2 { Err("still away".to_owned()) } else { Ok(()) } }
            }
        };

        let every = Duration::from_millis(1);
        let probing = tokio::spawn(health.clone().probe("queue", every, stop.clone(), check));
        let is_back = async {
            while !health.is_ready("queue") {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), is_back).await.expect("ready again");
        stop.cancel();
        probing.await.expect("the probe ends");

        assert_eq!(asked.load(Ordering::Relaxed), 3);
    }
}
