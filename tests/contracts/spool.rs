//! What a spool beside SQS promises: events are acknowledged while SQS is away, none is lost, a full spool says so at
//! once, and what waits is forwarded when SQS is back.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use waybill::ops::aws::standin_config;
use waybill::queue::disk::{DiskOptions, DiskQueue};
use waybill::queue::late::LateQueue;
use waybill::queue::spooled::SpooledQueue;
use waybill::queue::sqs::{SqsOptions, SqsQueue};
use waybill::queue::{Queue, SendError};

use crate::support::standin::{Fault, Op, Standin, StandinOptions};

const PATIENCE: Duration = Duration::from_secs(60);
const LONG: Duration = Duration::from_secs(600);

async fn standin() -> Standin {
    let standin = Standin::start(StandinOptions::default()).await;
    standin.state().create_queue("events", &[]);
    standin
}

/// Asks SQS for as long as a real one is asked beside a spool.
fn hasty() -> SqsOptions {
    SqsOptions { deadline: Duration::from_millis(500), ..SqsOptions::default() }
}

async fn sqs(standin: &Standin) -> Arc<dyn Queue> {
    let sdk = standin_config(&standin.endpoint());
    Arc::new(SqsQueue::open(&sdk, standin.queue_url("events"), hasty()).await.expect("the queue opens"))
}

fn spool(dir: &Path) -> Arc<DiskQueue> {
    Arc::new(DiskQueue::open(dir, DiskOptions::default()).expect("the spool opens"))
}

async fn send(queue: &dyn Queue, text: &str) -> Result<(), SendError> {
    queue.send(vec![text.to_owned()]).await.pop().expect("one fate for one message").map(|_durable| ())
}

