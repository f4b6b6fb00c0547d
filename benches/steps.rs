//! The measured steps.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use aws_sdk_sqs::Client;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;
use waybill::aftership::signature::sign;
use waybill::aftership::simulator::{Simulator, SimulatorOptions};
use waybill::event::{Event, line};
use waybill::queue::Queue;
use waybill::queue::disk::{DiskOptions, DiskQueue};

use crate::generator::{self, Load};
use crate::process::{Measured, Usage, WAYBILL, pinned};
use crate::report::Report;
use crate::standin::{Standin, StandinOptions};

const SECRET: &str = "bench-secret-0123456789abcdef01";
/// Bodies of the receive steps, bytes: what the bare handler's known figure was taken with.
const RECEIVE_BODY: usize = 2_048;
const CONNECTIONS: usize = 256;
const EVENTS: usize = 20_000;

/// The yardstick: axum with an HMAC over the body, and nothing else.
pub async fn bare_server() {
    async fn verify(State(key): State<Hmac<Sha256>>, headers: HeaderMap, body: Bytes) -> StatusCode {
        let mut mac = key;
        mac.update(&body);
        let given =
            headers.get("aftership-hmac-sha256").map(|value| BASE64_STANDARD.decode(value.as_bytes()));
        match given {
            Some(Ok(given)) if mac.verify_slice(&given).is_ok() => StatusCode::OK,
            _ => StatusCode::UNAUTHORIZED,
        }
    }
    let key = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any key");
    let router = Router::new().route("/webhooks/aftership", post(verify)).with_state(key);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let ports = std::env::var("BENCH_PORTS").expect("BENCH_PORTS names a file");
    let text = format!(r#"{{"listen":"{address}"}}"#);
    std::fs::write(format!("{ports}.tmp"), text).expect("ports file");
    std::fs::rename(format!("{ports}.tmp"), ports).expect("ports file");
    axum::serve(listener, router).await.expect("serving");
}

/// The other yardstick: DuckDB reads the same files into a table, and nothing else.
pub fn bare_read(files: &str) {
    let connection = duckdb::Connection::open_in_memory().expect("DuckDB");
    connection
        .execute_batch(&format!(
            "set threads = 1; create table landed as select * from read_json('{files}', format = 'newline_delimited')"
        ))
        .expect("read_json");
}

/// A machine that others share is not equally fast for two steps in a row: each round has all steps, and each
/// step's line is of the round with its median ratio.
const ROUNDS: usize = 3;

/// A step's measurement, and the bare handler's rate in the same round.
struct Round {
    load: (Load, Duration),
    usage: Usage,
    bare: f64,
}

impl Round {
    fn of_bare(&self) -> f64 {
        self.load.per_second() / self.bare
    }
}

fn median(mut rounds: Vec<Round>) -> Round {
    rounds.sort_by(|a, b| a.of_bare().total_cmp(&b.of_bare()));
    rounds.swap_remove(rounds.len() / 2)
}

/// Bare handler, receive on disk, receive on SQS.
pub async fn receive_steps(seconds: u64, report: &mut Report) {
    eprintln!(
        "receive: {CONNECTIONS} connections, bodies of {RECEIVE_BODY} bytes, {ROUNDS} rounds of {seconds} s each"
    );
    let dir = tempfile::tempdir().expect("a folder");
    let time = Duration::from_secs(seconds);
    let own = std::env::current_exe().expect("own path").display().to_string();
    let fsync = fsync_time(dir.path());
    let standin = Standin::start(StandinOptions { latency: Duration::from_millis(10) }).await;
    let sdk = waybill::ops::aws::standin_config(&standin.endpoint());
    let made = Client::new(&sdk).create_queue().queue_name("bench").send().await.expect("a queue");
    let sqs_url = made.queue_url().expect("URL");

    let (mut on_bare, mut on_disk, mut on_sqs) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        eprintln!("  round {round} of {ROUNDS}");
        let (load, usage) = measure(dir.path(), pinned(0, &own, &["bare-server"]), time).await;
        let bare = load.per_second();
        on_bare.push(Round { load, usage, bare });

        let mut command = pinned(0, WAYBILL, &["receive", "--ports-file", &ports_path(dir.path())]);
        command.env("WAYBILL_QUEUE", format!("file:{}", dir.path().join("queue").display()));
        let (load, usage) = measure(dir.path(), command, time).await;
        on_disk.push(Round { load, usage, bare });

        let mut command = pinned(0, WAYBILL, &["receive", "--ports-file", &ports_path(dir.path())]);
        command
            .env("WAYBILL_QUEUE", sqs_url)
            .env("AWS_ENDPOINT_URL_SQS", standin.endpoint())
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "bench")
            .env("AWS_SECRET_ACCESS_KEY", "bench");
        let (load, usage) = measure(dir.path(), command, time).await;
        on_sqs.push(Round { load, usage, bare });
    }

    on_bare.sort_by(|a, b| a.bare.total_cmp(&b.bare));
    report.add("bare axum + HMAC", figures(&on_bare[ROUNDS / 2].load, None));
    let disk = median(on_disk);
    let mut line = figures(&disk.load, Some(disk.bare));
    line.push(("fsync ms", format!("{:.2}", fsync.as_secs_f64() * 1_000.0)));
    line.push(("peak MiB", mib(disk.usage)));
    report.add("receive on disk", line);
    let sqs = median(on_sqs);
    let mut line = figures(&sqs.load, Some(sqs.bare));
    line.push(("peak MiB", mib(sqs.usage)));
    report.add("receive on SQS, 10 ms", line);
}

