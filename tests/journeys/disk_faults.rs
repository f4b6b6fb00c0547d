//! The disk fails underneath: flushes and writes answer EIO and ENOSPC (libfiu, between the program and the system).
//! Nothing that cannot be made durable is acknowledged, and nothing acknowledged is lost.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::waybill::{Deployment, PATIENCE, Running, event, fresh_id, get, post};

const PRELOAD: &str = "/usr/lib/fiu/fiu_run_preload.so /usr/lib/fiu/fiu_posix_preload.so";
const EIO: u32 = 5;
const ENOSPC: u32 = 28;

/// A process whose calls can be made to fail.
struct Faulty {
    deployment: Deployment,
    up: Running,
    control: PathBuf,
    acknowledged: BTreeSet<String>,
}

impl Faulty {
    fn start(dir: &Path, command: &str) -> Faulty {
        let deployment = Deployment::embedded(dir);
        let control = dir.join("fiu");
        let up = deployment
            .clone()
            .with("LD_PRELOAD", PRELOAD)
            .with("FIU_CTRL_FIFO", &control.display().to_string())
            .start(&[command]);
        Faulty { deployment, up, control, acknowledged: BTreeSet::new() }
    }

    /// Tells the library inside the process, and waits until it has obeyed.
    fn tell(&self, order: &str) {
        let pipe = |end: &str| format!("{}-{}.{end}", self.control.display(), self.up.id());
        let mut orders = std::fs::OpenOptions::new().write(true).open(pipe("in")).expect("its pipe");
        writeln!(orders, "{order}").expect("an order");
        drop(orders);
        let mut answer = String::new();
        std::fs::File::open(pipe("out")).expect("its pipe").read_to_string(&mut answer).expect("an answer");
        assert_eq!(answer.trim(), "0", "{order}");
    }

    fn fail(&self, call: &str, error: u32) {
        self.tell(&format!("enable name={call},failinfo={error}"));
    }

    /// Sends one event; gives the status of its answer.
    fn send(&mut self) -> Option<u16> {
        let id = fresh_id();
        let body = event(&id, "t", "InTransit", "2026-07-09T11:00:00Z");
        let status = post(self.up.listen(), body.as_bytes()).map(|answer| answer.status);
        if status == Some(200) {
            self.acknowledged.insert(id);
        }
        status
    }

    /// Lands and loads without faults; everything acknowledged must be there once.
    fn judge(self) {
        drop(self.up);
        assert!(self.acknowledged.len() >= 10, "this proves nothing");
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.deployment.run_ok(&["batch", "--once"]);
            self.deployment.run_ok(&["load", "--once"]);
            let rows = self.deployment.query("select event_key from raw.tracking_event");
            let found: BTreeSet<String> =
                rows.iter().map(|row| row["event_key"].as_str().expect("text").to_owned()).collect();
            assert_eq!(rows.len(), found.len(), "once each");
            let lost = self.acknowledged.difference(&found).count();
            if lost == 0 {
                return;
            }
            // What a dead process had leased comes back when its leases end.
            assert!(Instant::now() < deadline, "{lost} of {} acknowledged are lost", self.acknowledged.len());
            std::thread::park_timeout(Duration::from_millis(300));
        }
    }
}

#[test]
fn a_flush_that_fails_is_never_acknowledged_and_ends_the_process() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let mut faulty = Faulty::start(dir.path(), "receive");
    for _ in 0..10 {
        assert_eq!(faulty.send(), Some(200));
    }

    faulty.fail("posix/io/sync/fsync", EIO);
    faulty.fail("posix/io/sync/fdatasync", EIO);
    let status = faulty.send();
    assert!(matches!(status, Some(503) | None), "{status:?}");
    let status = faulty.up.wait();

    assert_eq!(status.code(), Some(1), "so that it is started anew: {}", faulty.up.stderr());
    assert!(faulty.up.stderr().contains("failed to flush"), "{}", faulty.up.stderr());
    // The next start goes on from what is on the disk.
    let again = faulty.deployment.start(&["receive"]);
    let body = event(&fresh_id(), "t", "InTransit", "2026-07-09T11:00:00Z");
    assert_eq!(post(again.listen(), body.as_bytes()).map(|answer| answer.status), Some(200));
    drop(again);
    faulty.judge();
}

