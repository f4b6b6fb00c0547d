//! `make compare`: webhook, REST API, or both, on AfterShip's stand-in: how late updates are, what is missed and repeated,
//! what it costs in requests, and what an outage of ours does. A minute is played in a second.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use waybill::aftership::simulator::sender::{self, SendOptions};
use waybill::aftership::simulator::service::{self, Service, ServiceOptions};
use waybill::aftership::simulator::{SharedShelf, SimulatorOptions};

use crate::process::{Measured, WAYBILL};
use crate::report::Report;
use crate::running::SECRET;

const KEY: &str = "bench-api-key";
/// Played seconds of a second.
const SCALE: f64 = 60.0;
/// Updates in a played minute.
const RATE: f64 = 5.0;
/// Played minutes before an outage and behind it.
const BEFORE: u64 = 70;
const AFTER: u64 = 200;
/// Of those behind it, the last ones bring no new updates: a poll each hour has to have had its turn.
const REST: u64 = 75;
/// How often the facts are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How updates come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Webhook,
    /// Polling, every so many played minutes.
    Api(u64),
    /// Webhooks, and polling every five played minutes.
    Both,
}

impl Way {
    const ALL: [Way; 4] = [Way::Webhook, Way::Api(1), Way::Api(60), Way::Both];

    fn name(self) -> String {
        match self {
            Way::Webhook => "webhook".to_owned(),
            Way::Api(1) => "API each minute".to_owned(),
            Way::Api(_) => "API each hour".to_owned(),
            Way::Both => "both, API each 5 min".to_owned(),
        }
    }

    fn poll_minutes(self) -> Option<u64> {
        match self {
            Way::Webhook => None,
            Way::Api(minutes) => Some(minutes),
            Way::Both => Some(5),
        }
    }

    fn has_webhooks(self) -> bool {
        !matches!(self, Way::Api(_))
    }
}

pub async fn run(report: &mut Report) {
    for outage in [0, 10, 65] {
        eprintln!("compare: an outage of {outage} minutes, {} s", BEFORE + outage + AFTER);
        // All at once: they do not compete for more than the machine has.
        let runs = Way::ALL.map(|way| tokio::spawn(one(way, outage)));
        for (way, run) in Way::ALL.into_iter().zip(runs) {
            let found = run.await.expect("a run ends");
            report.add(&format!("{}, outage {outage} min", way.name()), found.figures());
        }
    }
}

/// What one run found. Times are played minutes.
#[derive(Debug, Default)]
struct Found {
    updates: usize,
    /// From an update at AfterShip until the facts show it or a newer one; sorted.
    ages: Vec<f64>,
    /// Updates that the facts never showed in any form.
    missing: usize,
    /// States of parcels that no event of ours holds.
    skipped: i64,
    repeated: i64,
    api_requests: u64,
    webhooks: i64,
}

impl Found {
    fn figures(&self) -> Vec<(&'static str, String)> {
        let at = |share: f64| {
            let index = ((self.ages.len() as f64 * share) as usize).min(self.ages.len().saturating_sub(1));
            self.ages.get(index).map_or("none".to_owned(), |age| format!("{age:.1}"))
        };
        vec![
            ("updates", self.updates.to_string()),
            ("p50 min", at(0.5)),
            ("p95 min", at(0.95)),
            ("max min", at(1.0)),
            ("missing", self.missing.to_string()),
            ("states lost", self.skipped.to_string()),
            ("repeated", self.repeated.to_string()),
            ("API calls", self.api_requests.to_string()),
            ("webhooks", self.webhooks.to_string()),
        ]
    }
}

async fn one(way: Way, outage: u64) -> Found {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let shelf = SharedShelf::default();
    let service = Service::new(
        ServiceOptions { key: KEY.to_owned(), rate_limit: 0, ..ServiceOptions::default() },
        Arc::clone(&shelf),
    );
    let api = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let api_url = format!("http://{}/tracking/2026-07", api.local_addr().expect("an address"));
    let serving = tokio::spawn(service::serve(api, service.clone()));
    let listen = free_port();
    let start = || {
        let mut command = command(dir.path(), listen);
        if let Some(minutes) = way.poll_minutes() {
            command
                .env("WAYBILL_AFTERSHIP_API_KEY", KEY)
                .env("WAYBILL_AFTERSHIP_API_URL", &api_url)
                .env("WAYBILL_POLL_INTERVAL", format!("{minutes}s"))
                // AfterShip's times have whole seconds, which are minutes here.
                .env("WAYBILL_POLL_OVERLAP", "10s");
        }
        Measured::start(command)
    };

    let mut server = Some(start());
    wait_for(listen).await;
    let stop = CancellationToken::new();
    // What is on its way when the last update has happened has the rest of the time, its repetitions included.
    let happening = BEFORE + outage + AFTER - REST;
    let sending = tokio::spawn(send(way, listen, happening, Arc::clone(&shelf), stop.clone()));
    let watch = Arc::new(Mutex::new(Watch::default()));
    let watching = tokio::spawn(look(dir.path().to_owned(), shelf, Arc::clone(&watch), stop.clone()));

    tokio::time::sleep(Duration::from_secs(BEFORE)).await;
    if outage > 0 {
        // SIGTERM, and not back before the outage is over.
        tokio::task::spawn_blocking({
            let server = server.take().expect("it runs");
            move || server.stop()
        })
        .await
        .expect("it ends");
        tokio::time::sleep(Duration::from_secs(outage)).await;
        server = Some(start());
        wait_for(listen).await;
    }
    tokio::time::sleep(Duration::from_secs(AFTER)).await;
    stop.cancel();
    let _ = sending.await;
    let _ = watching.await;
    let found = sum_up(dir.path(), &watch, &service).await;
    drop(server);
    serving.abort();
    found
}

