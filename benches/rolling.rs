//! `make rolling`: two receivers restarted in turn, under load and behind a balancer, on the disk queue and on SQS's
//! stand-in; batch and load take the events on to DuckDB. One line for each restart: how long the end took, and what
//! became of every request from then until both were in service again.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::balancer::{Balancer, Checks, Counts, Target};
use crate::openloop;
use crate::process::WAYBILL;
use crate::report::Report;
use crate::running::{Ports, SECRET, signed};
use crate::standin::{Standin, StandinOptions};

const PER_SECOND: f64 = 300.0;
/// Of a body beside its envelope; AfterShip's median is 8 to 11 kB.
const PADDING: usize = 2_000;
/// Takes a receiver out after a second, well within the drain delay, which is the default.
const CHECKS: Checks = Checks { every: Duration::from_millis(500), healthy_after: 2, unhealthy_after: 2 };
/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Ports that the system gives to nobody by itself, so that a receiver finds its own again.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

pub async fn run(rounds: u64, report: &mut Report) {
    let standin = Standin::start(StandinOptions { latency: Duration::from_millis(10) }).await;
    standin.state().create_queue("events", &[]);
    for (name, endpoint) in [("disk", None), ("sqs", Some(standin.endpoint()))] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let queue = match &endpoint {
            Some(_) => standin.queue_url("events"),
            None => format!("file:{}", dir.path().join("queue").display()),
        };
        let place = Place { dir: dir.path().to_owned(), queue, endpoint };
        roll(name, &place, rounds, report).await;
    }
}

/// Where one fleet works.
struct Place {
    dir: PathBuf,
    queue: String,
    endpoint: Option<String>,
}

impl Place {
    fn command(&self, arguments: &[&str]) -> Command {
        let below = |name: &str| self.dir.join(name).display().to_string();
        let mut command = Command::new(WAYBILL);
        command
            .args(arguments)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .env("WAYBILL_WEBHOOK_SECRETS", SECRET)
            .env("WAYBILL_OPS_LISTEN", "127.0.0.1:0")
            .env("WAYBILL_QUEUE", &self.queue)
            .env("WAYBILL_LAKE", format!("file:{}", below("lake")))
            .env("WAYBILL_WAREHOUSE", format!("duckdb:{}", below("warehouse.duckdb")))
            .env("WAYBILL_BATCH_AGE", "1s")
            .env("WAYBILL_LOAD_INTERVAL", "1s")
            .env("WAYBILL_LOG", "error");
        if let Some(endpoint) = &self.endpoint {
            command
                .env("AWS_ENDPOINT_URL_SQS", endpoint)
                .env("AWS_REGION", "us-east-1")
                .env("AWS_ACCESS_KEY_ID", "bench")
                .env("AWS_SECRET_ACCESS_KEY", "bench");
        }
        command
    }

    /// Starts a mover and waits until it has bound its ports.
    async fn start(&self, mover: &str, ports: Option<[u16; 2]>) -> (Mover, Target) {
        let file = self.dir.join(format!("ports-{}.json", fastrand::u64(..)));
        let mut command = self.command(&[mover, "--ports-file", &file.display().to_string()]);
        if let Some([listen, ops]) = ports {
            command
                .env("WAYBILL_LISTEN", format!("127.0.0.1:{listen}"))
                .env("WAYBILL_OPS_LISTEN", format!("127.0.0.1:{ops}"));
        }
        let mover = Mover(command.spawn().expect("the program starts"));
        let told = Ports::told(&file).await;
        let ops = told.ops();
        let listen = if ports.is_some() { told.listen() } else { ops };
        (mover, Target { listen, ops })
    }
}

/// A running process; killed when dropped.
struct Mover(Child);

