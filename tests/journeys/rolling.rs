//! Restarts under load, one receiver after the other behind a balancer, as every deployment does: each request gets its
//! 200, each event its row. And one of the two killed instead; and messages of an older and of a newer program beside
//! ours. Figures of 20 rounds are `make rolling`'s.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::Value;
use tokio::task::{JoinHandle, block_in_place};
use waybill::event::BodySha256;
use waybill::queue::Queue;
use waybill::queue::disk::{DiskOptions, DiskQueue};
use waybill::queue::sqs::{SqsOptions, SqsQueue};

use crate::support::balancer::{Balancer, Checks, Counts, Target};
use crate::support::openloop::{self, Outcome};
use crate::support::pairing::{Pairing, Setup};
use crate::support::waybill::{Deployment, PATIENCE, Running, event, fresh_id, request, sign};

/// In each round both receivers are restarted.
const ROUNDS: usize = 3;
/// Requests a second: few, so that a debug build and its load fit two cores.
const PER_SECOND: f64 = 100.0;
/// What a process may take for its end.
const EXIT_MAX: Duration = Duration::from_secs(25);
/// Longer than the balancer takes to notice.
const DRAIN_DELAY: &str = "1s";
/// Ports that the system gives to nobody by itself, so that a receiver finds its own again after a restart.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

