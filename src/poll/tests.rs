//! The mover between a small stand-in of AfterShip's API, a real disk queue and a real folder.

mod pieces;
mod standin;
mod stopping;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::SignedDuration;
use tempfile::TempDir;

use crate::aftership::api::{Next, SNAPSHOT_EVENT, content_key};
use crate::aftership::client::ApiOptions;
use crate::aftership::webhook;
use crate::event::{Event, Source, line};
use crate::lake::dead_letter::{self, Filter, Reason};
use crate::lake::disk::DiskLake;
use crate::queue::Lease;
use crate::queue::disk::{DiskOptions, DiskQueue};

use super::state::State;
use super::*;
use standin::{Fault, Moody, Standin, locked};

/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

struct Bench {
    fake: Arc<Standin>,
    url: String,
    queue: Arc<Moody>,
    lake: Arc<dyn Lake>,
    _dir: TempDir,
}

impl Bench {
    async fn new() -> Bench {
        Bench::with_messages_of(1024 * 1024).await
    }

    async fn with_messages_of(bytes_max: usize) -> Bench {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let options = DiskOptions { any_file_system: true, ..DiskOptions::default() };
        let queue = DiskQueue::open(&dir.path().join("queue"), options).expect("a queue");
        let fake = Arc::new(Standin::default());
        Bench {
            url: fake.serve().await,
            fake,
            queue: Arc::new(Moody { queue: Arc::new(queue), is_away: AtomicBool::new(false), bytes_max }),
            lake: Arc::new(DiskLake::open(&dir.path().join("lake")).expect("a lake")),
            _dir: dir,
        }
    }

    /// So many trackings, updated in the last minutes.
    async fn with_trackings(count: i64) -> Bench {
        let bench = Bench::new().await;
        for index in 0..count {
            bench.fake.put(&format!("t{index}"), ago(300 - index), "InTransit");
        }
        bench
    }

    fn poll(&self) -> Poll {
        let options = ApiOptions {
            url: self.url.clone(),
            key: "a-key".to_owned(),
            rate: 1_000.0,
            attempts_max: 1,
            ..ApiOptions::default()
        };
        Poll {
            api: Api::open(options).expect("good settings"),
            queue: Arc::<Moody>::clone(&self.queue),
            lake: Arc::clone(&self.lake),
            settings: PollSettings {
                interval: Duration::from_millis(20),
                page: 2,
                save_every: Duration::ZERO,
                ..PollSettings::default()
            },
            health: Health::new(),
            polled: Arc::new(Polled::default()),
            receipts: None,
        }
    }

    async fn once(&self) -> Result<PollReport, PollError> {
        self.poll().run_once(&CancellationToken::new(), |_, _| {}).await
    }

    async fn state(&self) -> State {
        state::load(self.lake.as_ref()).await.expect("readable").expect("a state")
    }

    /// Takes everything out of the queue.
    async fn taken(&self) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let some = self.queue.receive(100, Duration::ZERO, PATIENCE).await.expect("receive");
            if some.is_empty() {
                return events;
            }
            let leases: Vec<Lease> = some.iter().map(|delivery| delivery.lease.clone()).collect();
            for delivery in some {
                let line = line::from_message(&delivery.body).expect("a message");
                events.push(line::decode(&line).expect("a line"));
            }
            for fate in self.queue.delete(&leases).await {
                fate.expect("deleted");
            }
        }
    }

    /// Ids of the trackings in the queue, in order; one that came twice is there twice.
    async fn ids(&self) -> Vec<String> {
        let events = self.taken().await;
        let id = |event: &Event| webhook::read(&event.body).expect("readable").tracking_id();
        let mut ids: Vec<String> = events.iter().map(id).collect();
        ids.sort();
        ids
    }
}

fn ago(seconds: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_secs(seconds)
}

fn names(count: i64) -> Vec<String> {
    (0..count).map(|index| format!("t{index}")).collect()
}

#[tokio::test]
async fn every_tracking_reaches_the_queue_once_as_an_event_of_the_api() {
    let bench = Bench::with_trackings(5).await;
    let mut progress = Vec::new();

    let report = bench
        .poll()
        .run_once(&CancellationToken::new(), |done, of| progress.push((done, of)))
        .await
        .expect("polled");

    assert_eq!((report.pages, report.snapshots, report.sent), (3, 5, 5));
    assert!(report.is_complete && report.out_of_reach.is_none() && report.clock_ahead_seconds.is_none());
    assert_eq!(progress, [(2, 5), (4, 5), (5, 5)]);
    let events = bench.taken().await;
    assert_eq!(events.len(), 5);
    for event in &events {
        let webhook = webhook::read(&event.body).expect("readable");
        assert_eq!((event.source, webhook.event.as_deref()), (Source::Api, Some(SNAPSHOT_EVENT)));
        let keys: BTreeSet<_> =
            locked(&bench.fake.trackings).iter().map(|(_, json)| content_key(json.as_bytes())).collect();
        assert!(keys.contains(&event.event_key));
    }
}

