//! Load that does not wait for answers: requests begin at their time, whether or not earlier ones are answered, as those
//! of many shops do. Knows of each what it was answered, and when.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "shared by the tests and the benchmarks, and each uses a part of it"
)]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

/// Requests without an answer by then are counted as unanswered.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// What a load found.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Ids answered 200.
    pub accepted: BTreeSet<String>,
    /// Answered 503.
    pub refused: u64,
    /// Of those, how many said when to come again.
    pub with_retry_after: u64,
    /// Any other answer.
    pub other: u64,
    /// No answer: refused or broken connections, or too late.
    pub unanswered: u64,
    accepted_millis: Vec<f64>,
    refused_millis: Vec<f64>,
    /// How long it took.
    pub took: Duration,
}

impl Outcome {
    /// Accepted requests a second.
    pub fn goodput(&self) -> f64 {
        self.accepted.len() as f64 / self.took.as_secs_f64()
    }

    /// Milliseconds from a request's time to its answer, of accepted ones.
    pub fn accepted_at(&self, share: f64) -> f64 {
        percentile(&self.accepted_millis, share)
    }

    /// The same of refused ones.
    pub fn refused_at(&self, share: f64) -> f64 {
        percentile(&self.refused_millis, share)
    }
}

fn percentile(sorted: &[f64], share: f64) -> f64 {
    let index = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

enum Answer {
    Status(u16, bool),
    None,
}

/// Idle connections that may be used again.
type Pool = Arc<Mutex<Vec<TcpStream>>>;

/// Sends `per_second` requests a second for `time`. `make` gives each its id and its bytes on the wire.
pub async fn run(
    address: SocketAddr,
    per_second: f64,
    time: Duration,
    make: impl Fn() -> (String, Vec<u8>),
) -> Outcome {
    let pool: Pool = Arc::default();
    let mut requests = JoinSet::new();
    let mut outcome = Outcome::default();
    let began = Instant::now();
    let count = (per_second * time.as_secs_f64()) as u64;
    for number in 0..count {
        let at = began + Duration::from_secs_f64(number as f64 / per_second);
        sleep_until(at).await;
        let (id, bytes) = make();
        let pool = Arc::clone(&pool);
        requests.spawn(async move {
            let answer = timeout(ANSWER_MAX, ask(address, &pool, &bytes)).await.unwrap_or(Answer::None);
            (id, answer, at.elapsed())
        });
        while let Some(done) = requests.try_join_next() {
            outcome.count(done.expect("a request ends"));
        }
    }
    outcome.took = began.elapsed();
    while let Some(done) = requests.join_next().await {
        outcome.count(done.expect("a request ends"));
    }
    outcome.accepted_millis.sort_by(f64::total_cmp);
    outcome.refused_millis.sort_by(f64::total_cmp);
    outcome
}

impl Outcome {
    fn count(&mut self, (id, answer, took): (String, Answer, Duration)) {
        let millis = took.as_secs_f64() * 1_000.0;
        match answer {
            Answer::Status(200, _) => {
                self.accepted.insert(id);
                self.accepted_millis.push(millis);
            }
            Answer::Status(503, says_when) => {
                self.refused += 1;
                self.with_retry_after += u64::from(says_when);
                self.refused_millis.push(millis);
            }
            Answer::Status(..) => self.other += 1,
            Answer::None => self.unanswered += 1,
        }
    }
}

async fn ask(address: SocketAddr, pool: &Pool, bytes: &[u8]) -> Answer {
    let idle = pool.lock().unwrap_or_else(PoisonError::into_inner).pop();
    if let Some(stream) = idle
        && let Some(answer) = exchange(stream, pool, bytes).await
    {
        return answer;
    }
    // A connection of its own: the first one, or one in place of an idle one that was closed meanwhile.
    let Ok(stream) = TcpStream::connect(address).await else { return Answer::None };
    let _ = stream.set_nodelay(true);
    exchange(stream, pool, bytes).await.unwrap_or(Answer::None)
}

/// `None` when the connection ended without an answer.
async fn exchange(mut stream: TcpStream, pool: &Pool, bytes: &[u8]) -> Option<Answer> {
    stream.write_all(bytes).await.ok()?;
    let mut buffer = vec![0; 4_096];
    let mut filled = 0;
    loop {
        let count = stream.read(&mut buffer[filled..]).await.ok()?;
        if count == 0 {
            return None;
        }
        filled += count;
        let Some(end) = buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
        let length: usize = field("content-length:").and_then(|text| text.parse().ok()).unwrap_or(0);
        if filled < end + 4 + length {
            continue;
        }
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let says_when = field("retry-after:").is_some();
        if field("connection:") != Some("close") {
            pool.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
        }
        return Some(Answer::Status(status, says_when));
    }
}
