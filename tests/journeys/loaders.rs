//! Several `waybill load` processes at once on one warehouse: nothing doubles, and nobody fails.

use std::sync::Arc;

use serde_json::Value;

use crate::support::process::Postgres;
use crate::support::waybill::{Deployment, event, fresh_id, post};

const LOADERS: usize = 3;
const EVENTS: i64 = 60;

fn loaders_share_the_work(deployment: Deployment) {
    let receive = deployment.start(&["receive"]);
    for index in 0..EVENTS {
        let body = event(&fresh_id(), &format!("t{index}"), "InTransit", "2026-07-09T11:00:00+00:00");
        assert_eq!(post(receive.listen(), body.as_bytes()).expect("an answer").status, 200);
        if index % 10 == 9 {
            deployment.run_ok(&["batch", "--once"]);
        }
    }
    let deployment = Arc::new(deployment);
    let loaders: Vec<_> = (0..LOADERS)
        .map(|_| {
            let deployment = Arc::clone(&deployment);
            std::thread::spawn(move || deployment.run_ok(&["load", "--once"]))
        })
        .collect();
    let inserted: i64 = loaders
        .into_iter()
        .map(|loader| {
            let printed = loader.join().expect("it loads, waits or leaves");
            let summary: Value = serde_json::from_str(&printed).expect("JSON");
            summary["inserted"].as_i64().expect("a count")
        })
        .sum();

    assert_eq!(inserted, EVENTS);
    assert_eq!(deployment.count("select count(*) as n from raw.tracking_event"), EVENTS);
    assert_eq!(deployment.count("select count(*) as n from base.fct_shipment_tracking"), EVENTS);
    assert_eq!(deployment.count("select cast(sum(inserted) as bigint) as n from raw.loaded_file"), EVENTS);
}

#[test]
fn processes_share_a_duckdb_file() {
    let dir = tempfile::tempdir().expect("temporary folder");
    loaders_share_the_work(Deployment::embedded(dir.path()));
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_share_a_postgres_server() {
    let postgres = Postgres::start().await;
    let warehouse = postgres.create_database("loaders").await;
    tokio::task::spawn_blocking(move || {
        let dir = tempfile::tempdir().expect("temporary folder");
        loaders_share_the_work(Deployment::embedded(dir.path()).with("WAYBILL_WAREHOUSE", &warehouse));
    })
    .await
    .expect("the journey ends");
}