#[tokio::test]
async fn what_did_not_change_is_not_sent_again_and_what_did_is() {
    let bench = Bench::with_trackings(3).await;
    bench.once().await.expect("polled");
    assert_eq!(bench.ids().await, names(3));

    let again = bench.once().await.expect("polled");
    assert_eq!((again.sent, again.unchanged), (0, 3));

    bench.fake.put("t1", ago(1), "Delivered");
    let after = bench.once().await.expect("polled");
    assert_eq!((after.sent, after.unchanged), (1, 2));
    assert_eq!(bench.ids().await, ["t1"]);
}

#[tokio::test]
async fn windows_follow_each_other_without_a_gap() {
    let bench = Bench::with_trackings(3).await;

    bench.once().await.expect("polled");
    bench.once().await.expect("polled");

    let at = |text: &Option<String>| text.as_deref().expect("a bound").parse::<Timestamp>().expect("a date");
    let (from, until) = (bench.fake.asked_for("updated_at_min"), bench.fake.asked_for("updated_at_max"));
    assert!(from.iter().chain(&until).flatten().all(|text| text.ends_with("+00:00") && text.len() == 25));
    // Two pages each; both ends of a window stay as they are.
    assert_eq!((&from[0], &until[0]), (&from[1], &until[1]));
    assert!(at(&from[0]) >= ago(120 * 24 * 3600), "never beyond what AfterShip keeps");
    assert!(at(&from[2]) <= at(&until[0]) - SignedDuration::from_mins(10));
    assert_eq!(bench.state().await.until, Some(at(&until[2])));
}

#[tokio::test]
async fn the_state_waits_for_the_queue() {
    let bench = Bench::with_trackings(3).await;
    bench.queue.is_away.store(true, Ordering::Relaxed);

    let error = bench.once().await.expect_err("the queue is away");

    assert_eq!(error.step(), "queue");
    assert!(state::load(bench.lake.as_ref()).await.expect("readable").is_none(), "nothing to speak of");
    bench.queue.is_away.store(false, Ordering::Relaxed);
    assert_eq!(bench.once().await.expect("polled").sent, 3);
    assert_eq!(bench.ids().await, names(3));
}

#[tokio::test]
async fn a_run_that_is_stopped_goes_on_at_its_cursor() {
    let bench = Bench::with_trackings(6).await;
    let stop = CancellationToken::new();
    let stopping = stop.clone();

    let stopped = bench
        .poll()
        .run_once(&stop, |done, _| {
            if done == 4 {
                stopping.cancel()
            }
        })
        .await;

    let stopped = stopped.expect("stopped");
    assert!(!stopped.is_complete);
    let under_way = bench.state().await.unfinished.expect("a window under way");
    assert_eq!(under_way.next, Some(Next::Cursor("4".to_owned())));

    let rest = bench.once().await.expect("polled");
    assert_eq!((stopped.sent, rest.sent), (4, 2));
    assert!(rest.is_complete && bench.state().await.unfinished.is_none());
    assert_eq!(bench.fake.asked()[2].get("cursor").map(String::as_str), Some("4"));
    assert_eq!(bench.ids().await, names(6));
}

#[tokio::test]
async fn a_run_that_failed_goes_on_where_it_was() {
    for fault in [Fault::Status(503), Fault::Cut, Fault::Status(401)] {
        let bench = Bench::with_trackings(6).await;
        bench.fake.fail(1, fault);

        let error = bench.once().await.expect_err("a page failed");
        assert_eq!(error.step(), "list");
        assert_eq!(bench.state().await.until, None);

        assert_eq!(bench.once().await.expect("polled").sent, 4);
        assert_eq!(bench.ids().await, names(6));
    }
}

#[tokio::test]
async fn a_repeated_cursor_is_an_error_and_no_loop() {
    let bench = Bench::with_trackings(6).await;
    bench.fake.fail(1, Fault::SameCursor);

    let error = bench.once().await.expect_err("a circle");

    assert!(matches!(error, PollError::RepeatedCursor), "{error}");
    assert_eq!(bench.fake.asked().len(), 2);
    assert!(bench.once().await.expect("polled").is_complete);
    assert_eq!(bench.ids().await, names(6));
}

