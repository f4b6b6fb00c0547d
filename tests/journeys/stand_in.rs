//! `waybill simulate` as a user starts it: AfterShip's REST API shows what happened, each parcel once.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;
use waybill::aftership::simulator::{Shelf, Simulator, SimulatorOptions};

use crate::support::waybill::{Answer, Deployment, PATIENCE, Running, get, read_answer};

const KEY: &str = "journey-api-key";

/// Events of the journeys here, all of one seed.
const COUNT: usize = 400;

fn deployment() -> (tempfile::TempDir, Deployment) {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = Deployment::embedded(dir.path());
    (dir, deployment)
}

/// Starts the stand-in with its API alone; gives it once all events have happened, and the API's address.
fn start(deployment: &Deployment, more: &[&str]) -> (Running, SocketAddr) {
    let count = COUNT.to_string();
    let mut arguments = vec!["simulate", "--no-webhooks", "--api-listen", "127.0.0.1:0", "--api-key", KEY];
    arguments.extend(["--count", &count, "--seed", "7"]);
    arguments.extend(more);
    let running = deployment.start(&arguments);
    let deadline = Instant::now() + PATIENCE;
    while !running.stderr().contains("all events have happened") {
        assert!(Instant::now() < deadline, "events go on:\n{}", running.stderr());
        std::thread::park_timeout(Duration::from_millis(10));
    }
    (running, address(deployment))
}

/// What the ports file says.
fn address(deployment: &Deployment) -> SocketAddr {
    let files = std::fs::read_dir(deployment.dir()).expect("the deployment's folder");
    let mut names = files.map(|file| file.expect("a file").path());
    let is_ports = |path: &std::path::PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ports-"))
    };
    let text = std::fs::read_to_string(names.find(is_ports).expect("a ports file")).expect("readable");
    let ports: Value = serde_json::from_str(&text).expect("JSON");
    ports["api"].as_str().and_then(|text| text.parse().ok()).expect("an address")
}

/// The ids, new and old, of the parcels that the same seed tells of here.
fn promised() -> (BTreeSet<String>, BTreeSet<String>) {
    let mut simulator =
        Simulator::new(7, SimulatorOptions { has_snapshots: true, ..SimulatorOptions::default() });
    let mut shelf = Shelf::default();
    for _ in 0..COUNT {
        let delivery = simulator.next().expect("endless");
        for happened in simulator.take_unsent().iter().chain([&delivery]) {
            shelf.put(happened);
        }
    }
    shelf.snapshots().map(|snapshot| (snapshot.id.clone(), snapshot.legacy_id.clone())).unzip()
}

fn ask(api: SocketAddr, path: &str) -> Answer {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: aftership.test\r\nas-api-key: {KEY}\r\nConnection: close\r\n\r\n"
    );
    let mut stream = TcpStream::connect(api).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    stream.write_all(request.as_bytes()).expect("sent");
    read_answer(&mut stream).expect("an answer")
}

/// Asks again when the rate limit says so.
fn ask_patiently(api: SocketAddr, path: &str) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask(api, path);
        if answer.status == 200 {
            return answer.json();
        }
        assert_eq!(answer.status, 429, "{}", answer.body);
        assert!(Instant::now() < deadline, "the rate limit never lets go");
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

fn ids(trackings: &Value) -> Vec<String> {
    let trackings = trackings.as_array().expect("trackings");
    trackings.iter().map(|tracking| tracking["id"].as_str().expect("an id").to_owned()).collect()
}

/// All ids by cursor.
fn walk_by_cursor(api: SocketAddr, version: &str) -> Vec<String> {
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/tracking/{version}/trackings?limit=20&cursor={cursor}");
        let data = ask_patiently(api, &path)["data"].clone();
        seen.extend(ids(&data["trackings"]));
        if data["pagination"]["has_next_page"] != true {
            return seen;
        }
        let next = data["pagination"]["next_cursor"].as_str().expect("a cursor");
        cursor = next.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    }
}

