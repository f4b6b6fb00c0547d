//! The same path with receive, batch and load as processes of their own, on SQS, S3 and PostgreSQL.

use std::collections::BTreeSet;

use crate::support::process::{Moto, Postgres};
use crate::support::waybill::{Deployment, event, fresh_id, post};

#[tokio::test(flavor = "multi_thread")]
async fn three_processes_on_sqs_s3_and_postgres_deliver_every_event_once() {
    let moto = Moto::start().await;
    let postgres = Postgres::start().await;
    let warehouse = postgres.create_database("split").await;
    let sdk = waybill::ops::aws::standin_config(&moto.endpoint());
    let queue_url = crate::support::aws::create_queue(&sdk, "events", Some("events-dead")).await;
    crate::support::aws::create_bucket(&sdk, "lake").await;
    let endpoint = moto.endpoint();

    tokio::task::spawn_blocking(move || {
        let dir = tempfile::tempdir().expect("temporary folder");
        let deployment = Deployment::embedded(dir.path())
            .with("WAYBILL_QUEUE", &queue_url)
            .with("WAYBILL_LAKE", "s3://lake/shop")
            .with("WAYBILL_WAREHOUSE", &warehouse)
            .with_aws(&endpoint)
            .with("WAYBILL_BATCH_LEASE", "10s");
        let check = deployment.run_ok(&["check", "batch"]);
        assert!(check.contains("dead-letter queue"), "{check}");

        let receive = deployment.start(&["receive"]);
        let mut batch = deployment.start(&["batch"]);
        let load = deployment.start(&["load"]);
        let ids: BTreeSet<String> = (0..40).map(|_| fresh_id()).collect();
        for (index, id) in ids.iter().enumerate() {
            let updated_at = format!("2026-07-09T11:00:{:02}+00:00", index % 60);
            let body = event(id, &format!("track{}", index % 8), "InTransit", &updated_at);
            assert_eq!(post(receive.listen(), body.as_bytes()).expect("an answer").status, 200);
            if index == 20 {
                // One of the three dies and comes back: the others do not notice.
                batch.kill();
                batch = deployment.start(&["batch"]);
            }
        }
        assert_eq!(post(receive.listen(), b"poison").expect("an answer").status, 200);

        deployment.await_count("select count(*) as n from raw.tracking_event", 40);
        let keys: BTreeSet<String> = deployment
            .query("select event_key from raw.tracking_event")
            .iter()
            .map(|row| row["event_key"].as_str().expect("text").to_owned())
            .collect();
        assert_eq!(keys, ids);
        assert_eq!(deployment.count("select count(*) as n from base.fct_shipment_tracking"), 8);
        let newest = &deployment
            .query("select updated_at from base.fct_shipment_tracking where tracking_id = 'track7'")[0];
        assert_eq!(newest["updated_at"], "2026-07-09T11:00:39.000000Z");
        let letters: Vec<serde_json::Value> =
            serde_json::from_str(&deployment.run_ok(&["dead-letters", "list", "--format", "json"]))
                .expect("JSON");
        assert_eq!(letters.len(), 1);
        assert_eq!(letters[0]["reason"], "not_json");

        for mut mover in [receive, batch, load] {
            mover.terminate();
            assert!(mover.wait().success(), "{}", mover.stderr());
        }
    })
    .await
    .expect("the journey ends");
}