/// Updates happen for so many seconds.
async fn send(way: Way, listen: SocketAddr, seconds: u64, shelf: SharedShelf, stop: CancellationToken) {
    let options = SendOptions {
        url: format!("http://{listen}/webhooks/aftership"),
        secret: SECRET.to_owned(),
        rate: Some(RATE),
        count: Some((RATE * seconds as f64) as u64),
        seed: 11,
        simulator: SimulatorOptions {
            is_live: true,
            start: Timestamp::now(),
            duplicate_rate: 0.02,
            ..SimulatorOptions::default()
        },
        retry_scale: 1.0 / SCALE,
        timeout: Duration::from_secs(2),
        shelf: Some(shelf),
        ..SendOptions::default()
    };
    if way.has_webhooks() {
        let _ = sender::run(options, |_| {}, stop).await;
    } else {
        sender::happen(&options, |_| {}, stop).await;
    }
}

/// What has happened at AfterShip, and what the facts have shown of it.
#[derive(Default)]
struct Watch {
    /// By parcel: its updates, oldest first, with when we saw them happen and when the facts showed them.
    parcels: HashMap<String, Vec<(Timestamp, Instant, Option<Instant>)>>,
}

async fn look(dir: PathBuf, shelf: SharedShelf, watch: Arc<Mutex<Watch>>, stop: CancellationToken) {
    let mut facts_due = Instant::now();
    while !stop.is_cancelled() {
        happened(&shelf, &watch);
        if Instant::now() >= facts_due {
            facts_due = Instant::now() + LOOK_EVERY;
            let dir = dir.clone();
            let rows = tokio::task::spawn_blocking(move || {
                query(&dir, "select tracking_id, updated_at from base.fct_shipment_tracking")
            })
            .await
            .expect("a query ends");
            shown(&rows, &watch);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn happened(shelf: &SharedShelf, watch: &Mutex<Watch>) {
    let mut watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
    let shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
    for snapshot in shelf.snapshots() {
        let updates = watch.parcels.entry(snapshot.id.clone()).or_default();
        if updates.last().is_none_or(|last| last.0 < snapshot.updated_at) {
            updates.push((snapshot.updated_at, Instant::now(), None));
        }
    }
}

fn shown(rows: &[serde_json::Value], watch: &Mutex<Watch>) {
    let mut watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
    for row in rows {
        let id = row["tracking_id"].as_str().unwrap_or_default();
        let Some(at) = row["updated_at"].as_str().and_then(|text| text.parse::<Timestamp>().ok()) else {
            continue;
        };
        if let Some(updates) = watch.parcels.get_mut(id) {
            for update in updates.iter_mut().filter(|update| update.0 <= at && update.2.is_none()) {
                update.2 = Some(Instant::now());
            }
        }
    }
}

async fn sum_up(dir: &Path, watch: &Mutex<Watch>, service: &Service) -> Found {
    let mut found = Found { api_requests: service.requests(), ..Found::default() };
    {
        let watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, happened, shown) in watch.parcels.values().flatten() {
            found.updates += 1;
            match shown {
                // A second is a minute.
                Some(shown) => found.ages.push(shown.duration_since(*happened).as_secs_f64()),
                None => found.missing += 1,
            }
        }
    }
    found.ages.sort_by(f64::total_cmp);
    let dir = dir.to_owned();
    let count = move |sql: &str| -> i64 {
        let rows = query(&dir, sql);
        rows.first().and_then(|row| row["n"].as_i64()).unwrap_or_default()
    };
    found.webhooks = count("select count(*) as n from raw.tracking_event where source = 'webhook'");
    let events = count("select count(*) as n from raw.tracking_event");
    let duplicates = count("select coalesce(sum(duplicate), 0)::bigint as n from raw.loaded_file");
    // Of what came both ways, one is a repetition: the same parcel said to be as it was said before.
    let both = events - found.updates as i64;
    found.repeated = duplicates + both.max(0);
    found.skipped = (found.updates as i64 - events).max(0);
    found
}

fn query(dir: &Path, sql: &str) -> Vec<serde_json::Value> {
    let output = std::process::Command::new(WAYBILL)
        .args(["query", "--format", "json", sql])
        .env("WAYBILL_WAREHOUSE", format!("duckdb:{}", dir.join("warehouse.duckdb").display()))
        .env("WAYBILL_LOG", "error")
        .current_dir(dir)
        .output()
        .expect("the program runs");
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

fn command(dir: &Path, listen: SocketAddr) -> std::process::Command {
    let mut command = std::process::Command::new(WAYBILL);
    command
        .arg("up")
        .arg("--data")
        .arg(dir)
        .current_dir(dir)
        .env("WAYBILL_WEBHOOK_SECRETS", SECRET)
        .env("WAYBILL_LISTEN", listen.to_string())
        .env("WAYBILL_OPS_LISTEN", "127.0.0.1:0")
        .env("WAYBILL_LAKE", format!("file:{}", dir.join("lake").display()))
        .env("WAYBILL_WAREHOUSE", format!("duckdb:{}", dir.join("warehouse.duckdb").display()))
        // Near nothing of a played minute, so that what is measured is how updates come in.
        .env("WAYBILL_BATCH_AGE", "50ms")
        .env("WAYBILL_LOAD_INTERVAL", "100ms")
        .env("WAYBILL_DRAIN_DELAY", "0s")
        .env("WAYBILL_LOG", "error")
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null());
    command
}

/// Taken and let go: the same one has to be had again after the outage.
fn free_port() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

async fn wait_for(listen: SocketAddr) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while tokio::net::TcpStream::connect(listen).await.is_err() {
        assert!(Instant::now() < deadline, "the server does not start");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
