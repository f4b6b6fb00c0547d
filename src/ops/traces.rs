//! Spans for an OpenTelemetry collector, over OTLP/HTTP with JSON bodies (the specification's "OTLP/HTTP JSON Encoding").
//!
//! One trace for each thing that travels, found by its key: the trace's id is made of the key, so that parts of the
//! program that never meet (other processes, days later) write into the same trace, and nothing has to be carried along.
//! That, and being one small POST, is why there is no SDK here: its ids are random, and its exporters bring threads or an
//! HTTP stack of their own. Spans are dropped, and counted, rather than ever holding anything up.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, Uri, header};
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tracing::warn;

use super::{http, metrics};

/// Spans that wait to be sent; more are dropped.
const WAITING_MAX: usize = 16_384;
/// Spans of one request.
const SPANS_MAX: usize = 512;
/// How long spans wait for company.
const LINGER: Duration = Duration::from_secs(1);
/// How long a collector may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);

static SPANS: OnceLock<Sender<Span>> = OnceLock::new();
/// Spans taken, and of those what was sent or given up.
static TAKEN: AtomicU64 = AtomicU64::new(0);
static DONE: AtomicU64 = AtomicU64::new(0);

/// A step of what travels.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Of what travels: a UUID or 64 hex digits.
    pub key: String,
    /// Which step.
    pub name: &'static str,
    /// It is the first one, to which all others belong.
    pub is_root: bool,
    /// When it began.
    pub from: Timestamp,
    /// When it was over.
    pub until: Timestamp,
    /// What else is known; never anything of what travels itself.
    pub attributes: Vec<(&'static str, String)>,
}

/// Are spans wanted at all? Then [`record`] them.
pub fn is_on() -> bool {
    SPANS.get().is_some()
}

/// Takes a span to be sent; does nothing when traces are off.
pub fn record(span: Span) {
    let Some(spans) = SPANS.get() else { return };
    match spans.try_send(span) {
        Ok(()) => {
            TAKEN.fetch_add(1, Ordering::Relaxed);
        }
        Err(_) => metrics::trace_spans(0, 1),
    }
}

/// Waits until what was taken is sent or given up, for `max` at most.
pub async fn flush(max: Duration) {
    let end = tokio::time::Instant::now() + max;
    while DONE.load(Ordering::Relaxed) < TAKEN.load(Ordering::Relaxed) && tokio::time::Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Sends spans to `url` from now on, until the process ends. To be called once, inside a runtime.
pub fn start(url: &str) -> io::Result<()> {
    let uri: Uri = url.parse().map_err(io::Error::other)?;
    let client = http::client(url.starts_with("https:"), ANSWER_MAX, 1)?;
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    if SPANS.set(sender).is_ok() {
        metrics::trace_spans(0, 0);
        tokio::spawn(send_all(client, uri, receiver));
    }
    Ok(())
}

async fn send_all(client: http::Client, uri: Uri, mut receiver: Receiver<Span>) {
    let mut spans = Vec::with_capacity(SPANS_MAX);
    let headers =
        HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    let mut was_away = false;
    while receiver.recv_many(&mut spans, SPANS_MAX).await > 0 {
        if spans.len() < SPANS_MAX {
            tokio::time::sleep(LINGER).await;
            while spans.len() < SPANS_MAX
                && let Ok(span) = receiver.try_recv()
            {
                spans.push(span);
            }
        }
        let count = spans.len() as u64;
        let body = Bytes::from(request(&spans).to_string());
        spans.clear();
        let posting = http::post(&client, &uri, headers.clone(), body);
        let status = tokio::time::timeout(ANSWER_MAX, posting).await.ok().flatten();
        let is_sent = status.is_some_and(|status| status.is_success());
        metrics::trace_spans(if is_sent { count } else { 0 }, if is_sent { 0 } else { count });
        DONE.fetch_add(count, Ordering::Relaxed);
        // Once for each outage.
        if !is_sent && !was_away {
            warn!("the collector of traces does not take spans: they are dropped until it does");
        }
        was_away = !is_sent;
    }
}

/// The body of an export request.
fn request(spans: &[Span]) -> Value {
    let spans: Vec<Value> = spans.iter().map(as_json).collect();
    json!({ "resourceSpans": [{
        "resource": { "attributes": [
            attribute("service.name", "waybill"),
            attribute("service.version", env!("CARGO_PKG_VERSION")),
        ]},
        "scopeSpans": [{ "scope": { "name": "waybill" }, "spans": spans }],
    }]})
}

fn as_json(span: &Span) -> Value {
    let attributes: Vec<Value> = std::iter::once(attribute("event.key", &span.key))
        .chain(span.attributes.iter().map(|(name, value)| attribute(name, value)))
        .collect();
    let mut json = json!({
        "traceId": trace_id(&span.key),
        "spanId": if span.is_root { root_id(&span.key) } else { step_id(span) },
        "name": span.name,
        // SERVER for what came in by itself, CONSUMER for what was fetched from a place.
        "kind": if span.is_root { 2 } else { 5 },
        "startTimeUnixNano": span.from.as_nanosecond().to_string(),
        "endTimeUnixNano": span.until.max(span.from).as_nanosecond().to_string(),
        "attributes": attributes,
    });
    if !span.is_root {
        json["parentSpanId"] = root_id(&span.key).into();
    }
    json
}

fn attribute(name: &str, value: &str) -> Value {
    json!({ "key": name, "value": { "stringValue": value } })
}

/// 32 hex digits: a UUID without its hyphens, so that who has an event's id has its trace; else of the hash.
fn trace_id(key: &str) -> String {
    let digits: String = key.chars().filter(|c| *c != '-').collect();
    if digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return digits.to_ascii_lowercase();
    }
    hex::encode(&Sha256::digest(key)[..16])
}

fn root_id(key: &str) -> String {
    hex::encode(&Sha256::digest(format!("root {key}"))[..8])
}

fn step_id(span: &Span) -> String {
    let of = format!("{} {} {}", span.name, span.key, span.from.as_nanosecond());
    hex::encode(&Sha256::digest(of)[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(key: &str, name: &'static str, is_root: bool) -> Span {
        let at = |second| Timestamp::from_second(second).expect("an instant");
        Span {
            key: key.to_owned(),
            name,
            is_root,
            from: at(1),
            until: at(2),
            attributes: vec![("source", "api".to_owned())],
        }
    }

    #[test]
    fn steps_that_never_meet_are_one_trace() {
        let key = "94DADD60-ed26-46d0-aa52-3ced925a50ff";
        let (root, load) = (as_json(&span(key, "receive", true)), as_json(&span(key, "load", false)));

        assert_eq!(root["traceId"], "94dadd60ed2646d0aa523ced925a50ff");
        assert_eq!(load["traceId"], root["traceId"]);
        assert_eq!(load["parentSpanId"], root["spanId"]);
        assert_ne!(load["spanId"], root["spanId"]);
        assert!(root.get("parentSpanId").is_none());
        assert_eq!(root["spanId"].as_str().map(str::len), Some(16));
        assert_eq!(load["endTimeUnixNano"], "2000000000");
    }

    #[test]
    fn a_key_that_is_a_hash_has_a_trace_too() {
        let id = trace_id(&"ab".repeat(32));

        assert_eq!(id.len(), 32);
        assert_ne!(id, trace_id(&"ac".repeat(32)));
    }

    #[test]
    fn nothing_is_kept_while_traces_are_off() {
        assert!(!is_on());
        record(span("x", "load", false));
    }
}