impl Mover {
    /// SIGTERM, then its end; gives how long that took.
    async fn end(&mut self) -> Duration {
        let asked = Instant::now();
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is running");
        loop {
            if let Some(status) = self.0.try_wait().expect("wait") {
                assert!(status.success(), "a mover ended with {status}");
                return asked.elapsed();
            }
            assert!(asked.elapsed() < PATIENCE, "a mover does not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Mover {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn roll(name: &str, place: &Place, rounds: u64, report: &mut Report) {
    let ports = [[free_port(), free_port()], [free_port(), free_port()]];
    let (first, second) =
        (place.start("receive", Some(ports[0])).await, place.start("receive", Some(ports[1])).await);
    let targets = [first.1, second.1];
    let mut receivers = [first.0, second.0];
    let (mut batch, _) = place.start("batch", None).await;
    let (mut load, _) = place.start("load", None).await;
    let balancer = Balancer::start(&targets, CHECKS).await;
    for index in [0, 1] {
        balancer.until_in_service(index, true, PATIENCE).await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    let address = balancer.address();
    let sending = tokio::spawn(async move {
        let (mut accepted, mut others) = (BTreeSet::new(), 0);
        while !told.load(Ordering::Relaxed) {
            let outcome = openloop::run(address, PER_SECOND, Duration::from_secs(1), event).await;
            others += outcome.refused + outcome.other + outcome.unanswered;
            accepted.extend(outcome.accepted);
        }
        (accepted, others)
    });

    let mut all = Counts::default();
    let mut longest = Duration::ZERO;
    for round in 1..=rounds {
        for index in [0, 1] {
            let took = receivers[index].end().await;
            receivers[index] = place.start("receive", Some(ports[index])).await.0;
            balancer.until_in_service(index, true, PATIENCE).await;
            let counts = balancer.take();
            report.add(&format!("{name}, round {round}, receiver {}", index + 1), figures(took, &counts));
            longest = longest.max(took);
            all.add(&counts);
        }
    }
    stop.store(true, Ordering::Relaxed);
    let (accepted, others) = sending.await.expect("the load ends");
    all.add(&balancer.take());

    let stored = stored(place, &accepted).await;
    for mover in receivers.iter_mut().chain([&mut batch, &mut load]) {
        mover.end().await;
    }
    let lost = accepted.difference(&stored.ids).count();
    let unasked = stored.ids.difference(&accepted).count();
    let mut line = figures(longest, &all);
    line.extend([
        ("acknowledged", accepted.len().to_string()),
        ("lost", lost.to_string()),
        ("twice", (stored.rows - stored.ids.len()).to_string()),
        ("not asked for", unasked.to_string()),
    ]);
    report.add(&format!("{name}, {} restarts", rounds * 2), line);
    assert_eq!(lost, 0, "acknowledged events are not in the facts");
    assert_eq!(others, all.failed(), "the senders and the balancer disagree");
}

fn figures(took: Duration, counts: &Counts) -> Vec<(&'static str, String)> {
    vec![
        ("end s", format!("{:.1}", took.as_secs_f64())),
        ("requests", counts.requests().to_string()),
        ("200", counts.ok.to_string()),
        ("kept conn.", counts.reused.to_string()),
        ("503", counts.unavailable.to_string()),
        ("reset", counts.broken().to_string()),
        ("refused", counts.refused.to_string()),
        ("else", (counts.other + counts.homeless).to_string()),
        ("p99 ms", format!("{:.1}", counts.millis_at(0.99))),
    ]
}

/// What the facts hold.
struct Stored {
    rows: usize,
    ids: BTreeSet<String>,
}

/// Asks until all that was accepted is there, or long enough.
async fn stored(place: &Place, accepted: &BTreeSet<String>) -> Stored {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut command = place.command(&[
            "query",
            "--format",
            "json",
            "select tracking_id as id from base.fct_shipment_tracking",
        ]);
        let output = tokio::task::spawn_blocking(move || command.output()).await.expect("it runs to its end");
        let text = output.expect("the program runs").stdout;
        let rows: Vec<Value> = serde_json::from_slice(&text).unwrap_or_default();
        let ids = rows.iter().filter_map(|row| row["id"].as_str().map(str::to_owned)).collect();
        let stored = Stored { rows: rows.len(), ids };
        if accepted.is_subset(&stored.ids) || Instant::now() > deadline {
            return stored;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// A signed event that is a tracking of its own.
fn event() -> (String, Vec<u8>) {
    let id = uuid::Uuid::new_v4().to_string();
    let body = format!(
        concat!(
            r#"{{"event":"tracking_update","event_id":"{id}","msg":{{"id":"{id}","tracking_number":"N","slug":"dhl","#,
            r#""tag":"InTransit","updated_at":"2026-07-09T11:00:00Z","note":"{note}"}}}}"#
        ),
        id = id,
        note = "x".repeat(PADDING)
    );
    let request = signed(body.as_bytes());
    (id, request)
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    loop {
        let port = fastrand::u16(PORTS);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
