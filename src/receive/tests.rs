//! Over real sockets, with deadlines short enough to see them pass.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::aftership::signature::{Product, Secrets, sign};
use crate::event::{BodySha256, Source};
use crate::lake::disk::DiskLake;
use crate::lake::receipt;
use crate::queue::{Delivery, Depth, Enqueued, Lease, QueueError, SendError};

mod draining;

const SECRET: &str = "receive-secret-0123456789abcdef";

/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a queue does with a message, when it does not take it.
#[derive(Debug, Clone, Copy, Default)]
enum Fault {
    #[default]
    Away,
    Hangs,
    TooLarge,
    Panics,
    /// Takes each second one.
    Wavers,
}

/// A queue that takes nothing.
#[derive(Debug, Default)]
struct Away {
    is_back: AtomicBool,
    sends: AtomicU64,
    fault: Mutex<Fault>,
}

#[async_trait]
impl Queue for Away {
    async fn send(&self, messages: Vec<String>) -> Vec<Result<Enqueued, SendError>> {
        let fault = *self.fault.lock().expect("whole");
        match fault {
            Fault::Hangs => std::future::pending().await,
            Fault::Panics => panic!("a fault of the queue"),
            Fault::TooLarge => {
                messages.iter().map(|text| Err(SendError::TooLarge { bytes: text.len(), limit: 1 })).collect()
            }
            Fault::Wavers if self.sends.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) => {
                messages.iter().map(|_| Ok(Enqueued::forged())).collect()
            }
            Fault::Wavers | Fault::Away => {
                messages.iter().map(|_| Err(SendError::Unavailable("away".to_owned()))).collect()
            }
        }
    }

    async fn receive(&self, _: usize, _: Duration, _: Duration) -> Result<Vec<Delivery>, QueueError> {
        Ok(Vec::new())
    }

    async fn extend(&self, _: &[Lease], _: Duration) -> Vec<Result<(), QueueError>> {
        Vec::new()
    }

    async fn delete(&self, _: &[Lease]) -> Vec<Result<(), QueueError>> {
        Vec::new()
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        Ok(Depth { ready: 0, leased: 0, oldest: None })
    }

    async fn probe(&self) -> Result<(), QueueError> {
        if self.is_back.load(Ordering::Relaxed) {
            Ok(())
        } else {
            Err(QueueError::Unavailable("away".to_owned()))
        }
    }

    fn message_bytes_max(&self) -> usize {
        1_048_576
    }

    fn kind(&self) -> &'static str {
        "away"
    }

    async fn close(&self) {}
}

struct Server {
    address: SocketAddr,
    queue: Arc<Away>,
    health: Health,
    shutdown: Shutdown,
    serving: JoinHandle<()>,
    receipts: ReceiptBook,
}

impl Server {
    async fn start(settings: ReceiveSettings) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let queue = Arc::new(Away::default());
        let health = Health::new();
        let shutdown = Shutdown::manual();
        let verifier = Verifier::new(&[Product::Tracking], Secrets::new(vec![SECRET.to_owned()]));
        let verifier = CurrentVerifier::new(verifier);
        let receipts = ReceiptBook::new(Source::Webhook);
        let book = Some(receipts.clone());
        let receive = Receive::new(settings, verifier, queue.clone(), health.clone(), Arc::default(), book);
        let serving = tokio::spawn(receive.serve(listener, shutdown.clone()));
        Server { address, queue, health, shutdown, serving, receipts }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("a connection")
    }

    fn does(&self, fault: Fault) {
        *self.queue.fault.lock().expect("whole") = fault;
    }

    async fn is_ready(&self, expected: bool) {
        let waiting = async {
            while self.health.is_ready(QUEUE) != expected {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, waiting).await.expect("readiness changes");
    }
}

fn settings() -> ReceiveSettings {
    ReceiveSettings {
        drain_delay: Duration::ZERO,
        probe_every: Duration::from_millis(5),
        unready_after: Duration::ZERO,
        ..ReceiveSettings::default()
    }
}

async fn send(stream: &mut TcpStream, bytes: impl AsRef<[u8]>) {
    stream.write_all(bytes.as_ref()).await.expect("sent");
}

/// One answer: its head in lower case, and its body.
async fn answer(stream: &mut TcpStream) -> (String, String) {
    let reading = async {
        let mut bytes = Vec::new();
        loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
                    .unwrap_or(0);
                let mut body = vec![0; length];
                stream.read_exact(&mut body).await.expect("the body");
                return (head, String::from_utf8_lossy(&body).into_owned());
            }
            // Byte by byte, so that nothing of the next answer is taken.
            bytes.push(stream.read_u8().await.expect("the head"));
        }
    };
    timeout(PATIENCE, reading).await.expect("an answer in time")
}