#[tokio::test(flavor = "multi_thread")]
async fn rolling_restarts_reset_no_request_and_lose_no_event_on_the_disk_queue() {
    roll(Pairing::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rolling_restarts_reset_no_request_and_lose_no_event_on_sqs() {
    roll(Pairing::SqsFolderDuckDb).await;
}

async fn roll(pairing: Pairing) {
    let setup = Setup::start(pairing).await;
    let mut fleet = Fleet::start(&setup).await;
    let load = Load::begin(fleet.balancer.address());

    for round in 1..=ROUNDS {
        for index in [0, 1] {
            let took = fleet.restart(index).await;
            let counts = fleet.balancer.take();
            println!("{pairing:?}, round {round}, receiver {index}: ended after {took:?}, {counts}");
            assert_eq!(counts.failed(), 0, "{pairing:?}, round {round}, receiver {index}: {counts}");
            assert!(counts.reused > 50, "no load, or no kept connections: this proves nothing: {counts}");
        }
    }
    let found = load.end().await;

    assert_eq!(fleet.balancer.take().failed(), 0);
    assert_eq!((found.refused, found.failed), (0, 0));
    assert!(found.accepted.len() > 200 * ROUNDS, "{} accepted: this proves nothing", found.accepted.len());
    fleet.until_stored(&found.accepted);
    assert!(fleet.stored() == found.accepted, "something else is there too");
    fleet.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_receiver_loses_nothing_that_it_acknowledged() {
    let setup = Setup::start(Pairing::Embedded).await;
    let mut fleet = Fleet::start(&setup).await;
    let load = Load::begin(fleet.balancer.address());
    fleet.until_answered(100).await;

    block_in_place(|| fleet.receivers[0].kill());
    fleet.balancer.until_in_service(0, false, PATIENCE).await;
    fleet.start_again(0).await;
    let meanwhile = fleet.balancer.take();
    // The other one ends as it should.
    fleet.restart(1).await;
    let afterwards = fleet.balancer.take();
    let found = load.end().await;

    // Only what was under way, or came before the balancer noticed, got no 200; and none of it an answer of ours.
    println!("killed: {meanwhile}");
    let no_answer = meanwhile.refused + meanwhile.broken();
    assert_eq!(meanwhile.failed(), no_answer, "{meanwhile}");
    assert!(no_answer > 0, "nobody noticed the kill: this proves nothing");
    assert_eq!(afterwards.failed(), 0, "{afterwards}");
    fleet.until_stored(&found.accepted);
    let unasked = fleet.stored().difference(&found.accepted).count() as u64;
    assert!(unasked <= meanwhile.broken(), "{unasked} events are there that nobody could have sent");
    fleet.end();
}

#[test]
fn a_receiver_whose_lake_does_not_open_is_never_in_service() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let lake = dir.path().join("no-folder");
    std::fs::write(&lake, "").expect("a file");
    let deployment =
        Deployment::embedded(dir.path()).with("WAYBILL_LAKE", &format!("file:{}", lake.display()));

    // It would be found by its ports, which it tells once they are bound.
    let Err((status, stderr)) = deployment.try_start(&["receive"]) else {
        panic!("it listens, says that it is ready, and then ends")
    };

    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("cannot open the lake"), "{stderr}");
}

/// Two receivers on one queue behind a balancer, and who takes its events on to the facts.
struct Fleet {
    /// Of each receiver, with its ports.
    deployments: [Deployment; 2],
    receivers: [Running; 2],
    batch: Running,
    load: Running,
    balancer: Balancer,
}

impl Fleet {
    async fn start(setup: &Setup) -> Fleet {
        let deployments = [0, 1].map(|_| {
            let [listen, ops] = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
            setup
                .deployment
                .clone()
                .with("WAYBILL_LISTEN", &listen)
                .with("WAYBILL_OPS_LISTEN", &ops)
                .with("WAYBILL_DRAIN_DELAY", DRAIN_DELAY)
        });
        let (receivers, batch, load) = block_in_place(|| {
            let receivers = [0, 1].map(|index: usize| deployments[index].start(&["receive"]));
            (receivers, setup.deployment.start(&["batch"]), setup.deployment.start(&["load"]))
        });
        let targets = [0, 1]
            .map(|index: usize| Target { listen: receivers[index].listen(), ops: receivers[index].ops() });
        let balancer = Balancer::start(&targets, Checks::default()).await;
        for index in [0, 1] {
            balancer.until_in_service(index, true, PATIENCE).await;
        }
        Fleet { deployments, receivers, batch, load, balancer }
    }

    /// Ends a receiver as a deployment does, and starts it on the same ports; gives how long its end took.
    async fn restart(&mut self, index: usize) -> Duration {
        let asked = Instant::now();
        self.receivers[index].terminate();
        let status = block_in_place(|| self.receivers[index].wait());
        let took = asked.elapsed();
        assert!(status.success(), "{status}: {}", self.receivers[index].stderr());
        assert!(took <= EXIT_MAX, "an end took {took:?}");
        assert!(!self.balancer.is_in_service(index), "it got requests until it was gone");
        self.start_again(index).await;
        took
    }

    async fn start_again(&mut self, index: usize) {
        self.receivers[index] = block_in_place(|| self.deployments[index].start(&["receive"]));
        self.balancer.until_in_service(index, true, PATIENCE).await;
    }

    /// Waits until so many requests have come through.
    async fn until_answered(&self, count: u64) {
        let deadline = Instant::now() + PATIENCE;
        let mut counts = Counts::default();
        while counts.ok < count {
            assert!(Instant::now() < deadline, "{counts}");
            tokio::time::sleep(Duration::from_millis(20)).await;
            counts.add(&self.balancer.take());
        }
        assert_eq!(counts.failed(), 0, "{counts}");
    }

    /// Waits until all of these are facts.
    fn until_stored(&self, ids: &BTreeSet<String>) {
        let deadline = Instant::now() + PATIENCE;
        block_in_place(|| {
            loop {
                let stored = self.stored();
                let missing: Vec<&String> = ids.difference(&stored).collect();
                if missing.is_empty() {
                    return;
                }
                assert!(
                    Instant::now() < deadline,
                    "{} of {} acknowledged events are not in the facts, such as {:?}",
                    missing.len(),
                    ids.len(),
                    missing.first()
                );
                std::thread::park_timeout(Duration::from_millis(200));
            }
        });
    }

    /// The events in the facts, of which each is a tracking of its own; none may be there twice.
    fn stored(&self) -> BTreeSet<String> {
        let of = |sql: &str| {
            let rows = block_in_place(|| self.deployments[0].query(sql));
            let text = |row: &Value| row["id"].as_str().expect("text").to_owned();
            let found: BTreeSet<String> = rows.iter().map(text).collect();
            assert_eq!(found.len(), rows.len(), "some are there twice: {sql}");
            found
        };
        let trackings = of("select tracking_id as id from base.fct_shipment_tracking");
        // Read afterwards, since a load may come in between.
        let events = of("select event_key as id from raw.tracking_event");
        assert!(trackings.is_subset(&events), "facts without their events");
        trackings
    }

    fn end(mut self) {
        for running in self.receivers.iter_mut().chain([&mut self.batch, &mut self.load]) {
            running.terminate();
            assert!(block_in_place(|| running.wait()).success(), "{}", running.stderr());
        }
    }
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    loop {
        let address = SocketAddr::from(([127, 0, 0, 1], fastrand::u16(PORTS)));
        if TcpListener::bind(address).is_ok() {
            return address.port();
        }
    }
}

/// Signed events, at their times, until told to end.
struct Load {
    stop: Arc<AtomicBool>,
    sending: JoinHandle<Found>,
}

/// What senders were answered.
#[derive(Debug, Default)]
struct Found {
    accepted: BTreeSet<String>,
    refused: u64,
    failed: u64,
}

impl Load {
    fn begin(address: SocketAddr) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let sending = tokio::spawn(async move {
            let mut found = Found::default();
            while !told.load(Ordering::Relaxed) {
                let outcome: Outcome =
                    openloop::run(address, PER_SECOND, Duration::from_millis(500), signed).await;
                found.refused += outcome.refused;
                found.failed += outcome.other + outcome.unanswered;
                found.accepted.extend(outcome.accepted);
            }
            found
        });
        Load { stop, sending }
    }

    async fn end(self) -> Found {
        self.stop.store(true, Ordering::Relaxed);
        self.sending.await.expect("the load ends")
    }
}

