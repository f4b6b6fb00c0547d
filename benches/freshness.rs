//! `make freshness`: how old events are when they can be queried, in a warehouse that holds many already, and at which
//! rate that breaks. One `up` with its default settings on all cores of the machine, which the load shares.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use waybill::aftership::simulator::Simulator;
use waybill::event::{Event, line};
use waybill::lake::disk::DiskLake;
use waybill::lake::layout::{self, Compression};
use waybill::lake::object::Packer;
use waybill::lake::{Lake, Put};
use waybill::ops::http;

use crate::openloop::{self, Outcome};
use crate::process::{Measured, WAYBILL};
use crate::report::Report;
use crate::running::{Ports, SECRET, each_once, metrics, request, sum};

/// Events a second of each step, until one breaks.
const RATES: [f64; 5] = [100.0, 500.0, 1_000.0, 2_000.0, 4_000.0];
/// Events of one object that is there before.
const OBJECT_EVENTS: u64 = 10_000;
/// How long what is acknowledged is waited for.
const CATCH_UP_MAX: Duration = Duration::from_secs(300);
/// The histogram that says when an event could be queried.
const METRIC: &str = "waybill_load_ack_to_fact_seconds";

/// `events`: in the warehouse before the first step. `seconds`: of each step.
pub async fn run(events: u64, seconds: u64, report: &mut Report) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    fill(dir.path(), events).await;
    let server = Measured::start(command(dir.path(), &["up", "--data"], Some(dir.path())));
    let ports = Ports::told(&dir.path().join("ports.json")).await;
    let (listen, ops) = (ports.listen(), ports.ops());
    let client = http::client(false, Duration::from_secs(5), 4).expect("a client");
    let simulator = RefCell::new(Simulator::new(7, each_once()));
    // Everything is warm before it is measured.
    openloop::run(listen, 50.0, Duration::from_secs(5), || request(&simulator)).await;
    let mut held = events;
    for rate in RATES {
        caught_up(&client, ops).await;
        let before = histogram(&client, ops).await;
        let cpu_before = server.usage().cpu;
        let outcome = openloop::run(listen, rate, Duration::from_secs(seconds), || request(&simulator)).await;
        let ended = Instant::now();
        let is_caught_up = caught_up(&client, ops).await;
        let after = histogram(&client, ops).await;
        let ages = after.since(&before);
        let cpu = server.usage().cpu.saturating_sub(cpu_before);
        let is_broken = add(report, rate, held, &outcome, &ages, cpu, is_caught_up.then(|| ended.elapsed()));
        held += outcome.accepted.len() as u64;
        if is_broken {
            break;
        }
    }
    server.stop();
}

/// True when this step missed what the next one would miss too.
fn add(
    report: &mut Report,
    rate: f64,
    held: u64,
    outcome: &Outcome,
    ages: &Ages,
    cpu: Duration,
    caught_up: Option<Duration>,
) -> bool {
    let accepted = outcome.accepted.len() as u64;
    // What did not come is older than everything that did.
    let (p50, p95, p99) =
        (ages.at_most(0.50, accepted), ages.at_most(0.95, accepted), ages.at_most(0.99, accepted));
    let refused = outcome.refused + outcome.other + outcome.unanswered;
    report.add(
        &format!("{rate:.0}/s onto {held} events"),
        vec![
            ("accepted", accepted.to_string()),
            ("refused", refused.to_string()),
            ("p50 <= s", seconds(p50)),
            ("p95 <= s", seconds(p95)),
            ("p99 <= s", seconds(p99)),
            ("missing", accepted.saturating_sub(ages.count).to_string()),
            ("ack p99 ms", format!("{:.0}", outcome.accepted_at(0.99))),
            ("CPU s/M", format!("{:.0}", cpu.as_secs_f64() * 1e6 / accepted.max(1) as f64)),
            ("caught up s", caught_up.map_or("no".to_owned(), |took| format!("{:.1}", took.as_secs_f64()))),
        ],
    );
    p99 > 60.0 || refused * 100 > accepted
}

fn seconds(limit: f64) -> String {
    if limit.is_finite() { format!("{limit}") } else { "more".to_owned() }
}

