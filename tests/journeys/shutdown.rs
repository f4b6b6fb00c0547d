//! SIGTERM under load: readiness goes first, nothing acknowledged is left behind, exit 0.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support::waybill::{Deployment, PATIENCE, event, fresh_id, get, post, read_answer, request, sign};

#[test]
fn a_drain_delivers_everything_acknowledged_and_exits_0() {
    let dir = tempfile::tempdir().expect("temporary folder");
    // A batch age that a drain does not wait for.
    let deployment = Deployment::embedded(dir.path()).with("WAYBILL_BATCH_AGE", "60s");
    let mut up = deployment.start(&["up"]);
    let address = up.listen();
    let stop = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicU64::new(0));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (stop, count) = (Arc::clone(&stop), Arc::clone(&count));
            std::thread::spawn(move || {
                let mut acknowledged = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let id = fresh_id();
                    let body = event(&id, "t", "InTransit", "2026-07-09T11:00:00+00:00");
                    match post(address, body.as_bytes()) {
                        Some(answer) if answer.status == 200 => {
                            acknowledged.push(id);
                            count.fetch_add(1, Ordering::Relaxed);
                        }
                        Some(answer) => assert_eq!(answer.status, 503, "{}", answer.body),
                        None => {}
                    }
                }
                acknowledged
            })
        })
        .collect();
    while count.load(Ordering::Relaxed) < 200 {
        std::thread::park_timeout(Duration::from_millis(5));
    }

    let asked = Instant::now();
    up.terminate();
    let status = up.wait();
    let took = asked.elapsed();
    stop.store(true, Ordering::Relaxed);
    let acknowledged: Vec<String> = threads
        .into_iter()
        .flat_map(|thread| thread.join().expect("only 200 and 503 were answered"))
        .collect();

    assert!(status.success(), "{status}: {}", up.stderr());
    // Well below the time after which the process would end by force, its drain unfinished.
    assert!(took < Duration::from_secs(20), "a drain took {took:?}");
    let stored: BTreeSet<String> = deployment
        .query("select event_key from raw.tracking_event")
        .iter()
        .map(|row| row["event_key"].as_str().expect("text").to_owned())
        .collect();
    // A 200 may be lost on its way out, never the event behind it.
    let missing: Vec<&String> = acknowledged.iter().filter(|id| !stored.contains(*id)).collect();
    assert!(missing.is_empty(), "{} of {} are missing: {missing:?}", missing.len(), acknowledged.len());
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
    half.write_all(b"POST /webhooks/aftership HTTP/1.1\r\nHost:").expect("write");

    let asked = Instant::now();
    up.terminate();

    assert!(up.wait().success(), "{}", up.stderr());
    // A drain that waits for its deadlines takes 8 s and more.
    assert!(asked.elapsed() < Duration::from_secs(7), "it took {:?}", asked.elapsed());
}

#[test]
fn a_request_under_way_gets_its_answer_across_sigterm() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = Deployment::embedded(dir.path());
    let mut receive = deployment.start(&["receive"]);
    let id = fresh_id();
    let body = event(&id, "t", "InTransit", "2026-07-09T11:00:00+00:00").into_bytes();
    let mut stream = std::net::TcpStream::connect(receive.listen()).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    let whole = request(
        &[format!("aftership-hmac-sha256: {}", sign(&body)), "Expect: 100-continue".to_owned()],
        &body,
    );
    let (head, rest) = whole.split_at(whole.len() - body.len());
    stream.write_all(head).expect("write");
    assert_eq!(read_answer(&mut stream).expect("it asks for the body").status, 100);

    receive.terminate();
    // The listener is closed now.
    let deadline = Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(receive.listen()).is_ok() {
        assert!(Instant::now() < deadline, "the listener stays");
    }
    stream.write_all(rest).expect("write");

    assert_eq!(read_answer(&mut stream).expect("an answer").status, 200);
    assert!(receive.wait().success(), "{}", receive.stderr());
    deployment.run_ok(&["batch", "--once"]);
    deployment.run_ok(&["load", "--once"]);
    assert_eq!(deployment.query("select event_key from raw.tracking_event")[0]["event_key"], id);
}
