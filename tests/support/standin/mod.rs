//! A stand-in for SQS and S3 on loopback, for tests and benchmarks: in memory, fast, and wrong on request.
//!
//! It speaks the protocols as the AWS SDK does, on one port: requests with `x-amz-target` are SQS, the others are
//! S3 by path. Signatures are not checked. What it does not know it answers with 501 (S3) or
//! `UnsupportedOperation` (SQS), never with a guess. It passes the same contract suites as moto.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "shared by the tests and the benchmarks, and each uses a part of it"
)]

mod faults;
mod reply;
mod s3;
mod sqs;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use self::faults::Calls;
pub use self::faults::{Armed, Fault, Faults, Op};
use self::reply::Reply;
use self::s3::S3;
use self::sqs::Sqs;

/// Larger than any object of ours.
const BODY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// How a stand-in begins.
#[derive(Debug, Clone, Default)]
pub struct StandinOptions {
    /// Delay of every answer; requests wait beside each other, not behind. See [`Faults::set_latency`].
    pub latency: Duration,
}

/// Everything a stand-in holds: queues, buckets, faults and counts.
#[derive(Debug, Default)]
pub struct State {
    faults: Faults,
    calls: Calls,
    sqs: Sqs,
    s3: S3,
}

impl State {
    /// Nothing in it yet.
    pub fn new(options: &StandinOptions) -> Arc<State> {
        let state = State::default();
        state.faults.set_latency(options.latency);
        Arc::new(state)
    }

    /// What goes wrong.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// How many requests of one operation have come.
    pub fn calls(&self, op: Op) -> u64 {
        self.calls.of(op)
    }

    /// Makes a queue without a request. Panics on attributes that SQS would refuse.
    pub fn create_queue(&self, name: &str, attributes: &[(&str, &str)]) {
        self.sqs.create(name, attributes).expect("a queue that SQS takes");
    }

    /// Makes a bucket without a request.
    pub fn create_bucket(&self, name: &str) {
        self.s3.create(name);
    }
}

/// A running stand-in; it ends when dropped.
#[derive(Debug)]
pub struct Standin {
    state: Arc<State>,
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Standin {
    /// Starts on a free port of loopback, in the runtime of the caller.
    pub async fn start(options: StandinOptions) -> Standin {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let state = State::new(&options);
        Standin { server: tokio::spawn(serve(listener, Arc::clone(&state))), state, address }
    }

    /// Where it listens: `http://127.0.0.1:PORT`, for SQS and S3 alike.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address of a queue, whether there is one or not.
    pub fn queue_url(&self, name: &str) -> String {
        sqs::queue_url(&self.address.to_string(), name)
    }

    /// The ARN of a queue, whether there is one or not: what a redrive policy names.
    pub fn queue_arn(&self, name: &str) -> String {
        sqs::queue_arn(name)
    }

    /// What goes wrong.
    pub fn faults(&self) -> &Faults {
        self.state.faults()
    }

    /// How many requests of one operation have come.
    pub fn calls(&self, op: Op) -> u64 {
        self.state.calls(op)
    }

    /// Queues, buckets, faults and counts.
    pub fn state(&self) -> &Arc<State> {
        &self.state
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        // Its connections are tasks of a set that the server's task owns, so they end with it.
        self.server.abort();
    }
}

/// Serves until dropped: what [`Standin::start`] runs as a task, and a program of its own as its main future.
pub async fn serve(listener: TcpListener, state: Arc<State>) {
    accept(listener, |stream| {
        let state = Arc::clone(&state);
        async move {
            let service = service_fn(move |request| answer(Arc::clone(&state), request));
            // An error is a client that left, or a fault that was asked for.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        }
    })
    .await;
}

/// Takes connections until dropped, each into a task that ends with this one.
pub async fn accept<Serving: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    serve: impl Fn(TcpStream) -> Serving,
) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely; they come back as connections end.
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        // Without it a small answer may wait for the client's acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        connections.spawn(serve(stream));
    }
}

/// Closes the connection instead of answering.
#[derive(Debug)]
struct NoAnswer;

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no answer, on purpose or because the request did not come whole")
    }
}

impl std::error::Error for NoAnswer {}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Reply, NoAnswer> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(|_| NoAnswer)?.to_bytes();
    let mut reply = match head.headers.get("x-amz-target") {
        Some(target) => {
            let op = target
                .to_str()
                .ok()
                .and_then(|target| target.strip_prefix("AmazonSQS."))
                .and_then(Op::of_sqs);
            match op {
                Some(op) => with_faults(&state, op, Call::Sqs { head: &head, body: &body }).await?,
                None => sqs::unsupported(),
            }
        }
        None => match s3::Target::of(&head) {
            Ok((op, target)) => with_faults(&state, op, Call::S3 { head: &head, target, body }).await?,
            Err(error) => error.reply(),
        },
    };
    if head.method == Method::HEAD {
        *reply.body_mut() = reply::ReplyBody::Whole(Full::new(Bytes::new()));
    }
    Ok(reply)
}

/// A request of a known operation.
enum Call<'a> {
    Sqs { head: &'a Parts, body: &'a [u8] },
    S3 { head: &'a Parts, target: s3::Target, body: Bytes },
}

async fn with_faults(state: &State, op: Op, call: Call<'_>) -> Result<Reply, NoAnswer> {
    state.calls.count(op);
    let fault = state.faults.take(op);
    let reply = match fault {
        Some(Fault::Blackhole) => return std::future::pending().await,
        Some(Fault::Status(status)) => refusal(op, status),
        Some(Fault::Throttle) => throttle(op),
        Some(Fault::Conflict409) => s3::CONFLICT.reply(),
        _ => match call {
            Call::Sqs { head, body } => sqs::answer(&state.sqs, &state.faults, op, head, body, fault).await,
            Call::S3 { head, target, body } => s3::answer(&state.s3, op, head, target, body),
        },
    };
    let slower = match fault {
        Some(Fault::Slow(slower)) => slower,
        _ => Duration::ZERO,
    };
    // After the deed: a client that gives up meanwhile must not conclude that nothing happened.
    let delay = state.faults.latency() + slower;
    if !delay.is_zero() {
        sleep(delay).await;
    }
    match fault {
        Some(Fault::DropAnswerAfterDoing) => Err(NoAnswer),
        Some(Fault::WriteThen503) => Ok(refusal(op, 503)),
        Some(Fault::WriteThen412) => Ok(refusal(op, 412)),
        Some(Fault::CutBody) => Ok(reply::cut_short(reply).await),
        _ => Ok(reply),
    }
}

fn refusal(op: Op, status: u16) -> Reply {
    if op.is_s3() { s3::Error::of_status(status).reply() } else { sqs::error_of_status(status) }
}

fn throttle(op: Op) -> Reply {
    if op.is_s3() { s3::SLOW_DOWN.reply() } else { sqs::throttled() }
}
