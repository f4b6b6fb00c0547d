//! SIGTERM under load: readiness goes first, nothing acknowledged is left behind, exit 0.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support::waybill::{Deployment, event, fresh_id, get, post};

#[test]
fn a_drain_delivers_everything_acknowledged_and_exits_0() {
    let dir = tempfile::tempdir().expect("temporary folder");
    // A batch age that a drain does not wait for.
    let deployment = Deployment::embedded(dir.path()).with("WAYBILL_BATCH_AGE", "60s");
    let mut up = deployment.start(&["up"]);
    let address = up.listen();
    let stop = Arc::new(AtomicBool::new(false));
    let acknowledged = Arc::new(AtomicU64::new(0));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (stop, acknowledged) = (Arc::clone(&stop), Arc::clone(&acknowledged));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let body = event(&fresh_id(), "t", "InTransit", "2026-07-09T11:00:00+00:00");
                    match post(address, body.as_bytes()) {
                        Some(answer) if answer.status == 200 => {
                            acknowledged.fetch_add(1, Ordering::Relaxed);
                        }
                        Some(answer) => assert_eq!(answer.status, 503, "{}", answer.body),
                        None => {}
                    }
                }
            })
        })
        .collect();
    while acknowledged.load(Ordering::Relaxed) < 200 {
        std::thread::park_timeout(Duration::from_millis(5));
    }

    let asked = Instant::now();
    up.terminate();
    let status = up.wait();
    let took = asked.elapsed();
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().expect("only 200 and 503 were answered");
    }

    assert!(status.success(), "{status}: {}", up.stderr());
    assert!(took < Duration::from_secs(25), "a drain took {took:?}");
    // A 200 may be lost on its way out, never the event behind it.
    let stored = deployment.count("select count(*) as n from raw.tracking_event");
    assert!(stored >= i64::try_from(acknowledged.load(Ordering::Relaxed)).expect("a count"), "{stored}");
}

#[test]
fn readiness_goes_before_the_listener() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = Deployment::embedded(dir.path()).with("WAYBILL_DRAIN_DELAY", "3s");
    let mut up = deployment.start(&["receive"]);

    up.terminate();

    let deadline = Instant::now() + Duration::from_secs(2);
    let ready = loop {
        let ready = get(up.ops(), "/readyz").expect("the operators' listener stays");
        if ready.status != 200 || Instant::now() > deadline {
            break ready;
        }
    };
    assert_eq!(ready.status, 503, "{}", ready.body);
    assert_eq!(ready.json()["status"], "draining");
    assert_eq!(get(up.ops(), "/livez").expect("an answer").status, 200);
    let body = event(&fresh_id(), "t", "InTransit", "2026-07-09T11:00:00+00:00");
    assert_eq!(post(up.listen(), body.as_bytes()).expect("still receiving").status, 200);
    assert!(up.wait().success(), "{}", up.stderr());
}

#[test]
fn an_idle_server_ends_at_once() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = Deployment::embedded(dir.path());
    let mut up = deployment.start(&["up"]);
    // A half-sent request and an idle connection must not hold the end up.
    let _idle = std::net::TcpStream::connect(up.listen()).expect("connect");
    let mut half = std::net::TcpStream::connect(up.listen()).expect("connect");
    std::io::Write::write_all(&mut half, b"POST /webhooks/aftership HTTP/1.1\r\nHost:").expect("write");

    up.terminate();

    assert!(up.wait().success(), "{}", up.stderr());
}
