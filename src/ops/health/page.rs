//! `/livez`, `/readyz` and `/metrics`.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde::Serialize;

use super::{Health, NEVER, State, lock};
use crate::ops::metrics;

const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Clone)]
struct Page {
    health: Health,
    metrics: metrics::Handle,
}

/// The operators' pages that need no token.
pub fn router(health: Health, metrics: metrics::Handle) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render))
        .with_state(Page { health, metrics })
}

#[derive(Debug, Serialize)]
struct Live {
    status: &'static str,
    stuck: Vec<&'static str>,
}

/// The JSON of `/readyz`.
#[derive(Debug, Serialize)]
struct Ready {
    status: &'static str,
    reasons: Vec<String>,
    last_signed_request_at: Option<String>,
    components: BTreeMap<&'static str, Component>,
}

#[derive(Debug, Serialize)]
struct Component {
    status: &'static str,
    reason: Option<String>,
    since: Option<String>,
}

impl From<&State> for Component {
    fn from(state: &State) -> Self {
        let (status, failure) = match state {
            State::Ready => ("ready", None),
            State::Degraded { reason, since } => ("degraded", Some((reason, since))),
            State::NotReady { reason, since } => ("not_ready", Some((reason, since))),
        };
        Component {
            status,
            reason: failure.map(|(reason, _)| reason.clone()),
            since: failure.map(|(_, since)| instant(*since)),
        }
    }
}

async fn livez(Shared(page): Shared<Page>) -> Response {
    let stuck = page.health.stuck(Instant::now());
    let (code, status) =
        if stuck.is_empty() { (StatusCode::OK, "live") } else { (StatusCode::SERVICE_UNAVAILABLE, "stuck") };
    answer(code, Live { status, stuck })
}

async fn readyz(Shared(page): Shared<Page>) -> Response {
    let ready = report(&page.health);
    let code = if ready.status == "ready" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer(code, ready)
}

async fn render(Shared(page): Shared<Page>) -> Response {
    ([(header::CONTENT_TYPE, PROMETHEUS_TEXT)], page.metrics.render()).into_response()
}

fn report(health: &Health) -> Ready {
    let components = lock(&health.0.components).clone();
    let mut reasons: Vec<String> = components
        .iter()
        .filter_map(|(name, state)| match state {
            State::NotReady { reason, .. } => Some(format!("{name}: {reason}")),
            State::Ready | State::Degraded { .. } => None,
        })
        .collect();
    let status = if health.is_draining() {
        reasons.insert(0, "about to end".to_owned());
        "draining"
    } else if reasons.is_empty() {
        "ready"
    } else {
        "not_ready"
    };
    let last_signed_at = health.0.last_signed_at.load(Ordering::Relaxed);
    Ready {
        status,
        reasons,
        last_signed_request_at: (last_signed_at != NEVER)
            .then(|| Timestamp::from_microsecond(last_signed_at).ok())
            .flatten()
            .map(instant),
        components: components.iter().map(|(name, state)| (*name, state.into())).collect(),
    }
}

fn instant(at: Timestamp) -> String {
    format!("{at:.6}")
}

/// A probe's answer is about now: no cache may keep it.
fn answer(code: StatusCode, body: impl Serialize) -> Response {
    (code, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(health: &Health) -> serde_json::Value {
        serde_json::to_value(report(health)).expect("JSON")
    }

    #[test]
    fn the_report_says_why_and_since_when() {
        let health = Health::new();
        health.set_ready("queue", Ok(()));
        health.last_signed_request("2026-07-09T12:00:00.25Z".parse().expect("an instant"));
        assert_eq!(
            shown(&health),
            json!({
                "status": "ready",
                "reasons": [],
                "last_signed_request_at": "2026-07-09T12:00:00.250000Z",
                "components": { "queue": { "status": "ready", "reason": null, "since": null } },
            })
        );

        health.set_ready("queue", Err("disk full".to_owned()));
        health.set_degraded("warehouse", "held");

        let report = shown(&health);
        assert_eq!(report["status"], "not_ready");
        assert_eq!(report["reasons"], json!(["queue: disk full"]));
        assert_eq!(report["components"]["queue"]["reason"], "disk full");
        assert_eq!(report["components"]["warehouse"]["status"], "degraded");
        assert!(report["components"]["queue"]["since"].is_string());
    }

    #[test]
    fn draining_wins_over_everything() {
        let health = Health::new();
        health.set_ready("queue", Err("away".to_owned()));
        health.set_draining();

        let report = shown(&health);
        assert_eq!(report["status"], "draining");
        assert_eq!(report["reasons"], json!(["about to end", "queue: away"]));
        assert_eq!(report["last_signed_request_at"], serde_json::Value::Null);
    }
}