/// Everything that can be received, until nothing comes any more.
async fn drained(queue: &dyn Queue, count: usize) -> BTreeSet<String> {
    let deadline = Instant::now() + PATIENCE;
    let mut found = BTreeSet::new();
    while found.len() < count {
        assert!(Instant::now() < deadline, "only {} of {count} came", found.len());
        match queue.receive(10, Duration::from_secs(1), LONG).await {
            Ok(received) => found.extend(received.into_iter().map(|delivery| delivery.body)),
            // Not back yet.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_taken_while_sqs_is_away_and_forwarded_when_it_is_back() {
    let standin = standin().await;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let queue = SpooledQueue::start(sqs(&standin).await, spool(dir.path()), None);
    send(&queue, "before").await.expect("sqs takes it");
    let armed = standin.faults().arm(Op::SendMessageBatch, Fault::Status(503), u64::MAX);

    for index in 0..50 {
        send(&queue, &format!("meanwhile {index}")).await.expect("the spool takes it");
    }

    assert!(armed.fired() > 0 && queue.outage().is_some());
    let depth = queue.spool().depth().await.expect("depth");
    assert_eq!(depth.ready + depth.leased, 50);
    assert!(depth.oldest.is_some(), "how long the oldest waits can be seen");
    queue.probe().await.expect("it takes events");
    standin.faults().disarm_all();
    assert_eq!(drained(&queue, 51).await.len(), 51);
    let deadline = Instant::now() + PATIENCE;
    while queue.outage().is_some() || queue.spool().depth().await.expect("depth").oldest.is_some() {
        assert!(Instant::now() < deadline, "the spool does not empty");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    send(&queue, "after").await.expect("sqs takes it");
    assert_eq!(queue.spool().depth().await.expect("depth").oldest, None, "not by way of the spool");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_circuit_is_open_nobody_waits_for_sqs() {
    let standin = standin().await;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let queue = SpooledQueue::start(sqs(&standin).await, spool(dir.path()), None);
    standin.faults().arm(Op::SendMessageBatch, Fault::Blackhole, u64::MAX);
    send(&queue, "the first one waits").await.expect("the spool takes it");

    let began = Instant::now();
    for index in 0..20 {
        send(&queue, &format!("{index}")).await.expect("the spool takes it");
    }

    // Each of them would wait for half a second.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_spool_refuses_at_once_and_loses_nothing() {
    let standin = standin().await;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let options = DiskOptions { file_bytes_max: Some(2 * 1024 * 1024), ..DiskOptions::default() };
    let small = Arc::new(DiskQueue::open(dir.path(), options).expect("the spool opens"));
    let queue = SpooledQueue::start(sqs(&standin).await, small, None);
    standin.faults().arm(Op::SendMessageBatch, Fault::Status(503), u64::MAX);
    let text = |index: usize| format!("{index:06}{}", "x".repeat(50_000));
    let mut taken = 0;
    while send(&queue, &text(taken)).await.is_ok() {
        taken += 1;
        assert!(taken < 1_000, "the limit was not kept");
    }

    let mut waits = Vec::new();
    for _ in 0..100 {
        let began = Instant::now();
        let refused = send(&queue, &text(999_999)).await;
        waits.push(began.elapsed());
        assert!(matches!(refused, Err(SendError::Unavailable(_))), "{refused:?}");
    }
    waits.sort_unstable();

    // Waiting for SQS would take half a second each, for room for ever.
    assert!(waits[50] < Duration::from_millis(250), "half of them took longer than {:?}", waits[50]);
    assert!(taken > 10);
    standin.faults().disarm_all();
    let expected: BTreeSet<String> = (0..taken).map(text).collect();
    assert_eq!(drained(&queue, taken).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_process_spooled_the_next_one_forwards() {
    let standin = standin().await;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let armed = standin.faults().arm(Op::SendMessageBatch, Fault::Status(503), u64::MAX);
    let first = SpooledQueue::start(sqs(&standin).await, spool(dir.path()), None);
    for index in 0..20 {
        send(&first, &format!("{index}")).await.expect("the spool takes it");
    }
    assert!(armed.fired() > 0);
    first.close().await;
    drop(first);
    standin.faults().disarm_all();

    let second = SpooledQueue::start(sqs(&standin).await, spool(dir.path()), None);

    assert_eq!(drained(&second, 20).await.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_sqs_takes_events_at_once() {
    let standin = standin().await;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (endpoint, url) = (standin.endpoint(), standin.queue_url("events"));
    // The first tries to open it find nobody.
    standin.faults().arm(Op::GetQueueAttributes, Fault::Blackhole, 1);
    let late = LateQueue::new(Box::new(move || {
        let (sdk, url) = (standin_config(&endpoint), url.clone());
        Box::pin(async move {
            let opened =
                tokio::time::timeout(Duration::from_millis(500), SqsQueue::open(&sdk, url, hasty())).await;
            let queue = opened.map_err(|_| waybill::queue::QueueError::Unavailable("away".to_owned()))??;
            Ok(Some(Arc::new(queue) as Arc<dyn Queue>))
        })
    }));
    let queue = SpooledQueue::start(Arc::new(late), spool(dir.path()), Some("away".to_owned()));

    for index in 0..10 {
        send(&queue, &format!("{index}")).await.expect("the spool takes it");
    }

    assert_eq!(standin.calls(Op::SendMessageBatch), 0, "nobody asked it");
    assert_eq!(drained(&queue, 10).await.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_sqs_would_never_take_is_refused_and_not_spooled() {
    let standin = standin().await;
    standin.state().create_queue("small", &[("MaximumMessageSize", "2048")]);
    let sdk = standin_config(&standin.endpoint());
    let main = SqsQueue::open(&sdk, standin.queue_url("small"), hasty()).await.expect("the queue opens");
    let dir = tempfile::tempdir().expect("a temporary folder");
    let queue = SpooledQueue::start(Arc::new(main), spool(dir.path()), None);
    standin.faults().arm(Op::SendMessageBatch, Fault::Status(503), u64::MAX);

    let fates = queue.send(vec!["fits".to_owned(), "x".repeat(3_000)]).await;

    assert!(matches!(fates[..], [Ok(_), Err(SendError::TooLarge { limit: 2048, .. })]), "{fates:?}");
}
