//! The lake is away for a while: nothing is lost, the process stays alive, and it can be ended meanwhile.

use std::time::{Duration, Instant};

use crate::support::standin::{Fault, Op, Standin, StandinOptions};
use crate::support::waybill::{Deployment, PATIENCE, event, fresh_id, get, post};

/// More than flushes under way at once.
const EVENTS: usize = 30;

async fn on_stand_in() -> (Standin, Deployment, tempfile::TempDir) {
    let standin = Standin::start(StandinOptions::default()).await;
    let sdk = waybill::ops::aws::standin_config(&standin.endpoint());
    crate::support::aws::create_bucket(&sdk, "lake").await;
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = Deployment::embedded(dir.path())
        .with("WAYBILL_LAKE", "s3://lake/shop")
        .with_aws(&standin.endpoint())
        .with("WAYBILL_BATCH_AGE", "50ms");
    (standin, deployment, dir)
}

/// Events that each land in a batch of their own; gives their ids.
fn send(address: std::net::SocketAddr, standin: &Standin) -> Vec<String> {
    let mut ids = Vec::new();
    while ids.len() < EVENTS {
        let asked = standin.calls(Op::PutObject);
        let id = fresh_id();
        let body = event(&id, &format!("t{}", ids.len()), "InTransit", "2026-07-09T11:00:00+00:00");
        assert_eq!(post(address, body.as_bytes()).expect("receiving goes on").status, 200);
        ids.push(id);
        // Until all flushes are stuck, each event is waited for at the lake's door.
        let deadline = Instant::now() + PATIENCE;
        while ids.len() < 5 && standin.calls(Op::PutObject) == asked {
            assert!(Instant::now() < deadline, "no put was tried");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
    ids
}

fn keys(deployment: &Deployment) -> Vec<String> {
    let rows = deployment.query("select event_key from raw.tracking_event order by event_key");
    rows.iter().map(|row| row["event_key"].as_str().expect("text").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_that_comes_back_gets_everything_once() {
    let (standin, deployment, _dir) = on_stand_in().await;
    tokio::task::spawn_blocking(move || {
        let up = deployment.start(&["up"]);
        let armed = standin.faults().arm(Op::PutObject, Fault::Status(503), u64::MAX);
        let mut ids = send(up.listen(), &standin);
        assert!(armed.fired() >= 4, "the lake was away");
        assert_eq!(get(up.ops(), "/livez").expect("an answer").status, 200);

        standin.faults().disarm_all();
        deployment.await_count("select count(*) as n from raw.tracking_event", EVENTS as i64);

        ids.sort();
        assert_eq!(keys(&deployment), ids);
    })
    .await
    .expect("the journey ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_during_an_outage_gives_back_what_cannot_land() {
    let (standin, deployment, _dir) = on_stand_in().await;
    tokio::task::spawn_blocking(move || {
        // Messages that were not given back would stay hidden for longer than this test waits.
        let deployment = deployment.with("WAYBILL_BATCH_LEASE", "10m");
        let mut up = deployment.start(&["up"]);
        standin.faults().arm(Op::PutObject, Fault::Status(503), u64::MAX);
        let mut ids = send(up.listen(), &standin);

        let asked = Instant::now();
        up.terminate();
        assert!(up.wait().success(), "{}", up.stderr());
        // The end by force comes at 25 s.
        assert!(asked.elapsed() < Duration::from_secs(20), "it took {:?}", asked.elapsed());

        standin.faults().disarm_all();
        let _up = deployment.start(&["up"]);
        deployment.await_count("select count(*) as n from raw.tracking_event", EVENTS as i64);
        ids.sort();
        assert_eq!(keys(&deployment), ids);
    })
    .await
    .expect("the journey ends");
}

/// A permission or a key that is wrong does not heal by itself, and must cost nothing until somebody mends it.
#[tokio::test(flavor = "multi_thread")]
async fn a_lake_that_refuses_us_keeps_every_event_and_readiness() {
    let (standin, deployment, _dir) = on_stand_in().await;
    tokio::task::spawn_blocking(move || {
        let up = deployment.start(&["up"]);
        let armed = standin.faults().arm(Op::PutObject, Fault::Status(403), u64::MAX);
        for number in 0..5 {
            let body = event(&fresh_id(), &format!("t{number}"), "InTransit", "2026-07-09T11:00:00Z");
            assert_eq!(post(up.listen(), body.as_bytes()).expect("receiving goes on").status, 200);
        }
        until(|| armed.fired() > 0 && up.metric("waybill_batch_failures_total") > 0.0);
        assert_eq!(get(up.ops(), "/readyz").expect("an answer").status, 200);
        assert_eq!(deployment.count("select count(*) as n from raw.tracking_event"), 0);

        standin.faults().disarm_all();

        deployment.await_count("select count(*) as n from raw.tracking_event", 5);
    })
    .await
    .expect("the journey ends");
}

/// As SQS does when too many messages are in flight.
#[tokio::test(flavor = "multi_thread")]
async fn receives_that_sqs_refuses_are_tried_again() {
    let (standin, deployment, _dir) = on_stand_in().await;
    let sdk = waybill::ops::aws::standin_config(&standin.endpoint());
    let url = crate::support::aws::create_queue(&sdk, "events", None).await;
    let deployment = deployment.with("WAYBILL_QUEUE", &url);
    tokio::task::spawn_blocking(move || {
        let armed = standin.faults().arm(Op::ReceiveMessage, Fault::Status(403), 3);
        let up = deployment.start(&["up"]);
        let body = event(&fresh_id(), "t", "InTransit", "2026-07-09T11:00:00Z");
        assert_eq!(post(up.listen(), body.as_bytes()).expect("an answer").status, 200);

        deployment.await_count("select count(*) as n from raw.tracking_event", 1);
        assert_eq!(armed.fired(), 3);
    })
    .await
    .expect("the journey ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warehouse_that_is_away_on_postgres_costs_nothing_but_time() {
    let postgres = std::sync::Arc::new(crate::support::process::Postgres::start().await);
    let url = postgres.create_database("away").await;
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = Deployment::embedded(dir.path()).with("WAYBILL_WAREHOUSE", &url);
    let (up, deployment) = tokio::task::spawn_blocking(move || (deployment.start(&["up"]), deployment))
        .await
        .expect("it starts");
    postgres.execute("alter database away allow_connections false").await;
    postgres.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'away'").await;

    let up = tokio::task::spawn_blocking(move || {
        for number in 0..20 {
            let body = event(&fresh_id(), &format!("t{number}"), "InTransit", "2026-07-09T11:00:00Z");
            assert_eq!(post(up.listen(), body.as_bytes()).expect("receiving goes on").status, 200);
        }
        until(|| up.metric("waybill_batch_landed_events_total") >= 20.0);
        until(|| get(up.ops(), "/readyz").is_some_and(|answer| answer.body.contains("degraded")));
        assert_eq!(get(up.ops(), "/readyz").expect("an answer").status, 200, "loading can wait");
        up
    })
    .await
    .expect("the journey ends");

    postgres.execute("alter database away allow_connections true").await;
    tokio::task::spawn_blocking(move || {
        deployment.await_count("select count(*) as n from raw.tracking_event", 20);
        drop(up);
    })
    .await
    .expect("the journey ends");
}

fn until(mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it did not come to that");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