/// Batch from a full disk queue, load of what it landed, DuckDB's bare read of the same.
pub async fn batch_and_load(report: &mut Report) {
    let dir = tempfile::tempdir().expect("a folder");
    let bodies = bodies_of_about_8_kb();
    let bytes: usize = bodies.iter().map(Vec::len).sum();
    eprintln!("batch and load: {EVENTS} events, bodies of {} bytes on average", bytes / bodies.len());
    fill_queue(dir.path(), bodies).await;

    let started = Instant::now();
    let usage = Measured::start(command_on(dir.path(), &["batch", "--once"])).wait();
    let took = started.elapsed();
    report.add("batch", throughput(took, usage));

    let started = Instant::now();
    let usage = Measured::start(command_on(dir.path(), &["load", "--once"])).wait();
    let load_took = started.elapsed();

    let own = std::env::current_exe().expect("own path").display().to_string();
    let files = dir.path().join("lake/events/**/*.jsonl.zst").display().to_string();
    let started = Instant::now();
    let read_usage = Measured::start(pinned(0, &own, &["bare-read", &files])).wait();
    let read_took = started.elapsed();
    report.add("DuckDB's bare read_json", throughput(read_took, read_usage));
    let mut line = throughput(load_took, usage);
    line.push(("of read", format!("{:.0} %", 100.0 * read_took.as_secs_f64() / load_took.as_secs_f64())));
    report.add("load into DuckDB", line);
}

fn command_on(dir: &Path, arguments: &[&str]) -> std::process::Command {
    let mut command = pinned(0, WAYBILL, arguments);
    command
        .env("WAYBILL_QUEUE", format!("file:{}", dir.join("queue").display()))
        .env("WAYBILL_LAKE", format!("file:{}", dir.join("lake").display()))
        .env("WAYBILL_WAREHOUSE", format!("duckdb:{}", dir.join("warehouse.duckdb").display()))
        .env("RUST_LOG", "warn")
        .stdout(std::process::Stdio::null());
    command
}

fn throughput(took: Duration, usage: Usage) -> Vec<(&'static str, String)> {
    vec![
        ("events/s", format!("{:.0}", EVENTS as f64 / took.as_secs_f64())),
        ("CPU s/M", format!("{:.0}", usage.cpu.as_secs_f64() * 1e6 / EVENTS as f64)),
        ("peak MiB", mib(usage)),
    ]
}

fn mib(usage: Usage) -> String {
    format!("{}", usage.memory_peak >> 20)
}

fn ports_path(dir: &Path) -> String {
    dir.join("ports.json").display().to_string()
}

