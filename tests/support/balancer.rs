//! A balancer in front of several receivers, with the habits of those in real use: it asks each one's `/readyz`, keeps
//! connections and uses them again, and sends no request twice, not even one that found no connection. Counts what became
//! of each request, so that a connection that ended without an answer is told from an answer of ours.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "shared by the tests and the benchmarks, and each uses a part of it"
)]

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::standin::accept;

/// A target that has not answered by then counts as one that broke off.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// The same for a health check: a machine under load is slow, not ill.
const CHECK_MAX: Duration = Duration::from_secs(2);

/// A receiver: its public and its operators' listener. It may be started again, on the same ports.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub listen: SocketAddr,
    pub ops: SocketAddr,
}

/// How health is checked.
#[derive(Debug, Clone, Copy)]
pub struct Checks {
    /// Time between two checks.
    pub every: Duration,
    /// So many good ones in a row bring a target in.
    pub healthy_after: u32,
    /// So many bad ones in a row take it out.
    pub unhealthy_after: u32,
}

impl Default for Checks {
    fn default() -> Self {
        Checks { every: Duration::from_millis(100), healthy_after: 2, unhealthy_after: 2 }
    }
}

/// What became of requests.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Answered 200 by a target.
    pub ok: u64,
    /// Of those, on a connection that had been used before.
    pub reused: u64,
    /// Answered 503 by a target.
    pub unavailable: u64,
    /// Answered anything else by a target.
    pub other: u64,
    /// No connection could be made.
    pub refused: u64,
    /// A new connection was reset or closed before an answer.
    pub broken_fresh: u64,
    /// The same of a connection that had been used before.
    pub broken_reused: u64,
    /// No target was in service.
    pub homeless: u64,
    /// Until the answer, of all that a target answered.
    millis: Vec<f64>,
}

impl Counts {
    /// All requests.
    pub fn requests(&self) -> u64 {
        self.ok + self.failed()
    }

    /// All that were not answered 200.
    pub fn failed(&self) -> u64 {
        self.unavailable + self.other + self.refused + self.broken() + self.homeless
    }

    /// All whose connection ended before an answer.
    pub fn broken(&self) -> u64 {
        self.broken_fresh + self.broken_reused
    }

    /// Milliseconds that a target took for its answer; `share` of them were as fast or faster.
    pub fn millis_at(&self, share: f64) -> f64 {
        let mut sorted = self.millis.clone();
        sorted.sort_by(f64::total_cmp);
        let index = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
        sorted.get(index).copied().unwrap_or(f64::NAN)
    }

    /// Adds others.
    pub fn add(&mut self, others: &Counts) {
        self.ok += others.ok;
        self.reused += others.reused;
        self.unavailable += others.unavailable;
        self.other += others.other;
        self.refused += others.refused;
        self.broken_fresh += others.broken_fresh;
        self.broken_reused += others.broken_reused;
        self.homeless += others.homeless;
        self.millis.extend_from_slice(&others.millis);
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { ok, reused, unavailable, other, refused, broken_fresh, broken_reused, homeless, .. } =
            self;
        write!(
            f,
            "{ok} answered 200 ({reused} on kept connections), {unavailable} 503, {other} else, {refused} not connected, \
             {broken_fresh} broken on new and {broken_reused} on kept connections, {homeless} with nobody in service"
        )
    }
}

