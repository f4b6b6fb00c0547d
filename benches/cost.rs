//! `make cost`: requests to SQS and S3 for a million events, counted by the program itself at its stand-in of AWS, fresh
//! and lazy. Each mover is a process of its own, as on AWS.

use std::cell::RefCell;
use std::path::Path;
use std::time::{Duration, Instant};

use waybill::aftership::simulator::Simulator;
use waybill::ops::http;

use crate::openloop;
use crate::process::{Measured, WAYBILL};
use crate::report::Report;
use crate::running::{Ports, SECRET, each_once, metrics, request, sum};
use crate::standin::{Standin, StandinOptions};

/// Events a second.
const RATES: [f64; 2] = [10.0, 500.0];
/// Dollars of a million requests, us-east-1, November 2026: SQS standard of up to 64 KB; S3 PUT and LIST; S3 GET.
const SQS: f64 = 0.40;
const S3_PUT: f64 = 5.0;
const S3_GET: f64 = 0.40;
const S3_PUTS: [&str; 2] = ["PutObject", "ListObjectsV2"];
const SETTLE_MAX: Duration = Duration::from_secs(120);

/// `seconds`: of arrivals in each step; from a minute on the objects of a lazy burst are those of an hour, in proportion.
pub async fn run(seconds: u64, report: &mut Report) {
    for rate in RATES {
        for freshness in ["1m", "1h"] {
            let (events, counts) = one(rate, seconds, freshness).await;
            add(report, rate, freshness, events, &counts);
        }
    }
}

/// Requests by place and operation.
type Counts = Vec<(String, String, f64)>;

fn add(report: &mut Report, rate: f64, freshness: &str, events: u64, counts: &Counts) {
    let per_million = 1e6 / events.max(1) as f64;
    let sum = |is_it: &dyn Fn(&str, &str) -> bool| -> f64 {
        let of_it = counts.iter().filter(|count| is_it(&count.0, &count.1));
        // Of none the sum is -0.
        of_it.map(|count| count.2).sum::<f64>().abs() * per_million
    };
    let operation = |name: &'static str| sum(&move |_, operation| operation == name);
    let sqs = sum(&|place, _| place == "sqs");
    let puts = sum(&|place, operation| place == "s3" && S3_PUTS.contains(&operation));
    let gets = sum(&|place, operation| place == "s3" && !S3_PUTS.contains(&operation));
    let thousand = |count: f64| format!("{:.1}", count / 1e3);
    report.add(
        &format!("{rate:.0}/s, freshness {freshness}"),
        vec![
            ("events", events.to_string()),
            ("send k/M", thousand(operation("SendMessageBatch"))),
            ("receive k/M", thousand(operation("ReceiveMessage"))),
            ("delete k/M", thousand(operation("DeleteMessageBatch"))),
            ("extend k/M", thousand(operation("ChangeMessageVisibilityBatch"))),
            ("SQS k/M", thousand(sqs)),
            ("PUT+LIST k/M", thousand(puts)),
            ("GET k/M", thousand(gets)),
            ("$ a million", format!("{:.2}", (sqs * SQS + puts * S3_PUT + gets * S3_GET) / 1e6)),
        ],
    );
}

async fn one(rate: f64, seconds: u64, freshness: &str) -> (u64, Counts) {
    let standin = Standin::start(StandinOptions { latency: Duration::from_millis(10) }).await;
    standin.state().create_queue("events", &[]);
    standin.state().create_bucket("lake");
    let dir = tempfile::tempdir().expect("a temporary folder");
    let client = http::client(false, Duration::from_secs(5), 8).expect("a client");
    let receive = Process::start(dir.path(), "receive", freshness, &standin).await;
    let is_lazy = freshness == "1h";
    // Lazy ones find all at once what has come since their last burst, as they do each hour.
    let mut behind = Vec::new();
    if !is_lazy {
        behind.push(Process::start(dir.path(), "batch", freshness, &standin).await);
        behind.push(Process::start(dir.path(), "load", freshness, &standin).await);
    }
    let simulator = RefCell::new(Simulator::new(3, each_once()));
    let listen = receive.ports.listen();
    let outcome = openloop::run(listen, rate, Duration::from_secs(seconds), || request(&simulator)).await;
    let events = outcome.accepted.len() as u64;
    if is_lazy {
        behind.push(Process::start(dir.path(), "batch", freshness, &standin).await);
        behind[0].settle(&client, "waybill_batch_landed_events_total", events).await;
        behind.push(Process::start(dir.path(), "load", freshness, &standin).await);
    }
    behind[1].settle(&client, "waybill_load_rows_total", events).await;
    let mut counts = receive.counts(&client).await;
    for process in &behind {
        counts.extend(process.counts(&client).await);
    }
    (events, counts)
}

/// A mover, and where to ask it.
struct Process {
    _measured: Measured,
    ports: Ports,
}

impl Process {
    async fn start(dir: &Path, mover: &str, freshness: &str, standin: &Standin) -> Process {
        let ports = dir.join(format!("{mover}.json"));
        let mut command = std::process::Command::new(WAYBILL);
        command
            .arg(mover)
            .arg("--ports-file")
            .arg(&ports)
            .current_dir(dir)
            .env("WAYBILL_WEBHOOK_SECRETS", SECRET)
            .env("WAYBILL_LISTEN", "127.0.0.1:0")
            .env("WAYBILL_OPS_LISTEN", "127.0.0.1:0")
            .env("WAYBILL_QUEUE", standin.queue_url("events"))
            .env("WAYBILL_LAKE", "s3://lake/waybill")
            .env("WAYBILL_WAREHOUSE", format!("duckdb:{}", dir.join("warehouse.duckdb").display()))
            .env("WAYBILL_FRESHNESS", freshness)
            .env("WAYBILL_LOG", "error")
            .env("AWS_ENDPOINT_URL_SQS", standin.endpoint())
            .env("AWS_ENDPOINT_URL_S3", standin.endpoint())
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "bench")
            .env("AWS_SECRET_ACCESS_KEY", "bench")
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null());
        let measured = Measured::start(command);
        let ports = Ports::told(&ports).await;
        Process { _measured: measured, ports }
    }

    /// Waits until a count is there.
    async fn settle(&self, client: &http::Client, name: &str, expected: u64) {
        let deadline = Instant::now() + SETTLE_MAX;
        loop {
            let text = metrics(client, self.ports.ops()).await;
            let count = sum(&text, name);
            if count >= expected as f64 {
                return;
            }
            assert!(Instant::now() < deadline, "{name} is {count}, not {expected}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn counts(&self, client: &http::Client) -> Counts {
        let text = metrics(client, self.ports.ops()).await;
        let label = |line: &str, name: &str| {
            line.split(&format!("{name}=\"")).nth(1)?.split('"').next().map(str::to_owned)
        };
        text.lines()
            .filter(|line| line.starts_with("waybill_aws_requests_total{"))
            .filter_map(|line| {
                Some((
                    label(line, "place")?,
                    label(line, "operation")?,
                    line.rsplit(' ').next()?.parse().ok()?,
                ))
            })
            .collect()
    }
}
