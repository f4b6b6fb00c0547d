//! How events flow right now, stage by stage, out of the last hour of the metrics and the state of the components.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::event::format_instant;
use crate::ops::health::Condition;

use super::Console;
use super::history::{Minute, Ring, Series, Times, sum};
use super::page::sentence;
use super::words::{ago, maybe, maybe_seconds, number, seconds};

/// Over which time rates are told.
const RATE_OVER: Duration = Duration::from_secs(60);
/// Over which time percentiles are told.
const TIMES_OVER: Duration = Duration::from_secs(300);
/// Over which time sums are told.
const HOUR: Duration = Duration::from_secs(3_600);

/// Seconds from acknowledged to queryable.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Freshness {
    pub(super) p50: Option<f64>,
    pub(super) p95: Option<f64>,
    pub(super) p99: Option<f64>,
    pub(super) oldest: Option<f64>,
    pub(super) target: f64,
}

/// A stage of the path.
pub(super) struct Stage {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// The number that counts, with its unit; `None`: this process does not have the stage.
    pub(super) main: Option<(String, &'static str)>,
    pub(super) facts: Vec<(&'static str, String)>,
    /// Components whose failing is this stage's.
    pub(super) components: &'static [&'static str],
    pub(super) minutes: Vec<Option<f64>>,
}

/// All that the page tells.
pub(super) struct Overview {
    pub(super) at: Timestamp,
    pub(super) is_draining: bool,
    pub(super) conditions: Vec<Condition>,
    pub(super) last_signed_at: Option<Timestamp>,
    pub(super) freshness: Freshness,
    pub(super) stages: Vec<Stage>,
    pub(super) minutes: Vec<Minute>,
    pub(super) canaries: [Option<f64>; 3],
    pub(super) canary_p99: Option<f64>,
    pub(super) aws_per_million: Option<f64>,
    pub(super) reach: Option<Duration>,
}

impl Overview {
    /// As of now.
    pub(super) fn of(console: &Console, at: Timestamp) -> Overview {
        let parts = console.parts();
        let ring = console.ring();
        let minutes = ring.minutes();
        let quantile = |part: f64| ring.quantile(Times::ToFact, TIMES_OVER, part);
        let freshness = Freshness {
            p50: quantile(0.5),
            p95: quantile(0.95),
            p99: quantile(0.99),
            oldest: ring.now(Series::OldestEvent),
            target: parts.freshness_target.as_secs_f64(),
        };
        let landed = ring.growth(Series::Landed, HOUR).filter(|landed| *landed > 0.0);
        let asked = ring.growth(Series::AwsRequests, HOUR);
        Overview {
            at,
            is_draining: parts.health.is_draining(),
            conditions: parts.health.conditions(),
            last_signed_at: parts.health.last_signed_at(),
            freshness,
            stages: stages(&ring, &minutes, &freshness, at),
            canaries: [Series::CanaryFound, Series::CanaryRefused, Series::CanaryLost]
                .map(|series| ring.now(series)),
            canary_p99: ring.quantile(Times::Canary, HOUR, 0.99),
            aws_per_million: landed.and_then(|landed| Some(asked? / landed * 1_000_000.0)),
            reach: ring.reach(),
            minutes,
        }
    }

    /// What is wrong with a component that nothing goes without.
    fn fault(&self) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.status == "not_ready")
    }

    /// How things stand: for the page with numbers, and in words that stay while it stays.
    pub(super) fn says(&self) -> (String, &'static str) {
        if self.is_draining {
            return ("This process is about to end.".to_owned(), "This process is about to end.");
        }
        if let Some(fault) = self.fault() {
            let reason = fault.reason.as_deref().unwrap_or_default();
            return (
                format!("Not ready: {}: {}", fault.component, sentence(reason)),
                "A component is not ready.",
            );
        }
        let target = seconds(self.freshness.target);
        match self.freshness.p99 {
            Some(p99) if p99 <= self.freshness.target => (
                format!("99 of 100 events can be queried within {}. The target is {target}.", seconds(p99)),
                "Facts are as fresh as they should be.",
            ),
            Some(p99) => (
                format!(
                    "99 of 100 events can be queried within {} only. The target is {target}.",
                    seconds(p99)
                ),
                "Facts are later than they should be.",
            ),
            None => (
                format!("No event became a fact in the last 5 minutes. The target is {target}."),
                "No event became a fact in the last 5 minutes.",
            ),
        }
    }
}

fn per_second(rate: Option<f64>) -> Option<(String, &'static str)> {
    rate.map(|rate| (number(rate), "a second"))
}

fn since(ring: &Ring, series: Series, now: Timestamp) -> String {
    let at = ring.now(series).and_then(|at| Timestamp::from_millisecond((at * 1_000.0) as i64).ok());
    at.map_or_else(|| "–".to_owned(), |at| ago(at, now))
}

