//! The stand-in as the SDK sees it. What it shares with AWS and moto is in the contract suites.

#![allow(clippy::large_futures, reason = "the SDK's futures are large, and tests are few")]

use std::time::{Duration, Instant};

use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::operation::send_message_batch::SendMessageBatchOutput;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, SendMessageBatchRequestEntry};
use waybill::ops::aws::standin_config;

use super::{Fault, Op, Standin, StandinOptions};

const QUEUE: &str = "events";
const BUCKET: &str = "lake";

async fn start() -> (Standin, aws_sdk_sqs::Client, aws_sdk_s3::Client) {
    let standin = Standin::start(StandinOptions::default()).await;
    let sdk = standin_config(&standin.endpoint());
    let sqs = aws_sdk_sqs::config::Builder::from(&sdk).retry_config(RetryConfig::disabled());
    let s3 =
        aws_sdk_s3::config::Builder::from(&sdk).retry_config(RetryConfig::disabled()).force_path_style(true);
    standin.state().create_bucket(BUCKET);
    (standin, aws_sdk_sqs::Client::from_conf(sqs.build()), aws_sdk_s3::Client::from_conf(s3.build()))
}

async fn start_with_queue() -> (Standin, aws_sdk_sqs::Client) {
    let (standin, sqs, _) = start().await;
    standin.state().create_queue(QUEUE, &[]);
    (standin, sqs)
}

async fn send(standin: &Standin, sqs: &aws_sdk_sqs::Client, bodies: &[&str]) -> SendMessageBatchOutput {
    let entries = bodies.iter().enumerate().map(|(index, body)| {
        SendMessageBatchRequestEntry::builder()
            .id(index.to_string())
            .message_body(*body)
            .build()
            .expect("all fields are set")
    });
    sqs.send_message_batch()
        .queue_url(standin.queue_url(QUEUE))
        .set_entries(Some(entries.collect()))
        .send()
        .await
        .expect("the call succeeds")
}

async fn receive(sqs: &aws_sdk_sqs::Client, url: &str, lease: i32) -> Vec<Message> {
    sqs.receive_message()
        .queue_url(url)
        .max_number_of_messages(10)
        .visibility_timeout(lease)
        .message_system_attribute_names(MessageSystemAttributeName::All)
        .send()
        .await
        .expect("the call succeeds")
        .messages
        .unwrap_or_default()
}

