//! Webhook to fact in one process on embedded places.

use crate::support::waybill::{Deployment, event, fresh_id, get, post};

#[test]
fn a_signed_webhook_becomes_rows_in_the_fact_tables() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = Deployment::embedded(dir.path());
    let up = deployment.start(&["up"]);
    let id = fresh_id();
    let body = event(&id, "track1", "Delivered", "2026-07-09T11:00:00+00:00");

    let answer = post(up.listen(), body.as_bytes()).expect("an answer");

    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"status":"accepted"}"#));
    deployment.await_count("select count(*) as n from base.fct_shipment_tracking", 1);
    let rows = deployment.query(
        "select tracking_id, tracking_number, courier, tag, subtag, updated_at, delivered_at, checkpoint_count, is_test
         from base.fct_shipment_tracking",
    );
    assert_eq!(
        rows[0],
        serde_json::json!({
            "tracking_id": "track1", "tracking_number": "N-track1", "courier": "dhl", "tag": "Delivered",
            "subtag": "Delivered_001", "updated_at": "2026-07-09T11:00:00.000000Z",
            "delivered_at": "2026-07-09T08:00:00.000000Z", "checkpoint_count": 1, "is_test": false
        })
    );
    let rows =
        deployment.query("select checkpoint_time_text, location, message from base.fct_tracking_checkpoint");
    assert_eq!(rows[0]["checkpoint_time_text"], "2026-07-09T10:00:00+02:00");
    assert_eq!(rows[0]["location"], "Zürich");
    let rows = deployment.query("select event_key, event_id, source, event from raw.tracking_event");
    assert_eq!(rows[0]["event_key"], id);
    assert_eq!(rows[0]["source"], "webhook");
}

#[test]
fn a_repeated_event_adds_no_second_fact() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = Deployment::embedded(dir.path());
    let up = deployment.start(&["up"]);
    let body = event(&fresh_id(), "track1", "InTransit", "2026-07-09T11:00:00+00:00");

    for _ in 0..5 {
        assert_eq!(post(up.listen(), body.as_bytes()).expect("an answer").status, 200);
    }

    deployment.await_count("select coalesce(sum(lines), 0)::bigint as n from raw.loaded_file", 5);
    assert_eq!(deployment.count("select count(*) as n from raw.tracking_event"), 1);
    assert_eq!(deployment.count("select count(*) as n from base.fct_shipment_tracking"), 1);
    assert_eq!(deployment.count("select sum(duplicate)::bigint as n from raw.loaded_file"), 4);
}

#[test]
fn health_and_metrics_tell_how_it_goes() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = Deployment::embedded(dir.path());
    let up = deployment.start(&["up"]);
    let body = event(&fresh_id(), "track1", "InTransit", "2026-07-09T11:00:00+00:00");
    assert_eq!(post(up.listen(), body.as_bytes()).expect("an answer").status, 200);
    deployment.await_count("select count(*) as n from base.fct_shipment_tracking", 1);

    assert_eq!(get(up.ops(), "/livez").expect("an answer").status, 200);
    let ready = get(up.ops(), "/readyz").expect("an answer");
    assert_eq!(ready.status, 200, "{}", ready.body);
    assert!(ready.json()["last_signed_request_at"].is_string(), "{}", ready.body);
    let metrics = get(up.ops(), "/metrics").expect("an answer").body;
    assert!(metrics.contains("waybill_load_ack_to_fact_seconds_count"), "{metrics}");
}

#[test]
fn a_second_up_on_the_same_folder_names_the_first() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = Deployment::embedded(dir.path());
    let _up = deployment.start(&["up"]);

    let second = deployment.run(&["up"]);

    assert_eq!(second.status.code(), Some(78));
    let text = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(text.contains("already running, pid "), "{text}");
}

#[test]
fn the_demo_shows_a_fact_within_seconds_and_continues_where_it_stopped() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let elsewhere = Deployment::embedded(dir.path());
    let data = dir.path().join("demo");
    let flags = ["--demo", "--demo-rate", "50", "--data", data.to_str().expect("UTF-8")];
    let up = ["up"].into_iter().chain(flags).collect::<Vec<_>>();
    // What this shell is set up for is not touched.
    let deployment = elsewhere
        .clone()
        .with("WAYBILL_WAREHOUSE", &format!("duckdb:{}", data.join("warehouse.duckdb").display()));
    let mut demo = elsewhere.start(&up);
    deployment.await_some("select count(*) as n from base.fct_shipment_tracking");
    demo.terminate();
    assert!(demo.wait().success(), "{}", demo.stderr());
    let before = deployment.count("select count(*) as n from raw.tracking_event");

    let _again = elsewhere.start(&up);

    deployment.await_some(&format!("select greatest(count(*) - {before}, 0) as n from raw.tracking_event"));
    for place in ["queue", "lake", "warehouse.duckdb"] {
        assert!(!dir.path().join(place).exists(), "the demo wrote into the {place} of somebody else");
    }
}
