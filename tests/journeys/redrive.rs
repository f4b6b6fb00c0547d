//! What SQS itself sets aside is emptied into the lake's dead letters, and can be replayed from there.

use std::time::Duration;

use aws_sdk_sqs::Client;
use serde_json::Value;
use waybill::event::{Event, line};

use crate::support::aws::{create_bucket, create_queue};
use crate::support::process::{Moto, eventually};
use crate::support::standin::{Standin, StandinOptions};
use crate::support::waybill::{Deployment, PATIENCE, event, fresh_id};

/// More than the queue's maxReceiveCount.
const RECEIVES: usize = 25;

fn message(event_id: &str, tracking: &str) -> String {
    let body = bytes::Bytes::from(event(event_id, tracking, "Delivered", "2026-07-09T11:00:00+00:00"));
    let received_at = "2026-07-09T12:00:00.25Z".parse().expect("instant");
    let event = Event::received(body, Some(event_id.to_owned()), false, received_at);
    line::to_message(&line::encode(&event))
}

/// Somebody else receives the messages again and again and never deletes them, until SQS gives them up.
async fn wear_out(client: &Client, queue_url: &str) {
    for _ in 0..RECEIVES {
        client
            .receive_message()
            .queue_url(queue_url)
            .max_number_of_messages(10)
            .visibility_timeout(0)
            .send()
            .await
            .expect("receive");
    }
}

async fn depth(client: &Client, queue_url: &str) -> String {
    use aws_sdk_sqs::types::QueueAttributeName::ApproximateNumberOfMessages;
    let answer = client
        .get_queue_attributes()
        .queue_url(queue_url)
        .attribute_names(ApproximateNumberOfMessages)
        .send()
        .await
        .expect("attributes");
    answer.attributes().and_then(|all| all.get(&ApproximateNumberOfMessages)).cloned().expect("a count")
}

async fn redriven_messages_reach_the_lake(endpoint: String) {
    let sdk = waybill::ops::aws::standin_config(&endpoint);
    let queue_url = create_queue(&sdk, "events", Some("events-dead")).await;
    let dead_url = create_queue(&sdk, "events-dead", None).await;
    create_bucket(&sdk, "lake").await;
    let client = Client::new(&sdk);
    let event_id = fresh_id();
    for text in [message(&event_id, "redriven"), "not one of ours".to_owned()] {
        client.send_message().queue_url(&queue_url).message_body(text).send().await.expect("send");
    }
    wear_out(&client, &queue_url).await;
    eventually("SQS set both messages aside", Duration::from_secs(20), async || {
        (depth(&client, &dead_url).await == "2").then_some(())
    })
    .await;

    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = Deployment::embedded(dir.path())
        .with("WAYBILL_QUEUE", &queue_url)
        .with("WAYBILL_LAKE", "s3://lake/shop")
        .with_aws(&endpoint);
    tokio::task::spawn_blocking(move || {
        // The dead-letter queue is found by the redrive policy.
        let batch = deployment.start(&["batch"]);
        let deadline = std::time::Instant::now() + PATIENCE;
        let letters = loop {
            let text = deployment.run_ok(&["dead-letters", "list", "--format", "json"]);
            let letters: Vec<Value> = serde_json::from_str(&text).expect("JSON");
            if letters.len() == 2 {
                break letters;
            }
            assert!(std::time::Instant::now() < deadline, "{letters:?}\n{}", batch.stderr());
        };
        // Four days are what SQS gives who asks for nothing.
        assert!(batch.stderr().contains("waited for 4.0 days, acknowledged or not"), "{}", batch.stderr());
        let mut reasons: Vec<&str> = letters.iter().filter_map(|letter| letter["reason"].as_str()).collect();
        reasons.sort_unstable();
        assert_eq!(reasons, ["bad_message", "redriven"]);

        deployment.run_ok(&["dead-letters", "replay", "--where", "reason=redriven", "--yes"]);
        let _load = deployment.start(&["load"]);
        deployment.await_count("select count(*) as n from raw.tracking_event", 1);
        let row = &deployment.query("select event_key, received_at from raw.tracking_event")[0];
        assert_eq!(row["event_key"], event_id);
        assert_eq!(row["received_at"], "2026-07-09T12:00:00.250000Z");
    })
    .await
    .expect("the journey ends");
    assert_eq!(depth(&client, &dead_url).await, "0");
    assert_eq!(depth(&client, &queue_url).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn redriven_messages_reach_the_lake_on_the_stand_in() {
    let standin = Standin::start(StandinOptions::default()).await;
    redriven_messages_reach_the_lake(standin.endpoint()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redriven_messages_reach_the_lake_on_moto() {
    let moto = Moto::start().await;
    redriven_messages_reach_the_lake(moto.endpoint()).await;
}