/// All ids by page number.
fn walk_by_number(api: SocketAddr, version: &str) -> Vec<String> {
    let mut seen = Vec::new();
    for number in 1.. {
        let data =
            ask_patiently(api, &format!("/{version}/trackings?limit=20&page={number}"))["data"].clone();
        let page = ids(&data["trackings"]);
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    seen
}

#[test]
fn every_parcel_is_shown_exactly_once_by_either_way_of_paging() {
    let (_dir, deployment) = deployment();
    let (running, api) = start(&deployment, &["--api-rate-limit", "0"]);
    let (promised_ids, promised_legacy_ids) = promised();
    assert!(promised_ids.len() > 60, "only {} parcels", promised_ids.len());

    for version in ["2026-07", "2025-01", "2024-10"] {
        let seen = walk_by_cursor(api, version);

        assert_eq!(seen.len(), promised_ids.len(), "{version}");
        assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), promised_ids, "{version}");
    }
    for (version, promised) in [
        ("tracking/2024-07", &promised_ids),
        ("tracking/2024-04", &promised_legacy_ids),
        ("v4", &promised_legacy_ids),
    ] {
        let seen = walk_by_number(api, version);

        assert_eq!(seen.len(), promised.len(), "{version}");
        assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), *promised, "{version}");
    }
    assert_eq!(get(api, "/tracking/2026-07/trackings").map(|answer| answer.status), Some(401));
    drop(running);
}

#[test]
fn a_walk_that_keeps_to_the_rate_limit_sees_everything() {
    let (_dir, deployment) = deployment();
    let (running, api) = start(&deployment, &["--api-rate-limit", "2"]);

    let refused = (0..30).filter(|_| ask(api, "/tracking/2026-07/trackings?limit=1").status == 429).count();
    let seen = walk_by_cursor(api, "2026-07");

    assert!(refused > 0);
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), promised().0);
    drop(running);
}

#[test]
fn in_live_time_a_poll_of_the_last_minutes_finds_what_happened() {
    let (_dir, deployment) = deployment();
    let begun = Timestamp::now().as_second();
    let (running, api) = start(&deployment, &["--api-rate-limit", "0", "--live"]);

    let since = Timestamp::from_second(begun).expect("an instant").strftime("%Y-%m-%dT%H:%M:%S").to_string();
    let path = format!("/tracking/2026-07/trackings?limit=1&updated_at_min={since}%2B00:00");
    let recent = ask(api, &path).json()["data"]["pagination"]["total"].clone();
    let all = ask(api, "/tracking/2026-07/trackings?limit=1").json()["data"]["pagination"]["total"].clone();

    assert!(recent.as_u64() > Some(60), "{recent}");
    assert_eq!(recent, all);
    drop(running);
}

#[test]
fn a_stop_ends_the_api_and_says_how_often_it_was_asked() {
    let (_dir, deployment) = deployment();
    let (mut running, api) = start(&deployment, &[]);
    assert_eq!(ask(api, "/tracking/2026-07/trackings").status, 200);

    running.terminate();

    assert_eq!(running.wait().code(), Some(0));
    let printed = deployment.run_ok(&[
        "simulate",
        "--no-webhooks",
        "--api-listen",
        "127.0.0.1:0",
        "--count",
        "5",
        "--api-for",
        "0",
    ]);
    let report: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(
        report,
        serde_json::json!({ "sent": 0, "accepted": 0, "refused": 0, "unreachable": 0, "api_requests": 0 })
    );
}

#[test]
fn what_cannot_go_together_is_said_with_exit_code_2() {
    let (_dir, deployment) = deployment();
    let cases: [(&[&str], &str); 11] = [
        (&["--no-webhooks", "--count", "5"], "--api-listen"),
        (&["--no-webhooks", "--api-listen", "127.0.0.1:0"], "--count"),
        (&["--no-webhooks", "--api-listen", "127.0.0.1:0", "--count", "1", "--url", "http://x/"], "--url"),
        (&["--api-key", "x"], "--api-listen"),
        (&["--api-listen", "127.0.0.1:0", "--api-for", "5"], "--count"),
        (&["--api-listen", "127.0.0.1:0", "--api-errors", "2"], "--api-errors"),
        (&["--api-listen", "here"], "--api-listen"),
        (&["--duplicates", "1.5"], "--duplicates"),
        (&["--late", "nan"], "--late"),
        (&["--retry-scale", "inf"], "--retry-scale"),
        (&["--version", "2022-07"], "--version"),
    ];
    for (arguments, hint) in cases {
        let words: Vec<&str> = ["simulate"].into_iter().chain(arguments.iter().copied()).collect();

        let output = deployment.run(&words);

        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {stderr}");
        assert!(stderr.contains(hint), "{words:?}: {stderr}");
    }
}