/// Puts events into the lake and loads them.
async fn fill(dir: &Path, events: u64) {
    if events == 0 {
        return;
    }
    eprintln!("freshness: {events} events into the warehouse first");
    let bar = ProgressBar::new(events).with_style(
        ProgressStyle::with_template("{wide_bar} {pos}/{len} written, {eta} left").expect("a template"),
    );
    let lake = DiskLake::open(&dir.join("lake")).expect("a lake");
    let mut simulator = Simulator::new(1, each_once());
    let began = Timestamp::now();
    for object in 0..events.div_ceil(OBJECT_EVENTS) {
        let minute = began - jiff::SignedDuration::from_mins(60 + object as i64);
        let mut packer = Packer::new(Compression::Zstd);
        for _ in 0..OBJECT_EVENTS.min(events - object * OBJECT_EVENTS) {
            let delivery = simulator.next().expect("it never ends");
            let event = Event::received(Bytes::from(delivery.body), delivery.event_id, false, minute);
            packer.append(&line::encode(&event));
            packer.append(b"\n");
            bar.inc(1);
        }
        let key = layout::events_key(minute, &format!("{object:064x}"), Compression::Zstd);
        let put = lake.put_new(&key, Bytes::from(packer.finish())).await.expect("the disk has room");
        assert_eq!(put, Put::Created);
    }
    bar.finish_and_clear();
    let started = Instant::now();
    let usage = Measured::start(command(dir, &["load", "--once"], None)).wait();
    eprintln!("  loaded in {:.0} s, {:.0} CPU s", started.elapsed().as_secs_f64(), usage.cpu.as_secs_f64());
}

fn command(dir: &Path, arguments: &[&str], data: Option<&Path>) -> std::process::Command {
    let mut command = std::process::Command::new(WAYBILL);
    command.args(arguments);
    if let Some(data) = data {
        command.arg(data).arg("--ports-file").arg(dir.join("ports.json"));
    }
    command
        .current_dir(dir)
        .env("WAYBILL_WEBHOOK_SECRETS", SECRET)
        .env("WAYBILL_LISTEN", "127.0.0.1:0")
        .env("WAYBILL_OPS_LISTEN", "127.0.0.1:0")
        .env("WAYBILL_LAKE", format!("file:{}", dir.join("lake").display()))
        .env("WAYBILL_WAREHOUSE", format!("duckdb:{}", dir.join("warehouse.duckdb").display()))
        .env("WAYBILL_DRAIN_DELAY", "0s")
        .env("WAYBILL_LOG", "error")
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null());
    command
}

/// Waits until nothing waits any more; false when that takes too long.
async fn caught_up(client: &http::Client, ops: SocketAddr) -> bool {
    let deadline = Instant::now() + CATCH_UP_MAX;
    while Instant::now() < deadline {
        let text = metrics(client, ops).await;
        let value = |name: &str| sum(&text, name);
        if value("waybill_freshness_oldest_event_seconds ") == 0.0
            && value("waybill_queue_ready_messages") == 0.0
            && value("waybill_queue_leased_messages") == 0.0
            && value("waybill_batch_landed_events_total ")
                <= value("waybill_load_rows_total") + value("waybill_batch_dead_letters_total")
        {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    false
}

/// A histogram: how many took at most so long, by limit.
#[derive(Debug, Default)]
struct Ages {
    buckets: Vec<(f64, u64)>,
    count: u64,
}

async fn histogram(client: &http::Client, ops: SocketAddr) -> Ages {
    let text = metrics(client, ops).await;
    let mut ages = Ages::default();
    for line in text.lines().filter(|line| line.starts_with(METRIC)) {
        let Some((name, value)) = line.rsplit_once(' ') else { continue };
        let value = value.parse::<f64>().unwrap_or(0.0) as u64;
        if let Some(limit) = name.split("le=\"").nth(1).and_then(|rest| rest.split('"').next()) {
            if let Ok(limit) = limit.parse::<f64>() {
                ages.buckets.push((limit, value));
            }
        } else if name.ends_with("_count") {
            ages.count = value;
        }
    }
    ages
}

impl Ages {
    fn since(&self, before: &Ages) -> Ages {
        let known = |limit: f64| before.buckets.iter().find(|one| one.0 == limit).map_or(0, |one| one.1);
        Ages {
            buckets: self.buckets.iter().map(|&(limit, count)| (limit, count - known(limit))).collect(),
            count: self.count - before.count,
        }
    }

    /// The least limit below which this share of `of` lies; infinite when too few came at all.
    fn at_most(&self, share: f64, of: u64) -> f64 {
        let needed = (of as f64 * share).ceil() as u64;
        self.buckets.iter().find(|bucket| bucket.1 >= needed).map_or(f64::INFINITY, |bucket| bucket.0)
    }
}