fn stages(ring: &Ring, minutes: &[Minute], fresh: &Freshness, now: Timestamp) -> Vec<Stage> {
    let rate = |series: Series| ring.rate(series, RATE_OVER);
    let p99 = |times: Times| maybe_seconds(ring.quantile(times, TIMES_OVER, 0.99));
    let hour = |series: Series| maybe(ring.growth(series, HOUR));
    let now_at = |series: Series| maybe(ring.now(series));
    let queued = sum(ring.now(Series::QueueReady), ring.now(Series::QueueLeased));
    let accepted = sum(rate(Series::Accepted), rate(Series::Polled));
    let mut waiting = vec![
        ("Oldest", maybe_seconds(ring.now(Series::QueueOldest))),
        ("Leased", now_at(Series::QueueLeased)),
    ];
    if let Some(spooled) = ring.now(Series::SpoolReady) {
        waiting.push(("In the spool", number(spooled)));
    }
    let of = |value: fn(&Minute) -> Option<f64>| minutes.iter().map(value).collect::<Vec<_>>();
    vec![
        Stage {
            name: "Receive",
            about: "checks the signature and answers",
            main: per_second(accepted),
            facts: vec![
                ("Answer, p99", p99(Times::Answer)),
                ("Refused, 1 h", refused(ring)),
                ("Last event", since(ring, Series::LastReceive, now)),
            ],
            components: &["clock", "secrets"],
            minutes: of(|minute| minute.received),
        },
        Stage {
            name: "Queue",
            about: "holds what is acknowledged",
            main: queued.map(|queued| (number(queued), "waiting")),
            facts: waiting,
            components: &["queue", "sqs", "disk"],
            minutes: of(|minute| minute.queued),
        },
        Stage {
            name: "Batch",
            about: "groups events by their minute",
            main: per_second(rate(Series::Taken)),
            facts: vec![
                ("Held", now_at(Series::Held)),
                ("Dead letters, 1 h", hour(Series::DeadLettered)),
                ("Last object", since(ring, Series::LastBatch, now)),
            ],
            components: &[],
            minutes: of(|minute| minute.landed),
        },
        Stage {
            name: "Lake",
            about: "keeps every byte for ever",
            main: per_second(rate(Series::Landed)),
            facts: vec![("To the lake, p99", p99(Times::ToLake)), ("Objects, 1 h", hour(Series::Objects))],
            components: &["lake"],
            minutes: of(|minute| minute.landed),
        },
        Stage {
            name: "Load",
            about: "merges each event once",
            main: per_second(rate(Series::Lines)),
            facts: vec![
                ("Files waiting", now_at(Series::WaitingFiles)),
                ("Files, 1 h", hour(Series::Files)),
                ("Rejected, 1 h", hour(Series::Rejected)),
                ("Last load", since(ring, Series::LastLoad, now)),
            ],
            components: &["shop"],
            minutes: of(|minute| minute.loaded),
        },
        Stage {
            name: "Warehouse",
            about: "answers questions",
            main: fresh
                .p99
                .map(|p99| (seconds(p99), "p99"))
                .or_else(|| ring.now(Series::Lines).map(|_| ("–".to_owned(), "p99"))),
            facts: vec![
                ("Target", seconds(fresh.target)),
                ("New, 1 h", hour(Series::Inserted)),
                ("Oldest", maybe_seconds(fresh.oldest)),
            ],
            components: &["warehouse"],
            minutes: of(|minute| minute.p99),
        },
    ]
}

fn refused(ring: &Ring) -> String {
    let (all, accepted) = (ring.growth(Series::Answered, HOUR), ring.growth(Series::Accepted, HOUR));
    maybe(all.map(|all| (all - accepted.unwrap_or(0.0)).max(0.0)))
}

/// What the page tells, for programs.
pub(super) fn json(console: &Console) -> Value {
    let overview = Overview::of(console, Timestamp::now());
    let ring = console.ring();
    let rate = |series: Series| ring.rate(series, RATE_OVER);
    let fresh = &overview.freshness;
    let components: Vec<Value> = overview
        .conditions
        .iter()
        .map(|condition| {
            json!({
                "component": condition.component,
                "status": condition.status,
                "reason": condition.reason,
                "since": condition.since.map(format_instant),
            })
        })
        .collect();
    json!({
        "at": format_instant(overview.at),
        "is_draining": overview.is_draining,
        "last_signed_request_at": overview.last_signed_at.map(format_instant),
        "rates_per_second": {
            "received": rate(Series::Accepted),
            "polled": rate(Series::Polled),
            "taken": rate(Series::Taken),
            "landed": rate(Series::Landed),
            "loaded": rate(Series::Lines),
        },
        "queue": {
            "ready": ring.now(Series::QueueReady),
            "leased": ring.now(Series::QueueLeased),
            "oldest_seconds": ring.now(Series::QueueOldest),
            "spooled": ring.now(Series::SpoolReady),
        },
        "held_events": ring.now(Series::Held),
        "waiting_files": ring.now(Series::WaitingFiles),
        "freshness_seconds": {
            "p50": fresh.p50,
            "p95": fresh.p95,
            "p99": fresh.p99,
            "oldest": fresh.oldest,
            "target": fresh.target,
        },
        "canaries": { "found": overview.canaries[0], "refused": overview.canaries[1], "lost": overview.canaries[2] },
        "aws_requests_per_million_events": overview.aws_per_million,
        "components": components,
    })
}