/// An event that is a tracking of its own.
fn signed() -> (String, Vec<u8>) {
    let id = fresh_id();
    let body = event(&id, &id, "InTransit", "2026-07-09T11:00:00Z");
    let header = format!("aftership-hmac-sha256: {}", sign(body.as_bytes()));
    (id, request(&[header], body.as_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_an_older_and_of_a_newer_program_land_beside_ours_on_the_disk_queue() {
    let setup = Setup::start(Pairing::Embedded).await;
    let queue =
        DiskQueue::open(&setup.deployment.dir().join("queue"), DiskOptions::default()).expect("queue");
    mix_versions(setup, Arc::new(queue)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_an_older_and_of_a_newer_program_land_beside_ours_on_sqs() {
    let setup = Setup::start(Pairing::SqsFolderDuckDb).await;
    let standin = setup.standin();
    let sdk = waybill::ops::aws::standin_config(&standin.endpoint());
    let queue =
        SqsQueue::open(&sdk, standin.queue_url("events"), SqsOptions::default()).await.expect("queue");
    mix_versions(setup, Arc::new(queue)).await;
}

/// Two receivers of which one is restarted, and beside them somebody who writes lines by the documentation alone, as an
/// older program did and a newer one will.
async fn mix_versions(setup: Setup, queue: Arc<dyn Queue>) {
    let mut fleet = Fleet::start(&setup).await;
    let load = Load::begin(fleet.balancer.address());
    let (mut others, mut unreadable) = (BTreeSet::new(), Vec::new());
    for number in 0..60 {
        let id = fresh_id();
        let line = match number % 3 {
            0 => foreign_line(1, &id, ""),
            1 => foreign_line(1, &id, r#""shard":[{"of":7}],"#),
            _ => foreign_line(2, &id, ""),
        };
        let message = BASE64_STANDARD.encode(zstd::bulk::compress(line.as_bytes(), 19).expect("compress"));
        assert!(queue.send(vec![message.clone()]).await.remove(0).is_ok());
        if number % 3 == 2 {
            unreadable.push(message);
        } else {
            others.insert(id);
        }
        if number == 30 {
            fleet.restart(0).await;
        }
    }
    let found = load.end().await;

    assert_eq!((found.refused, found.failed, fleet.balancer.take().failed()), (0, 0, 0));
    let all: BTreeSet<String> = found.accepted.union(&others).cloned().collect();
    fleet.until_stored(&all);
    assert!(fleet.stored() == all, "something else is there too");
    // What this program cannot read is kept as it was, for the one that can.
    let deployment = &setup.deployment;
    let kept: BTreeSet<String> = block_in_place(|| {
        let deadline = Instant::now() + PATIENCE;
        let letters = loop {
            let listed = deployment.run_ok(&["dead-letters", "list", "--format", "json"]);
            let letters: Vec<Value> = serde_json::from_str(&listed).expect("JSON");
            if letters.len() >= unreadable.len() {
                break letters;
            }
            assert!(Instant::now() < deadline, "{} dead letters", letters.len());
            std::thread::park_timeout(Duration::from_millis(100));
        };
        let body = |letter: &Value| {
            assert_eq!(letter["reason"], "bad_message");
            assert!(letter["detail"].as_str().is_some_and(|detail| detail.contains("version")), "{letter}");
            deployment.run_ok(&["dead-letters", "show", letter["id"].as_str().expect("text"), "--body"])
        };
        letters.iter().map(body).collect()
    });
    assert_eq!(kept, BTreeSet::from_iter(unreadable));
    fleet.end();
    queue.close().await;
}

/// A line of the queue as `docs/ARCHITECTURE.md` says; `more` members stand before its body.
fn foreign_line(version: u32, id: &str, more: &str) -> String {
    let body = event(id, id, "InTransit", "2026-07-09T11:00:00Z");
    let sha256 = BodySha256::of(body.as_bytes()).to_hex();
    format!(
        concat!(
            r#"{{"v":{version},"event_key":"{id}","event_id":"{id}","source":"webhook","#,
            r#""received_at":"2026-07-09T11:00:01.000000Z","replay_id":null,"body_sha256":"{sha256}",{more}"body":{body}}}"#
        ),
        version = version,
        id = id,
        sha256 = sha256,
        more = more,
        body = body
    )
}
