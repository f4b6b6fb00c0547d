//! The host's clock is wrong, or jumps (libfaketime): nothing is lost or doubled by it, minutes follow the clock, and a
//! clock that is far off is said and costs readiness.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::pairing::{Pairing, Setup};
use crate::support::waybill::{Deployment, PATIENCE, Running, event, fresh_id, get, post};

/// The library, wherever this machine keeps it.
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").expect("a folder").flatten();
    let mut found = folders.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    found.find(|path| path.exists()).expect("libfaketime: run `make test-tools`")
}

/// The same with a clock that a file sets: `+3600` is an hour ahead.
fn with_clock(deployment: Deployment, dir: &Path, offset: &str) -> Deployment {
    set_clock(dir, offset);
    deployment
        .with("LD_PRELOAD", &library().display().to_string())
        .with("FAKETIME_TIMESTAMP_FILE", &dir.join("clock").display().to_string())
        .with("FAKETIME_NO_CACHE", "1")
        // Timers go by the clock that never jumps.
        .with("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        // Waiting on a condition is measured by it too.
        .with("DONT_FAKE_MONOTONIC", "1")
}

fn set_clock(dir: &Path, offset: &str) {
    let fresh = dir.join("clock.fresh");
    std::fs::write(&fresh, offset).expect("the clock's file");
    std::fs::rename(fresh, dir.join("clock")).expect("the clock's file");
}

fn send(up: &Running, ids: &mut Vec<String>, count: usize) {
    for _ in 0..count {
        let id = fresh_id();
        let body = event(&id, &format!("t{}", ids.len() % 7), "InTransit", "2026-07-09T11:00:00Z");
        assert_eq!(
            post(up.listen(), body.as_bytes()).map(|answer| answer.status),
            Some(200),
            "{}",
            up.stderr()
        );
        ids.push(id);
    }
}

/// Everything once, whatever the clock did.
fn judge(deployment: &Deployment, mut ids: Vec<String>) {
    deployment.await_count("select count(*) as n from raw.tracking_event", ids.len() as i64);
    let rows = deployment.query("select event_key from raw.tracking_event order by 1");
    let found: Vec<String> =
        rows.iter().map(|row| row["event_key"].as_str().expect("text").to_owned()).collect();
    ids.sort();
    assert_eq!(found, ids);
}

fn jumps(up: &Running) -> u32 {
    let metrics = get(up.ops(), "/metrics").expect("metrics").body;
    let line = metrics.lines().find_map(|line| line.strip_prefix("waybill_clock_jumps_total "));
    line.and_then(|count| count.parse().ok()).unwrap_or(0)
}

#[test]
fn a_clock_that_jumps_forth_and_back_loses_and_delays_nothing() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let plain = Deployment::embedded(dir.path());
    let deployment = with_clock(plain.clone(), dir.path(), "+0");
    let up = deployment.start(&["up"]);
    let mut ids = Vec::new();
    let mut expected = 0;
    for offset in ["+0", "+7200", "-3600", "+31536000", "+0", "-86400", "+59"] {
        set_clock(dir.path(), offset);
        send(&up, &mut ids, 10);
        judge(&plain, ids.clone());
        if offset != "+0" || expected > 0 {
            expected += 1;
            let deadline = Instant::now() + PATIENCE;
            while jumps(&up) < expected {
                assert!(Instant::now() < deadline, "the jump to {offset} is not told");
                std::thread::park_timeout(Duration::from_millis(50));
            }
        }
    }
    assert_eq!(get(up.ops(), "/livez").map(|answer| answer.status), Some(200));
}

#[test]
fn minutes_follow_the_clock_over_the_end_of_a_year() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let plain = Deployment::embedded(dir.path());
    // This one ended with a leap second, which POSIX clocks do not show.
    let deployment = with_clock(plain.clone(), dir.path(), "@2016-12-31 23:59:58").with("TZ", "UTC");
    let up = deployment.start(&["up"]);
    let mut ids = Vec::new();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        send(&up, &mut ids, 5);
        std::thread::park_timeout(Duration::from_millis(100));
    }

    judge(&plain, ids);
    let outside = plain.count(
        "select count(*) as n from raw.tracking_event
         where received_at < timestamptz '2016-12-31 23:59:00+00' or received_at > timestamptz '2017-01-01 00:05:00+00'",
    );
    assert_eq!(outside, 0);
    let misplaced = plain.count(
        "select count(*) as n from raw.tracking_event
         where file not like strftime(received_at at time zone 'UTC', 'events/dt=%Y-%m-%d/hour=%H/minute=%M/%%')",
    );
    assert_eq!(misplaced, 0, "an event is in an object of its own minute");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_far_from_that_of_aws_is_not_ready() {
    let setup = Setup::start(Pairing::SqsFolderDuckDb).await;
    let dir = tempfile::tempdir().expect("temporary folder");
    tokio::task::spawn_blocking(move || {
        for (offset, word) in [("+3600", "ahead"), ("-3600", "behind")] {
            let up = with_clock(setup.deployment.clone(), dir.path(), offset).start(&["up"]);
            await_readiness(&up, 503, word);
            set_clock(dir.path(), "+0");
            await_readiness(&up, 200, "ready");
        }
    })
    .await
    .expect("the journey ends");
}

#[test]
fn signed_events_of_the_future_tell_of_a_clock_that_is_behind() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let up = with_clock(Deployment::embedded(dir.path()), dir.path(), "-7200").start(&["receive"]);
    let now = jiff::Timestamp::now().as_second();
    for _ in 0..10 {
        let body = event(&fresh_id(), "t", "InTransit", "2026-07-09T11:00:00Z")
            .replace("\"ts\":1783598400", &format!("\"ts\":{now}"));
        assert_eq!(post(up.listen(), body.as_bytes()).map(|answer| answer.status), Some(200));
    }

    // Said, but nobody is turned away on the word of senders alone.
    await_readiness(&up, 200, "behind");
}

fn await_readiness(up: &Running, status: u16, word: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = get(up.ops(), "/readyz").expect("an answer");
        if answer.status == status && answer.body.contains(word) {
            return;
        }
        assert!(Instant::now() < deadline, "{status} {word} does not come: {}", answer.body);
        std::thread::park_timeout(Duration::from_millis(100));
    }
}