async fn put(s3: &aws_sdk_s3::Client, key: &str, body: &'static [u8]) -> Result<(), String> {
    let put = s3.put_object().bucket(BUCKET).key(key).if_none_match("*").body(body.to_vec().into());
    let outcome = put.send().await;
    outcome.map(|_| ()).map_err(|error| {
        error.raw_response().map_or("none".to_owned(), |raw| raw.status().as_u16().to_string())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_conditional_puts_of_one_key_exactly_one_creates_it() {
    let (_standin, _, s3) = start().await;

    let puts: Vec<_> = (0..50)
        .map(|_| {
            let s3 = s3.clone();
            tokio::spawn(async move { put(&s3, "dt=2026-07-09/käse +1.zst", b"bytes").await })
        })
        .collect();
    let mut outcomes = Vec::new();
    for put in puts {
        outcomes.push(put.await.expect("the put ends"));
    }

    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let refused = outcomes.iter().filter(|outcome| **outcome == Err("412".to_owned()));
    assert_eq!(refused.count(), 49);
    let got = s3
        .get_object()
        .bucket(BUCKET)
        .key("dt=2026-07-09/käse +1.zst")
        .send()
        .await
        .expect("the object is there");
    let body = got.body.collect().await.expect("the body comes whole");
    assert_eq!(body.into_bytes(), "bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_that_was_done_may_look_as_if_it_was_not() {
    let (standin, _, s3) = start().await;
    let faults = standin.faults();
    let armed = [
        (faults.arm(Op::PutObject, Fault::Conflict409, 1), "409"),
        (faults.arm(Op::PutObject, Fault::WriteThen503, 1), "503"),
        (faults.arm(Op::PutObject, Fault::DropAnswerAfterDoing, 1), "none"),
    ];

    for (index, (rule, expected)) in armed.iter().enumerate() {
        let outcome = put(&s3, &format!("key{index}"), b"bytes").await;

        assert_eq!(outcome.err().as_deref(), Some(*expected));
        assert_eq!(rule.fired(), 1);
    }

    let listing = s3.list_objects_v2().bucket(BUCKET).send().await.expect("a listing");
    let keys: Vec<_> = listing.contents().iter().filter_map(|object| object.key()).collect();
    assert_eq!(keys, ["key1", "key2"]);
    assert_eq!(standin.calls(Op::PutObject), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_fail_or_go_unmentioned_inside_a_success() {
    let (standin, sqs) = start_with_queue().await;
    standin.faults().arm(Op::SendMessageBatch, Fault::FailEntries(2), 1);
    standin.faults().arm(Op::SendMessageBatch, Fault::DropEntries(1), 1);

    let failed = send(&standin, &sqs, &["a", "b", "c"]).await;
    let dropped = send(&standin, &sqs, &["d", "e"]).await;

    let told: Vec<_> = failed.failed().iter().map(|entry| (entry.id(), entry.sender_fault())).collect();
    assert_eq!(told, [("0", false), ("1", false)]);
    assert_eq!(failed.successful().len(), 1);
    assert_eq!((dropped.successful().len(), dropped.failed().len()), (1, 0));
    let mut there: Vec<_> = receive(&sqs, &standin.queue_url(QUEUE), 30)
        .await
        .into_iter()
        .filter_map(|message| message.body)
        .collect();
    there.sort();
    assert_eq!(there, ["c", "e"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_character_that_sqs_refuses_fails_its_entry_alone() {
    let (standin, sqs) = start_with_queue().await;

    let sent = send(&standin, &sqs, &["good", "bad\u{fffe}", "also good \u{1f4e6}"]).await;

    assert_eq!(sent.successful().len(), 2);
    let failed = &sent.failed()[0];
    assert_eq!((failed.id(), failed.code(), failed.sender_fault()), ("1", "InvalidMessageContents", true));
}

async fn delete(sqs: &aws_sdk_sqs::Client, url: &str, message: &Message) {
    let delete = sqs.delete_message().queue_url(url).set_receipt_handle(message.receipt_handle.clone());
    delete.send().await.expect("a delete is called a success");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outdated_handle_deletes_nothing() {
    let (standin, sqs) = start_with_queue().await;
    let url = standin.queue_url(QUEUE);
    send(&standin, &sqs, &["text"]).await;
    let first = receive(&sqs, &url, 0).await;
    let second = receive(&sqs, &url, 0).await;

    delete(&sqs, &url, &first[0]).await;
    let third = receive(&sqs, &url, 0).await;
    delete(&sqs, &url, &third[0]).await;

    assert_ne!(first[0].receipt_handle, second[0].receipt_handle);
    assert!(receive(&sqs, &url, 0).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_received_too_often_moves_to_the_dead_letters() {
    let (standin, sqs, _) = start().await;
    let arn = standin.queue_arn("dead");
    let policy = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":"2"}}"#);
    standin.state().create_queue("dead", &[]);
    standin.state().create_queue(QUEUE, &[("RedrivePolicy", &policy)]);
    send(&standin, &sqs, &["poison"]).await;

    let url = standin.queue_url(QUEUE);
    let counts = [
        receive(&sqs, &url, 0).await.len(),
        receive(&sqs, &url, 0).await.len(),
        receive(&sqs, &url, 0).await.len(),
    ];
    let dead = receive(&sqs, &standin.queue_url("dead"), 30).await;

    assert_eq!(counts, [1, 1, 0]);
    assert_eq!(dead[0].body(), Some("poison"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_late_by_the_latency_and_none_waits_for_another() {
    let (standin, sqs) = start_with_queue().await;
    let latency = Duration::from_millis(300);
    standin.faults().set_latency(latency);
    let started = Instant::now();

    let calls: Vec<_> = (0..20)
        .map(|_| {
            let call = sqs.receive_message().queue_url(standin.queue_url(QUEUE));
            tokio::spawn(async move { call.send().await.is_ok() })
        })
        .collect();
    for call in calls {
        assert!(call.await.expect("the call ends"));
    }

    assert!(started.elapsed() >= latency);
    assert!(started.elapsed() < latency * 20, "one after the other");
    assert_eq!(standin.calls(Op::ReceiveMessage), 20);
}