#[tokio::test]
async fn pages_by_number_are_read_down_to_the_first() {
    let bench = Bench::with_trackings(5).await;
    bench.fake.by_pages.store(true, Ordering::Relaxed);

    let report = bench.once().await.expect("polled");

    assert_eq!(report.sent, 5);
    let pages = bench.fake.asked_for("page");
    let pages: Vec<_> = pages.iter().map(Option::as_deref).collect();
    assert_eq!(pages, [None, Some("3"), Some("2"), Some("1")]);
    assert_eq!(bench.ids().await, names(5));
}

#[tokio::test]
async fn a_window_ends_by_the_clock_that_is_behind_and_the_difference_is_said() {
    for (ahead, is_behind) in [(-3_600, true), (3_600, false)] {
        let bench = Bench::with_trackings(1).await;
        *locked(&bench.fake.clock_ahead) = SignedDuration::from_secs(ahead);

        let report = bench.once().await.expect("polled");

        let told = report.clock_ahead_seconds.expect("it is said");
        assert!((told - ahead).abs() < 30, "{told}");
        let until = bench.state().await.until.expect("a watermark");
        assert_eq!(until < ago(3_500), is_behind, "{until}");
        assert_eq!(report.until, Some(until));
    }
}

#[tokio::test]
async fn what_is_older_than_aftership_keeps_is_said_and_not_asked_for() {
    let bench = Bench::with_trackings(1).await;
    let wanted = ago(200 * 24 * 3600);
    let mut poll = bench.poll();
    poll.settings.since = Some(wanted);

    let report = poll.run_once(&CancellationToken::new(), |_, _| {}).await.expect("polled");

    assert_eq!(report.out_of_reach, Some(api::second_at_or_before(wanted)));
    assert!(report.from.expect("a window") > ago(120 * 24 * 3600));
    assert_eq!(bench.ids().await, names(1));
}

#[tokio::test]
async fn who_asks_to_go_back_gets_everything_once_more() {
    let bench = Bench::with_trackings(3).await;
    bench.once().await.expect("polled");
    let mut poll = bench.poll();
    poll.settings.since = Some(ago(3_600));
    poll.settings.again = true;

    let report = poll.run_once(&CancellationToken::new(), |_, _| {}).await.expect("polled");

    assert_eq!((report.sent, report.unchanged), (3, 0));
    let ids = bench.ids().await;
    assert_eq!(ids.len(), 6);
}

#[tokio::test]
async fn what_is_no_tracking_is_sent_on_for_the_dead_letters() {
    let bench = Bench::with_trackings(1).await;
    locked(&bench.fake.trackings).push((ago(2), r#"{"title":"no id"}"#.to_owned()));

    let report = bench.once().await.expect("polled");

    assert_eq!((report.snapshots, report.sent, report.unreadable), (2, 2, 1));
    let events = bench.taken().await;
    let unreadable = events.iter().filter(|event| webhook::read(&event.body).is_err()).count();
    assert_eq!((events.len(), unreadable), (2, 1));
}

#[tokio::test]
async fn what_is_too_large_for_the_queue_is_a_dead_letter_and_stops_nothing() {
    let bench = Bench::with_messages_of(1_000).await;
    let long: String =
        (0..40).map(|index| content_key(format!("{index}").as_bytes()).as_str().to_owned()).collect();
    bench.fake.put("large", ago(20), &long);
    bench.fake.put("small", ago(10), "InTransit");

    let report = bench.once().await.expect("polled");

    assert_eq!((report.snapshots, report.sent, report.too_large), (2, 1, 1));
    assert_eq!(bench.ids().await, ["small"]);
    let letters = dead_letter::list(bench.lake.as_ref(), &Filter::default(), false).await.expect("a list");
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].letter.reason, Reason::GaveUp);
    let body = letters[0].letter.body().expect("a body");
    assert_eq!(webhook::read(&body).expect("readable").tracking_id(), "large");
}

#[tokio::test]
async fn the_service_goes_on_after_a_failure_and_ends_when_told() {
    let bench = Bench::with_trackings(1).await;
    bench.fake.fail(0, Fault::Status(500));
    let poll = bench.poll();
    let (health, polled) = (poll.health.clone(), Arc::clone(&poll.polled));
    let stop = CancellationToken::new();
    let running = tokio::spawn(poll.run(stop.clone()));

    let sent = async {
        while polled.sent.load(Ordering::Relaxed) < 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bench.fake.put("t9", ago(0), "Delivered");
        while polled.sent.load(Ordering::Relaxed) < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, sent).await.expect("both are sent");
    stop.cancel();
    tokio::time::timeout(PATIENCE, running).await.expect("it ends").expect("no panic");

    assert!(health.is_ready(COMPONENT), "a poll that fails does not turn webhooks away");
    assert_eq!(bench.ids().await, ["t0", "t9"]);
}