/// A running balancer; it ends when dropped.
pub struct Balancer {
    address: SocketAddr,
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

struct Shared {
    targets: Vec<Upstream>,
    turn: AtomicUsize,
    counts: Mutex<Counts>,
}

struct Upstream {
    target: Target,
    is_in_service: AtomicBool,
    /// Connections that may be used again, the one used last on top.
    idle: Mutex<Vec<TcpStream>>,
}

impl Balancer {
    /// Starts on a free port of loopback, in the runtime of the caller. Targets come into service once they are healthy.
    pub async fn start(targets: &[Target], checks: Checks) -> Balancer {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let targets = targets.iter().map(|&target| Upstream {
            target,
            is_in_service: AtomicBool::new(false),
            idle: Mutex::default(),
        });
        let targets = targets.collect();
        let shared = Arc::new(Shared { targets, turn: AtomicUsize::new(0), counts: Mutex::default() });
        let mut tasks = vec![tokio::spawn(serve(listener, Arc::clone(&shared)))];
        for index in 0..shared.targets.len() {
            tasks.push(tokio::spawn(watch(Arc::clone(&shared), index, checks)));
        }
        Balancer { address, shared, tasks }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Does this target get requests?
    pub fn is_in_service(&self, index: usize) -> bool {
        self.shared.targets[index].is_in_service.load(Ordering::Relaxed)
    }

    /// Waits until this target gets requests, or until it gets none; panics when `patience` is over.
    pub async fn until_in_service(&self, index: usize, expected: bool, patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut next_look = interval(Duration::from_millis(10));
        while self.is_in_service(index) != expected {
            assert!(Instant::now() < deadline, "target {index} is in service: {}", !expected);
            next_look.tick().await;
        }
    }

    /// What became of the requests since the last call.
    pub fn take(&self) -> Counts {
        std::mem::take(&mut *lock(&self.shared.counts))
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // Connections are tasks of a set that the first of these owns, so they end with it.
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Nothing that panics runs under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a target in and out, by what it says about itself.
async fn watch(shared: Arc<Shared>, index: usize, checks: Checks) {
    let upstream = &shared.targets[index];
    let mut tick = interval(checks.every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut in_a_row = 0;
    loop {
        tick.tick().await;
        let is_ready = matches!(timeout(CHECK_MAX, is_ready(upstream.target.ops)).await, Ok(Ok(true)));
        let is_in_service = upstream.is_in_service.load(Ordering::Relaxed);
        if is_ready == is_in_service {
            in_a_row = 0;
            continue;
        }
        in_a_row += 1;
        let enough = if is_in_service { checks.unhealthy_after } else { checks.healthy_after };
        if in_a_row >= enough {
            upstream.is_in_service.store(is_ready, Ordering::Relaxed);
            in_a_row = 0;
        }
    }
}

async fn is_ready(ops: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect(ops).await?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: balancer\r\nConnection: close\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer.starts_with(b"HTTP/1.1 200"))
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    accept(listener, |stream| {
        let shared = Arc::clone(&shared);
        async move {
            let service = service_fn(move |request| {
                let shared = Arc::clone(&shared);
                async move { Ok::<_, Infallible>(pass_on(&shared, request).await) }
            });
            // An error is a client that left.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        }
    })
    .await;
}

/// A target's answer.
struct Answer {
    status: u16,
    retry_after: Option<String>,
    body: Vec<u8>,
    is_last: bool,
}

/// What became of a request.
enum Fate {
    Answered { answer: Answer, is_reused: bool },
    Refused,
    BrokenFresh,
    BrokenReused,
    Homeless,
}

async fn pass_on(shared: &Shared, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    // What does not come whole is passed on to nobody.
    let Ok(body) = body.collect().await.map(|body| body.to_bytes()) else {
        return response(400, None, Vec::new());
    };
    let mut bytes = format!("{} {} HTTP/1.1\r\n", head.method, head.uri).into_bytes();
    for (name, value) in &head.headers {
        if !["connection", "content-length", "transfer-encoding"].contains(&name.as_str()) {
            bytes.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
    }
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(&body);

    let sent = Instant::now();
    let fate = shared.send(&bytes).await;
    let mut counts = lock(&shared.counts);
    let (count, status) = match fate {
        Fate::Answered { answer, is_reused } => {
            counts.millis.push(sent.elapsed().as_secs_f64() * 1_000.0);
            match answer.status {
                200 => {
                    counts.ok += 1;
                    counts.reused += u64::from(is_reused);
                }
                503 => counts.unavailable += 1,
                _ => counts.other += 1,
            }
            return response(answer.status, answer.retry_after, answer.body);
        }
        Fate::Refused => (&mut counts.refused, 502),
        Fate::BrokenFresh => (&mut counts.broken_fresh, 502),
        Fate::BrokenReused => (&mut counts.broken_reused, 502),
        Fate::Homeless => (&mut counts.homeless, 503),
    };
    *count += 1;
    response(status, None, Vec::new())
}

fn response(status: u16, retry_after: Option<String>, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut builder = Response::builder().status(status);
    if let Some(seconds) = retry_after {
        builder = builder.header("retry-after", seconds);
    }
    builder.body(Full::new(Bytes::from(body))).expect("an answer of known parts")
}

impl Shared {
    async fn send(&self, bytes: &[u8]) -> Fate {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let in_service: Vec<&Upstream> =
            self.targets.iter().filter(|upstream| upstream.is_in_service.load(Ordering::Relaxed)).collect();
        if in_service.is_empty() {
            return Fate::Homeless;
        }
        let upstream = in_service[turn % in_service.len()];
        let (mut stream, is_reused) = match upstream.open_connection() {
            Some(stream) => (stream, true),
            None => match TcpStream::connect(upstream.target.listen).await {
                Ok(stream) => (stream, false),
                Err(_) => return Fate::Refused,
            },
        };
        let _ = stream.set_nodelay(true);
        match timeout(ANSWER_MAX, exchange(&mut stream, bytes)).await {
            Ok(Ok(answer)) => {
                if !answer.is_last {
                    lock(&upstream.idle).push(stream);
                }
                Fate::Answered { answer, is_reused }
            }
            _ if is_reused => Fate::BrokenReused,
            _ => Fate::BrokenFresh,
        }
    }
}

impl Upstream {
    /// A connection that nobody uses, and that its target has not closed as far as we know.
    fn open_connection(&self) -> Option<TcpStream> {
        loop {
            let stream = lock(&self.idle).pop()?;
            let is_silent =
                stream.try_read(&mut [0; 1]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
            if is_silent {
                return Some(stream);
            }
        }
    }
}

/// Sends a request and reads its whole answer.
async fn exchange(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<Answer> {
    stream.write_all(bytes).await?;
    let mut read = Vec::new();
    let head_end = loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        read_some(stream, &mut read).await?;
    };
    let head = String::from_utf8_lossy(&read[..head_end]).to_ascii_lowercase();
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
    let length: usize = field("content-length:").and_then(|text| text.parse().ok()).unwrap_or(0);
    while read.len() < head_end + 4 + length {
        read_some(stream, &mut read).await?;
    }
    Ok(Answer {
        status: head.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0),
        retry_after: field("retry-after:").map(str::to_owned),
        body: read[head_end + 4..head_end + 4 + length].to_vec(),
        is_last: field("connection:") == Some("close"),
    })
}

async fn read_some(stream: &mut TcpStream, read: &mut Vec<u8>) -> io::Result<()> {
    if stream.read_buf(read).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}
