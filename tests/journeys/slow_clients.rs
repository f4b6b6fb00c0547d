//! Clients that take their time, and crowds that only connect: normal traffic is served all the same, and afterwards
//! every descriptor is back.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::openloop::{self, Outcome};
use crate::support::waybill::{Deployment, Running, event, fresh_id, request, sign};

/// How long they go on; longer than the deadlines of heads and bodies.
const TIME: Duration = Duration::from_secs(14);
/// Normal traffic beside them.
const PER_SECOND: f64 = 40.0;
/// Descriptors are back by then: the longest silence that is borne is 75 s, but these have all left.
const BACK_MAX: Duration = Duration::from_secs(60);
/// Descriptors that come and go by themselves.
const FEW: usize = 12;

/// One kind of bad client.
#[derive(Clone, Copy)]
enum Slow {
    /// A byte of the head each second.
    Head,
    /// The whole head, then a byte of the body each second.
    Body,
    /// Requests without end, and no answer is read.
    Read,
    /// Nothing at all.
    Idle,
}

const CROWD: [(Slow, usize); 4] =
    [(Slow::Head, 600), (Slow::Body, 600), (Slow::Read, 400), (Slow::Idle, 400)];

/// Comes back as often as it is sent away.
async fn misbehave(address: SocketAddr, slow: Slow) {
    loop {
        if let Ok(stream) = TcpStream::connect(address).await {
            until_closed(stream, slow).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn until_closed(mut stream: TcpStream, slow: Slow) {
    let head = "POST /webhooks/aftership HTTP/1.1\r\nHost: slow\r\n";
    let signature = format!("aftership-hmac-sha256: {}\r\nContent-Length: 1000\r\n\r\n", sign(b"other"));
    let (begin, more, pause) = match slow {
        Slow::Head => (head.to_owned(), "x".to_owned(), Duration::from_secs(1)),
        Slow::Body => (format!("{head}{signature}"), "x".to_owned(), Duration::from_secs(1)),
        Slow::Read => {
            let ask = "GET /elsewhere HTTP/1.1\r\nHost: slow\r\n\r\n";
            (String::new(), ask.repeat(20), Duration::from_millis(100))
        }
        Slow::Idle => {
            let _ = stream.read(&mut [0]).await;
            return;
        }
    };
    if stream.write_all(begin.as_bytes()).await.is_err() {
        return;
    }
    while stream.write_all(more.as_bytes()).await.is_ok() {
        tokio::time::sleep(pause).await;
    }
}

fn signed() -> (String, Vec<u8>) {
    let id = fresh_id();
    let body = event(&id, &format!("t{}", fastrand::u32(..50)), "InTransit", "2026-07-09T11:00:00Z");
    let header = format!("aftership-hmac-sha256: {}", sign(body.as_bytes()));
    (id, request(&[header], body.as_bytes()))
}

fn descriptors(up: &Running) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", up.id())).expect("the kernel tells").count()
}

async fn await_descriptors(up: &Running, baseline: usize) {
    let deadline = Instant::now() + BACK_MAX;
    while descriptors(up) > baseline + FEW {
        assert!(Instant::now() < deadline, "{} descriptors are open, {baseline} at first", descriptors(up));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn is_served(what: &str, outcome: &Outcome) {
    let failed = outcome.refused + outcome.other + outcome.unanswered;
    println!(
        "{what}: {} served, {failed} not, p50 {:.0} ms, p99 {:.0} ms",
        outcome.accepted.len(),
        outcome.accepted_at(0.5),
        outcome.accepted_at(0.99)
    );
    let total = outcome.accepted.len() as u64 + failed;
    assert!(failed * 1_000 <= total, "{what}: {failed} of {total} were not served");
}

async fn start(dir: &std::path::Path) -> Running {
    // This process and the one it starts hold thousands of sockets.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum.map(|most| most.min(20_000)), ..limit })
        .expect("as far as we may");
    let deployment = Deployment::embedded(dir);
    tokio::task::spawn_blocking(move || deployment.start(&["receive"])).await.expect("it starts")
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_slow_clients_keep_nobody_out() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let up = start(dir.path()).await;
    openloop::run(up.listen(), PER_SECOND, Duration::from_secs(1), signed).await;
    let baseline = descriptors(&up);
    let mut crowd = JoinSet::new();
    for (slow, count) in CROWD {
        for _ in 0..count {
            crowd.spawn(misbehave(up.listen(), slow));
        }
    }
    let deadline = Instant::now() + BACK_MAX;
    // Not all at once: those whose time is over are on their way back.
    while descriptors(&up) < baseline + 1_600 {
        assert!(Instant::now() < deadline, "only {} connections came", descriptors(&up));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let outcome = openloop::run(up.listen(), PER_SECOND, TIME, signed).await;

    is_served("beside 2,000 slow clients", &outcome);
    drop(crowd);
    await_descriptors(&up, baseline).await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_connections_keeps_nobody_out() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let up = start(dir.path()).await;
    openloop::run(up.listen(), PER_SECOND, Duration::from_secs(1), signed).await;
    let baseline = descriptors(&up);
    let address = up.listen();
    let mut flood = JoinSet::new();
    for _ in 0..100 {
        flood.spawn(async move {
            for _ in 0..100 {
                let stream = TcpStream::connect(address).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
                drop(stream);
            }
        });
    }

    let outcome = openloop::run(address, PER_SECOND, Duration::from_secs(4), signed).await;

    while flood.join_next().await.is_some() {}
    is_served("beside 10,000 connections", &outcome);
    await_descriptors(&up, baseline).await;
}