#[test]
fn a_full_disk_is_said_at_once_and_survived() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let mut faulty = Faulty::start(dir.path(), "receive");
    for _ in 0..10 {
        assert_eq!(faulty.send(), Some(200));
    }

    faulty.fail("posix/io/rw/pwrite", ENOSPC);
    for _ in 0..10 {
        assert_eq!(faulty.send(), Some(503));
    }
    assert_eq!(get(faulty.up.ops(), "/livez").map(|answer| answer.status), Some(200));
    faulty.tell("disable name=posix/io/rw/pwrite");

    let deadline = Instant::now() + PATIENCE;
    while faulty.send() != Some(200) {
        assert!(Instant::now() < deadline, "it does not come back: {}", faulty.up.stderr());
        std::thread::park_timeout(Duration::from_millis(50));
    }
    faulty.judge();
}

#[test]
fn writes_that_fail_now_and_then_lose_nothing() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let mut faulty = Faulty::start(dir.path(), "receive");
    // A third of all writes, and half of them are short.
    faulty.tell(&format!("enable_random name=posix/io/rw/pwrite,probability=0.3,failinfo={ENOSPC}"));
    faulty.tell("enable_random name=posix/io/rw/pwrite/reduce,probability=0.5");
    let mut refused = 0;
    for _ in 0..300 {
        refused += u32::from(faulty.send() != Some(200));
    }
    assert!(refused > 10, "nothing failed: this proves nothing");

    faulty.judge();
}

#[test]
fn a_disk_that_fails_under_the_whole_path_loses_nothing() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let mut faulty = Faulty::start(dir.path(), "up");
    for call in ["posix/io/rw/pwrite", "posix/io/rw/write", "posix/io/sync/fsync", "posix/io/oc/open"] {
        faulty.tell(&format!("enable_random name={call},probability=0.02,failinfo={EIO}"));
    }
    let (mut ends, mut refused) = (0, 0);
    let deadline = Instant::now() + PATIENCE;
    while faulty.acknowledged.len() < 150 {
        assert!(Instant::now() < deadline, "only {} were acknowledged", faulty.acknowledged.len());
        if faulty.send() != Some(200) {
            refused += 1;
            std::thread::park_timeout(Duration::from_millis(20));
        }
        if faulty.up.ended().is_some() {
            // A flush failed: it is started anew, as a supervisor would, without faults this time.
            ends += 1;
            faulty.up = faulty.deployment.start(&["up"]);
        }
    }
    println!("{} acknowledged, {refused} refused, {ends} ends", faulty.acknowledged.len());
    assert!(refused + ends > 0, "nothing failed: this proves nothing");
    faulty.up.terminate();
    faulty.up.wait();

    faulty.judge();
}

/// The disk that logs go to is full, or nobody reads them any more.
#[test]
fn a_log_that_cannot_be_written_stops_nothing() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = Deployment::embedded(dir.path());
    let mut up = deployment.clone().run_by(&["sh", "-c", "exec \"$@\" 2>/dev/full", "sh"]).start(&["up"]);
    for _ in 0..10 {
        let body = event(&fresh_id(), "t", "InTransit", "2026-07-09T11:00:00Z");
        assert_eq!(post(up.listen(), body.as_bytes()).map(|answer| answer.status), Some(200));
    }
    // One that is logged, too.
    assert_eq!(post(up.listen(), b"poison").map(|answer| answer.status), Some(200));

    deployment.await_count("select count(*) as n from raw.tracking_event", 10);

    up.terminate();
    assert!(up.wait().success(), "it drains");
}