async fn ends(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("an end in time");
    assert!(read.is_err() || rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
}

fn head(more: &str, length: usize) -> String {
    format!("POST {PATH} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n{more}\r\n")
}

fn signature(body: &[u8]) -> String {
    format!("aftership-hmac-sha256: {}\r\n", sign(SECRET, body))
}

const ELSEWHERE: &str = "GET /elsewhere HTTP/1.1\r\nHost: test\r\n\r\n";

#[tokio::test]
async fn a_head_that_trickles_ends_while_a_silent_connection_stays() {
    let server =
        Server::start(ReceiveSettings { header_deadline: Duration::from_millis(100), ..settings() }).await;
    let mut fresh = server.connect().await;
    let mut silent = server.connect().await;
    let mut used = server.connect().await;
    for known in [&mut silent, &mut used] {
        send(known, ELSEWHERE).await;
        answer(known).await;
    }
    let mut trickling = server.connect().await;
    send(&mut trickling, "POST /webhooks/aftership HTTP/1.1\r\nHo").await;
    send(&mut used, "GET /else").await;

    for stream in [&mut trickling, &mut used] {
        let (head, body) = answer(stream).await;
        assert!(head.starts_with("http/1.1 408") && head.contains("connection: close"), "{head}");
        assert!(body.contains("head_timeout"), "{body}");
        ends(stream).await;
    }
    // Who never said anything has no longer.
    ends(&mut fresh).await;
    send(&mut silent, ELSEWHERE).await;
    assert!(answer(&mut silent).await.0.starts_with("http/1.1 404"));
}

#[tokio::test]
async fn a_silent_connection_ends_at_its_limit() {
    let server =
        Server::start(ReceiveSettings { idle_timeout: Duration::from_millis(100), ..settings() }).await;
    let mut fresh = server.connect().await;
    let mut used = server.connect().await;
    send(&mut used, ELSEWHERE).await;
    answer(&mut used).await;

    ends(&mut fresh).await;
    ends(&mut used).await;
}

#[tokio::test]
async fn a_refused_body_is_never_asked_for() {
    let server = Server::start(settings()).await;
    let expect = "Expect: 100-continue\r\n";
    for (more, length, status, code) in [
        (expect.to_owned() + &signature(b""), 1_048_577, "http/1.1 413", "body_too_large"),
        (expect.to_owned(), 10, "http/1.1 401", "signature_missing"),
        (
            expect.to_owned() + "Content-Encoding: gzip\r\n",
            10,
            "http/1.1 415",
            "unsupported_content_encoding",
        ),
    ] {
        let mut stream = server.connect().await;
        send(&mut stream, head(&more, length)).await;

        let (head, body) = answer(&mut stream).await;
        assert!(head.starts_with(status) && head.contains("connection: close"), "{head}");
        assert!(body.contains(code), "{body}");
    }
}

#[tokio::test]
async fn failures_among_successes_cost_no_readiness() {
    let patient = ReceiveSettings { unready_after: Duration::from_millis(200), ..settings() };
    let server = Server::start(patient).await;
    server.does(Fault::Wavers);
    let mut stream = server.connect().await;
    let began = std::time::Instant::now();
    let (mut taken, mut failed) = (0, 0);
    // Long after one that had failed alone would have cost it.
    while began.elapsed() < Duration::from_millis(600) || failed < 3 {
        send(&mut stream, head(&signature(b"{}"), 2) + "{}").await;
        match answer(&mut stream).await.0.starts_with("http/1.1 200") {
            true => taken += 1,
            false => failed += 1,
        }
        assert!(server.health.is_ready(QUEUE), "after {taken} taken and {failed} failed");
    }
    assert!(taken > 2);

    server.does(Fault::Away);
    while server.health.is_ready(QUEUE) {
        assert!(began.elapsed() < PATIENCE, "it fails for long");
        send(&mut stream, head(&signature(b"{}"), 2) + "{}").await;
        answer(&mut stream).await;
    }
}

#[tokio::test]
async fn a_queue_that_is_away_costs_readiness_until_it_is_back() {
    let server = Server::start(settings()).await;
    let mut stream = server.connect().await;
    let body = b"{}";
    send(&mut stream, head(&format!("Expect: 100-continue\r\n{}", signature(body)), body.len())).await;
    assert!(answer(&mut stream).await.0.starts_with("http/1.1 100"));
    send(&mut stream, body).await;

    let (head_back, body_back) = answer(&mut stream).await;
    assert!(head_back.starts_with("http/1.1 503") && head_back.contains("retry-after: 5"), "{head_back}");
    assert!(body_back.contains("queue_unavailable"), "{body_back}");
    server.is_ready(false).await;

    server.queue.is_back.store(true, Ordering::Relaxed);
    server.is_ready(true).await;

    // The same connection goes on; a large body takes the way over another thread.
    let large = vec![b' '; 200_000];
    send(&mut stream, head(&signature(&large), large.len())).await;
    send(&mut stream, &large).await;
    assert!(answer(&mut stream).await.1.contains("queue_unavailable"));
}

#[tokio::test]
async fn the_answer_to_an_early_refusal_is_not_lost_in_a_reset() {
    let server = Server::start(settings()).await;
    let mut stream = server.connect().await;
    let body = vec![b'x'; 400_000];
    send(&mut stream, head("", body.len())).await;
    send(&mut stream, &body).await;

    assert!(answer(&mut stream).await.1.contains("signature_missing"));
    ends(&mut stream).await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = Server::start(settings()).await;
    let mut stream = server.connect().await;
    let wrong_method = format!("GET {PATH} HTTP/1.1\r\nHost: test\r\n\r\n");
    let forged = head(&signature(b"{}"), 2) + "[]";
    send(&mut stream, [ELSEWHERE, &wrong_method, &forged, ELSEWHERE].concat()).await;

    for code in ["not_found", "method_not_allowed", "signature_mismatch", "not_found"] {
        assert!(answer(&mut stream).await.1.contains(code), "{code}");
    }
}

#[tokio::test]
async fn a_connection_too_many_is_told_so() {
    let server = Server::start(ReceiveSettings { connections_max: 1, ..settings() }).await;
    let mut first = server.connect().await;
    send(&mut first, ELSEWHERE).await;
    answer(&mut first).await;

    let mut second = server.connect().await;
    let body = vec![b' '; 100_000];
    send(&mut second, head(&signature(&body), body.len())).await;
    send(&mut second, &body).await;

    let (head, body) = answer(&mut second).await;
    assert!(head.starts_with("http/1.1 503") && head.contains("retry-after: 1"), "{head}");
    assert!(body.contains("full"), "{body}");
    ends(&mut second).await;
}

#[tokio::test]
async fn a_request_too_many_is_told_so() {
    let server = Server::start(ReceiveSettings { requests_max: 1, ..settings() }).await;
    server.does(Fault::Hangs);
    let mut first = server.connect().await;
    send(&mut first, head(&signature(b"{}"), 2) + "{}").await;
    // Whoever comes before the first one has its place takes that place itself.
    let refused = async {
        loop {
            let mut next = server.connect().await;
            send(&mut next, head(&signature(b"[]"), 2) + "[]").await;
            if let Ok(answered) = timeout(Duration::from_millis(50), answer(&mut next)).await {
                break answered;
            }
        }
    };

    let (head, body) = timeout(PATIENCE, refused).await.expect("the place is taken");

    assert!(head.starts_with("http/1.1 503") && head.contains("retry-after: 1"), "{head}");
    assert!(body.contains("full"), "{body}");
}

#[tokio::test]
async fn bodies_that_never_come_keep_nobody_out() {
    let room = ReceiveSettings { requests_max: 2, body_bytes_in_flight_max: 2 * 1_048_576, ..settings() };
    let server = Server::start(room).await;
    let mut announced = Vec::new();
    for _ in 0..20 {
        let mut stream = server.connect().await;
        send(&mut stream, head(&format!("Expect: 100-continue\r\n{}", signature(b"")), 1_048_576)).await;
        assert!(answer(&mut stream).await.0.starts_with("http/1.1 100"));
        announced.push(stream);
    }
    let mut stream = server.connect().await;
    let body = vec![b' '; 1_000_000];
    send(&mut stream, head(&signature(&body), body.len())).await;
    send(&mut stream, &body).await;

    // It came as far as the queue.
    assert!(answer(&mut stream).await.1.contains("queue_unavailable"));
}

#[tokio::test]
async fn a_body_has_its_deadline_and_its_form() {
    let server =
        Server::start(ReceiveSettings { body_deadline: Duration::from_millis(100), ..settings() }).await;
    let mut slow = server.connect().await;
    send(&mut slow, head(&signature(b"{ }"), 3) + "{ ").await;
    let (head, body) = answer(&mut slow).await;
    assert!(head.starts_with("http/1.1 408") && head.contains("connection: close"), "{head}");
    assert!(body.contains("body_timeout"), "{body}");
    ends(&mut slow).await;

    let mut broken = server.connect().await;
    let chunked =
        format!("POST {PATH} HTTP/1.1\r\nHost: test\r\n{}Transfer-Encoding: chunked\r\n\r\n", signature(b""));
    send(&mut broken, chunked + "2\r\n{}\r\nno size\r\n").await;
    let (head, body) = answer(&mut broken).await;
    assert!(head.starts_with("http/1.1 400") && body.contains("body_unreadable"), "{head}{body}");
}

#[tokio::test]
async fn faults_of_the_queue_have_answers_of_their_own() {
    let server =
        Server::start(ReceiveSettings { enqueue_deadline: Duration::from_millis(100), ..settings() }).await;
    for (fault, status, code) in [
        (Fault::TooLarge, "http/1.1 413", "message_too_large"),
        (Fault::Panics, "http/1.1 500", "internal"),
        (Fault::Hangs, "http/1.1 503", "queue_unavailable"),
    ] {
        server.does(fault);
        let mut stream = server.connect().await;
        send(&mut stream, head(&signature(b"{}"), 2) + "{}").await;

        let (head, body) = answer(&mut stream).await;
        assert!(head.starts_with(status) && body.contains(code), "{fault:?}: {head}{body}");
    }
}

#[tokio::test]
async fn a_path_beyond_the_limit_has_its_own_answer() {
    let server = Server::start(settings()).await;
    for target in ["x".repeat(3_000), format!("{}?{}", &PATH[1..], "x".repeat(3_000))] {
        let mut stream = server.connect().await;
        send(&mut stream, format!("POST /{target} HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n"))
            .await;

        let (head, body) = answer(&mut stream).await;
        assert!(head.starts_with("http/1.1 414") && body.contains("uri_too_long"), "{head}{body}");
    }
}

#[tokio::test]
async fn a_drain_finishes_what_has_begun_and_closes_the_rest() {
    let server = Server::start(settings()).await;
    let mut silent = server.connect().await;
    let mut half = server.connect().await;
    send(&mut half, "POST /webhooks/aft").await;
    let mut working = server.connect().await;
    let body = b"{ }";
    // Its place is taken once the server asks for the body.
    send(&mut working, head(&format!("Expect: 100-continue\r\n{}", signature(body)), body.len())).await;
    answer(&mut working).await;

    server.shutdown.drain();
    ends(&mut silent).await;
    assert!(server.health.is_draining());
    send(&mut working, body).await;

    let (head, answered) = answer(&mut working).await;
    assert!(answered.contains("queue_unavailable") && head.contains("connection: close"), "{head}{answered}");
    // That we end is no fault of a request that has only begun.
    let (head, answered) = answer(&mut half).await;
    assert!(head.starts_with("http/1.1 503") && answered.contains("draining"), "{head}{answered}");
    timeout(PATIENCE, server.serving).await.expect("serving ends").expect("without a panic");
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn every_request_and_its_fate_stand_in_the_receipt() {
    let began_at = Timestamp::now();
    let server =
        Server::start(ReceiveSettings { enqueue_deadline: Duration::from_millis(100), ..settings() }).await;
    let signed = |body: &str| head(&signature(body.as_bytes()), body.len()) + body;
    for (fault, body, status) in [
        (Fault::Wavers, "[1]", "http/1.1 200"),
        (Fault::Away, "[2]", "http/1.1 503"),
        (Fault::TooLarge, "[3]", "http/1.1 413"),
        (Fault::Hangs, "[4]", "http/1.1 503"),
    ] {
        server.does(fault);
        let mut stream = server.connect().await;
        send(&mut stream, signed(body)).await;
        assert!(answer(&mut stream).await.0.starts_with(status), "{fault:?}");
    }
    let mut stream = server.connect().await;
    send(&mut stream, head(&signature(b"{}"), 2) + "[]").await;
    answer(&mut stream).await;
    let dir = tempfile::tempdir().expect("temporary folder");
    let lake: Arc<dyn crate::lake::Lake> = Arc::new(DiskLake::open(dir.path()).expect("lake"));
    let stop = CancellationToken::new();
    stop.cancel();

    server.receipts.clone().keep(Arc::clone(&lake), stop).await;

    let (from, until) = (crate::event::minute_of(began_at), Timestamp::now() + SignedDuration::from_mins(2));
    let found = receipt::read_minutes(lake.as_ref(), from, until).await.expect("read").receipts;
    let sum = |count: fn(&receipt::Receipt) -> u64| found.iter().map(count).sum::<u64>();
    let key = |body: &str| BodySha256::of(body.as_bytes()).to_hex();
    assert_eq!((sum(|one| one.received), sum(|one| one.verified), sum(|one| one.acknowledged)), (5, 4, 1));
    for (reason, expected) in [("signature_mismatch", 1), ("queue_unavailable", 2), ("message_too_large", 1)]
    {
        let count: u64 = found.iter().filter_map(|one| one.rejected.get(reason)).sum();
        assert_eq!(count, expected, "{reason}");
    }
    let keys: Vec<&String> = found.iter().flat_map(|one| &one.keys).collect();
    assert_eq!(keys, [&key("[1]")]);
    let uncertain: Vec<&String> = found.iter().flat_map(|one| &one.uncertain).collect();
    assert_eq!(uncertain, [&key("[2]"), &key("[4]")]);
}
