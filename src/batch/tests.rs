//! The mover between a real disk queue and a real folder.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::event::{Event, line};
use crate::lake::dead_letter::{self, Filter, Reason};
use crate::lake::disk::DiskLake;
use crate::lake::manifest::Manifest;
use crate::lake::{layout, list_all};
use crate::queue::disk::{DiskOptions, DiskQueue};

use super::*;

struct Bench {
    queue: Arc<dyn Queue>,
    lake: Arc<dyn Lake>,
    _dir: TempDir,
}

impl Bench {
    fn new() -> Bench {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let options = DiskOptions { any_file_system: true, ..DiskOptions::default() };
        Bench {
            queue: Arc::new(DiskQueue::open(&dir.path().join("queue"), options).expect("a queue")),
            lake: Arc::new(DiskLake::open(&dir.path().join("lake")).expect("a lake")),
            _dir: dir,
        }
    }

    async fn send(&self, name: &str) {
        self.send_at(name, "2026-07-09T12:00:00Z").await;
    }

    async fn send_at(&self, name: &str, received_at: &str) {
        let body = Bytes::from(format!(r#"{{"msg":{{"id":"{name}"}}}}"#));
        let received_at: Timestamp = received_at.parse().expect("an instant");
        let event = Event::received(body, None, false, received_at);
        for fate in self.queue.send(vec![line::to_message(&line::encode(&event))]).await {
            let _enqueued = fate.expect("sent");
        }
    }

    /// Receives everything so often without deleting it, as movers do that die on it.
    async fn wear_out(&self, times: u32) {
        for _ in 0..times {
            let taken =
                self.queue.receive(10, Duration::ZERO, Duration::from_secs(60)).await.expect("receive");
            let leases: Vec<Lease> = taken.into_iter().map(|delivery| delivery.lease).collect();
            for fate in self.queue.extend(&leases, Duration::ZERO).await {
                fate.expect("given back");
            }
        }
    }

    fn batch(&self, settings: BatchSettings) -> Batch {
        Batch {
            queue: Arc::clone(&self.queue),
            dead_letter_queue: None,
            lake: Arc::clone(&self.lake),
            settings,
            suppressed: Arc::default(),
            health: Health::new(),
            landed: Arc::new(Landed::default()),
        }
    }

    async fn run_once(&self) {
        let settings = BatchSettings { age: Duration::from_millis(200), ..BatchSettings::default() };
        self.batch(settings).run_once(CancellationToken::new()).await;
        let depth = self.queue.depth().await.expect("a depth");
        assert_eq!((depth.ready, depth.leased), (0, 0), "everything was let go");
    }

    /// Lines of each object, as its manifest says; the object is there.
    async fn landed(&self) -> Vec<u64> {
        let mut lines = Vec::new();
        for object in list_all(self.lake.as_ref(), layout::MANIFESTS, None).await.expect("a list") {
            let text = self.lake.get(&object.key).await.expect("a manifest");
            for named in Manifest::from_json(&text).expect("our own manifest").objects {
                self.lake.get(&named.key).await.expect("the object that a manifest names");
                lines.push(named.lines);
            }
        }
        lines.sort_unstable();
        lines
    }
}

#[tokio::test]
async fn a_message_that_failed_before_travels_alone() {
    let bench = Bench::new();
    bench.send("worn").await;
    bench.wear_out(BatchSettings::default().attempts_alone).await;
    for name in ["new 1", "new 2", "new 3"] {
        bench.send(name).await;
    }

    bench.run_once().await;

    assert_eq!(bench.landed().await, [1, 3]);
}

#[tokio::test]
async fn a_message_that_came_once_too_often_for_nothing_is_set_aside() {
    let bench = Bench::new();
    bench.send("poison").await;
    bench.wear_out(BatchSettings::default().attempts_max).await;
    bench.send("new").await;

    bench.run_once().await;

    assert_eq!(bench.landed().await, [1]);
    let letters = dead_letter::list(bench.lake.as_ref(), &Filter::default(), false).await.expect("a list");
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].letter.reason, Reason::GaveUp);
    assert_eq!(letters[0].letter.attempts, BatchSettings::default().attempts_max + 1);
    assert_eq!(letters[0].letter.body().expect("a body"), br#"{"msg":{"id":"poison"}}"#);
}

#[tokio::test]
async fn a_burst_makes_one_object_of_each_minute_and_then_leaves_the_queue_alone() {
    let bench = Bench::new();
    // More minutes than are open at once without bursts, and in no order, as SQS gives them.
    for round in 0..5 {
        for minute in 0..12 {
            bench.send_at(&format!("{round} {minute}"), &format!("2026-07-09T12:{minute:02}:30Z")).await;
        }
    }
    let settings = BatchSettings::default().in_bursts(Duration::from_secs(3600));
    let stop = CancellationToken::new();

    let batch = bench.batch(settings);
    let landed = Arc::clone(&batch.landed);
    let running = tokio::spawn(batch.run(stop.clone()));
    while bench.landed().await.iter().sum::<u64>() < 60 {
        landed.notify.notified().await;
    }

    assert_eq!(bench.landed().await, [5; 12]);
    // What comes now is for the next burst.
    bench.send("late").await;
    stop.cancel();
    running.await.expect("it ends");
    assert_eq!(bench.queue.depth().await.expect("a depth").ready, 1);
}

#[tokio::test]
async fn a_burst_of_more_than_can_be_held_lands_all_the_same() {
    let bench = Bench::new();
    for number in 0..50 {
        bench.send(&format!("{number}")).await;
    }
    let settings =
        BatchSettings { held_max: 10, ..BatchSettings::default().in_bursts(Duration::from_secs(3600)) };

    bench.batch(settings).run_once(CancellationToken::new()).await;

    assert_eq!(bench.landed().await.iter().sum::<u64>(), 50);
}
