//! How fresh the facts are, as seen from outside: canaries through the public door, and a trace of each event.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::Value;

use crate::support::waybill::{Deployment, PATIENCE, Running, event, fresh_id, get, post};

fn await_metric(up: &Running, name: &str, at_least: f64) {
    let deadline = Instant::now() + PATIENCE;
    while up.metric(name) < at_least {
        assert!(Instant::now() < deadline, "{name} is {}, not {at_least}:\n{}", up.metric(name), up.stderr());
        std::thread::park_timeout(std::time::Duration::from_millis(50));
    }
}

#[test]
fn a_canary_is_found_in_the_facts_and_counts_for_nothing_else() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = Deployment::embedded(dir.path()).with("WAYBILL_CANARY", "on");

    let up = deployment.start(&["up"]);
    await_metric(&up, "waybill_canary_freshness_seconds_count", 1.0);

    let rows = deployment.query("select is_test, courier from base.fct_shipment_tracking");
    assert_eq!(rows, [serde_json::json!({ "is_test": true, "courier": "waybill" })]);
    assert_eq!(deployment.count("select count(*) as n from mart.unlinked_tracking"), 0);
    // It is no traffic: whoever waits for AfterShip's first webhook must not take it for that.
    let ready = get(up.ops(), "/readyz").expect("an answer");
    assert!(ready.json()["last_signed_request_at"].is_null(), "{}", ready.body);
    let metrics = get(up.ops(), "/metrics").expect("an answer").body;
    assert!(metrics.contains("waybill_canary_requests_total{outcome=\"found\"} 1"), "{metrics}");
    assert!(metrics.contains("waybill_receive_requests_total{outcome=\"accepted\"} 0"), "{metrics}");
    assert!(metrics.contains("waybill_receive_requests_total{outcome=\"canary\"} 1"), "{metrics}");
}

#[test]
fn a_canary_at_a_door_that_is_not_ours_is_refused_and_said() {
    let dir = tempfile::tempdir().expect("temporary folder");
    // Bound and let go: nobody listens there.
    let nobody =
        std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let url = format!("http://{nobody}/webhooks/aftership");
    let up = Deployment::embedded(dir.path()).with("WAYBILL_CANARY", &url).start(&["up"]);

    await_metric(&up, "waybill_canary_freshness_seconds_count", 1.0);

    let metrics = get(up.ops(), "/metrics").expect("an answer").body;
    assert!(metrics.contains("waybill_canary_requests_total{outcome=\"refused\"} 1"), "{metrics}");
    let ready = get(up.ops(), "/readyz").expect("an answer");
    assert_eq!(ready.status, 200, "{}", ready.body);
    assert!(ready.body.contains("canary"), "{}", ready.body);
}

#[test]
fn nothing_waits_once_all_is_loaded() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = Deployment::embedded(dir.path());
    let up = deployment.start(&["up"]);
    let body = event(&fresh_id(), "track1", "InTransit", "2026-07-09T11:00:00+00:00");
    assert_eq!(post(up.listen(), body.as_bytes()).expect("an answer").status, 200);

    deployment.await_count("select count(*) as n from base.fct_shipment_tracking", 1);

    let deadline = Instant::now() + PATIENCE;
    while up.metric("waybill_freshness_oldest_event_seconds") > 0.0 {
        assert!(Instant::now() < deadline, "something waits: {}", up.stderr());
        std::thread::park_timeout(std::time::Duration::from_millis(50));
    }
    assert_eq!(up.metric("waybill_freshness_target_seconds"), 60.0);
    assert!(up.metric("waybill_disk_free_bytes") > 0.0);
}

#[test]
fn a_dead_letter_counts_as_old_and_not_as_fresh() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let up = Deployment::embedded(dir.path()).start(&["up"]);

    assert_eq!(post(up.listen(), b"not json").expect("an answer").status, 200);
    await_metric(&up, "waybill_load_ack_to_fact_seconds_count", 1.0);

    let metrics = get(up.ops(), "/metrics").expect("an answer").body;
    assert!(metrics.contains("waybill_load_ack_to_fact_seconds_bucket{le=\"86400\"} 0"), "{metrics}");
}

/// Takes what is posted to it, for ever.
struct Collector {
    url: String,
    spans: Arc<Mutex<Vec<Value>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Collector {
    fn start() -> Collector {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let spans: Arc<Mutex<Vec<Value>>> = Arc::default();
        let taken = Arc::clone(&spans);
        let router = axum::Router::new().route(
            "/v1/traces",
            axum::routing::post(move |axum::Json(request): axum::Json<Value>| {
                let taken = Arc::clone(&taken);
                async move {
                    let spans = request["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().cloned();
                    taken.lock().expect("no panic").extend(spans.expect("a list of spans"));
                    axum::Json(serde_json::json!({}))
                }
            }),
        );
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let url = format!("http://{}/v1/traces", listener.local_addr().expect("an address"));
        runtime.spawn(waybill::ops::listener::serve(
            listener,
            router,
            waybill::ops::listener::Limits::default(),
        ));
        Collector { url, spans, _runtime: runtime }
    }

    fn await_spans(&self, count: usize) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let spans = self.spans.lock().expect("no panic").clone();
            if spans.len() >= count {
                return spans;
            }
            assert!(Instant::now() < deadline, "{} spans: {spans:?}", spans.len());
            std::thread::park_timeout(std::time::Duration::from_millis(50));
        }
    }
}

#[test]
fn an_event_is_one_trace_from_request_to_load() {
    let collector = Collector::start();
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = Deployment::embedded(dir.path()).with("WAYBILL_TRACES", &collector.url);
    let up = deployment.start(&["up"]);
    let id = fresh_id();
    let body = event(&id, "track1", "InTransit", "2026-07-09T11:00:00+00:00");

    assert_eq!(post(up.listen(), body.as_bytes()).expect("an answer").status, 200);
    let spans = collector.await_spans(3);

    let mut names: Vec<&str> = spans.iter().filter_map(|span| span["name"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["batch", "load", "receive"]);
    let root = spans.iter().find(|span| span["name"] == "receive").expect("the root");
    for span in &spans {
        assert_eq!(span["traceId"], id.replace('-', ""), "{span}");
        assert!(span["name"] == "receive" || span["parentSpanId"] == root["spanId"], "{span}");
        assert!(!span.to_string().contains("N-track1"), "nothing of the body: {span}");
    }
    assert!(up.metric("waybill_trace_spans_total") >= 3.0);
}