/// Starts a server, loads it, reads what it used.
async fn measure(
    dir: &Path,
    mut command: std::process::Command,
    time: Duration,
) -> ((Load, Duration), Usage) {
    let ports = ports_path(dir);
    let _ = std::fs::remove_file(&ports);
    command
        .env("BENCH_PORTS", &ports)
        .env("WAYBILL_WEBHOOK_SECRETS", SECRET)
        .env("WAYBILL_LISTEN", "127.0.0.1:0")
        .env("WAYBILL_OPS_LISTEN", "off")
        .env("WAYBILL_DRAIN_DELAY", "0s")
        .env("RUST_LOG", "warn");
    let server = Measured::start(command);
    let address: SocketAddr = loop {
        let text = std::fs::read_to_string(&ports).unwrap_or_default();
        let found = serde_json::from_str::<serde_json::Value>(&text)
            .ok()
            .and_then(|ports| ports["listen"].as_str()?.parse().ok());
        match found {
            Some(address) => break address,
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    // Warm: connections, pages, files.
    generator::run(address, requests(), CONNECTIONS, Duration::from_secs(1)).await;
    let before = server.usage();
    let load = generator::run(address, requests(), CONNECTIONS, time).await;
    let usage = server.usage();
    server.stop();
    let cpu = usage.cpu.saturating_sub(before.cpu);
    ((load, cpu), usage)
}

fn figures((load, cpu): &(Load, Duration), limit: Option<f64>) -> Vec<(&'static str, String)> {
    let mut figures = vec![
        ("req/s", format!("{:.0}", load.per_second())),
        ("p50 ms", format!("{:.2}", load.percentile(0.50))),
        ("p99 ms", format!("{:.2}", load.percentile(0.99))),
        ("CPU s/M", format!("{:.1}", cpu.as_secs_f64() * 1e6 / load.accepted.max(1) as f64)),
        ("refused", load.refused.to_string()),
    ];
    if let Some(limit) = limit {
        figures.push(("of bare", format!("{:.0} %", 100.0 * load.per_second() / limit)));
    }
    figures
}

trait PerSecond {
    fn per_second(&self) -> f64;
}

impl PerSecond for (Load, Duration) {
    fn per_second(&self) -> f64 {
        self.0.per_second()
    }
}

/// Signed requests of realistic bodies, cut to one size.
fn requests() -> &'static [Vec<u8>] {
    static REQUESTS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    REQUESTS.get_or_init(|| {
        (0..500)
            .map(|index| {
                let mut body = format!(
                    concat!(
                        r#"{{"event":"tracking_update","event_id":"{}","is_tracking_first_tag":true,"ts":1783598400,"#,
                        r#""msg":{{"id":"{:032x}","tracking_number":"TN{}","slug":"dhl","tag":"InTransit","#,
                        r#""updated_at":"2026-07-09T12:00:00+00:00","checkpoints":["#
                    ),
                    uuid::Uuid::new_v4(),
                    index * 7919,
                    index
                );
                let mut count = 0;
                while body.len() < RECEIVE_BODY - 320 {
                    if count > 0 {
                        body.push(',');
                    }
                    count += 1;
                    body.push_str(&format!(
                        concat!(
                            r#"{{"slug":"dhl","created_at":"2026-07-09T11:{:02}:00+00:00","checkpoint_time":"#,
                            r#""2026-07-09T11:{:02}:00+02:00","tag":"InTransit","subtag":"InTransit_003","#,
                            r#""message":"Arrived at facility {}","location":"Hub {:x}","raw_tag":"AR"}}"#
                        ),
                        count,
                        count,
                        index * 31 + count,
                        index * 977
                    ));
                }
                body.push_str("]}}");
                let padding = RECEIVE_BODY.saturating_sub(body.len() + r#","x":"""#.len());
                body.truncate(body.len() - 1);
                body.push_str(&format!(r#","x":"{}"}}"#, "p".repeat(padding)));
                let mut request = format!(
                    "POST /webhooks/aftership HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nUser-Agent: AfterShipTrackingWebhook/4.0.0\r\naftership-hmac-sha256: {}\r\nContent-Length: {}\r\n\r\n",
                    sign(SECRET, body.as_bytes()),
                    body.len()
                )
                .into_bytes();
                request.extend_from_slice(body.as_bytes());
                request
            })
            .collect()
    })
}

fn bodies_of_about_8_kb() -> Vec<Vec<u8>> {
    let start = "2026-07-01T00:00:00Z".parse().expect("an instant");
    Simulator::new(11, SimulatorOptions { start, ..SimulatorOptions::default() })
        .map(|delivery| delivery.body)
        .filter(|body| (7_000..9_500).contains(&body.len()))
        .take(EVENTS)
        .collect()
}

async fn fill_queue(dir: &Path, bodies: Vec<Vec<u8>>) {
    let queue = DiskQueue::open(&dir.join("queue"), DiskOptions::default()).expect("a queue");
    let now = Timestamp::now();
    for chunk in bodies.chunks(500) {
        let messages = chunk
            .iter()
            .map(|body| {
                let event = Event::received(Bytes::copy_from_slice(body), None, false, now);
                line::to_message(&line::encode(&event))
            })
            .collect();
        for fate in queue.send(messages).await {
            let _enqueued = fate.expect("sent");
        }
    }
    queue.close().await;
}

/// The disk's own time for a small durable write, median.
fn fsync_time(dir: &Path) -> Duration {
    use std::io::Write;
    let mut file = std::fs::File::create(dir.join("fsync")).expect("a file");
    let mut times: Vec<Duration> = (0..50)
        .map(|_| {
            let started = Instant::now();
            file.write_all(&[0; 4096]).and_then(|()| file.sync_all()).expect("a write");
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[25]
}
