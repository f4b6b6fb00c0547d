//! Signs what the simulator makes and posts it as AfterShip does: success is any 2xx, what may heal is tried again
//! up to fourteen times, with gaps that double from 30 seconds, always the same bytes.
//!
//! With a shelf, events land there as they happen, whatever becomes of their webhooks; [`happen`] does no more than
//! that.

mod source;

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use axum::http::header::{HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode, Uri};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jiff::SignedDuration;
use serde::Serialize;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::aftership::signature::{TRACKING_HEADER, sign};
use crate::ops::http;

use source::Source;

pub use source::happen;

use super::{Delivery, SharedShelf, SimulatorOptions};

/// AfterShip gives an event up after this many attempts.
pub const ATTEMPTS_MAX: u32 = 14;

/// Gap before the second attempt; each further one doubles.
const FIRST_GAP: Duration = Duration::from_secs(30);

/// Longest gap that a scale may give, so that no instant overflows.
const GAP_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// Events that may wait for their next attempt before no new ones are begun.
const WAITING_MAX: usize = 1_000;

/// How long a first connection may take.
const REACH_MAX: Duration = Duration::from_secs(10);

/// How long requests under way may still take after a stop.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// What to send, where, and how fast.
#[derive(Clone)]
pub struct SendOptions {
    /// `http://` or `https://`
    pub url: String,
    /// What to sign with.
    pub secret: String,
    /// Events a second; without it, as fast as answers come.
    pub rate: Option<f64>,
    /// Events in all; without it, until stopped.
    pub count: Option<u64>,
    /// Requests under way at once, at least 1.
    pub concurrency: usize,
    /// The same seed sends the same events.
    pub seed: u64,
    /// What is sent. Its `rate` is taken from here, and it has snapshots when there is a shelf.
    pub simulator: SimulatorOptions,
    /// Scales the gaps between attempts: 1 for AfterShip's own, 0 for none.
    pub retry_scale: f64,
    /// How long to wait for an answer. AfterShip's own limit is not published.
    pub timeout: Duration,
    /// Repeats 4xx too, as AfterShip does. Without it they are final, so that nobody who tries things out waits for 68
    /// hours to be told of a wrong secret.
    pub is_patient_with_4xx: bool,
    /// Where events land as they happen.
    pub shelf: Option<SharedShelf>,
    /// How far the present of live time goes ahead of our clock.
    pub clock_skew: SignedDuration,
}

impl Default for SendOptions {
    fn default() -> Self {
        SendOptions {
            url: String::new(),
            secret: String::new(),
            rate: None,
            count: None,
            concurrency: 16,
            seed: 1,
            simulator: SimulatorOptions::default(),
            retry_scale: 1.0,
            timeout: Duration::from_secs(10),
            is_patient_with_4xx: false,
            shelf: None,
            clock_skew: SignedDuration::ZERO,
        }
    }
}

/// What became of the events: `sent` is the sum of the other three.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SendReport {
    /// Events posted at least once.
    pub sent: u64,
    /// Answered 2xx, at once or later.
    pub accepted: u64,
    /// Answered 4xx, where that is final.
    pub refused: u64,
    /// Given up, or not answered when the sending was stopped.
    pub unreachable: u64,
}

/// Why nothing could be sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Not an absolute http or https address.
    #[error("cannot send to {0}: not an absolute http or https URL")]
    Url(String),
    /// Nobody is there.
    #[error("cannot reach {url}: is `waybill up` running, and on that port?")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The system's certificates could not be read.
    #[error("cannot prepare TLS")]
    Tls(#[source] io::Error),
}

/// Can anything be reached at this address? Connects, and lets go again.
pub async fn reach(url: &str) -> Result<(), SendError> {
    let uri: Uri = url.parse().map_err(|_| SendError::Url(url.to_owned()))?;
    let host = uri.host().ok_or_else(|| SendError::Url(url.to_owned()))?;
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let connecting = tokio::net::TcpStream::connect((host, port));
    let unreachable = |source| SendError::Unreachable { url: url.to_owned(), source };
    match timeout(REACH_MAX, connecting).await {
        Ok(outcome) => outcome.map(|_| ()).map_err(unreachable),
        Err(_) => Err(unreachable(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"))),
    }
}

/// Sends until `count` events have met their fate, or until stopped. `progress` gets the number that have.
pub async fn run(
    options: SendOptions,
    mut progress: impl FnMut(u64) + Send,
    stop: CancellationToken,
) -> Result<SendReport, SendError> {
    let poster = Poster::new(&options)?;
    let concurrency = options.concurrency.max(1);
    let mut source = Source::new(&options);
    let mut waiting = Waiting::default();
    let mut report = SendReport::default();
    let mut under_way = FuturesUnordered::new();
    let mut deadline: Option<Instant> = None;
    loop {
        let now = Instant::now();
        let is_stopped = deadline.is_some();
        while !is_stopped && under_way.len() < concurrency {
            let letter = match waiting.take_due(now) {
                Some(letter) => letter,
                None if waiting.len() < WAITING_MAX => match source.take_due(now) {
                    Some(delivery) => {
                        report.sent += 1;
                        Letter::new(delivery, &options.secret)
                    }
                    None => break,
                },
                None => break,
            };
            under_way.push(poster.post(letter));
        }
        let is_done = is_stopped || (source.is_empty() && waiting.len() == 0);
        if is_done && under_way.is_empty() {
            break;
        }
        let wake = deadline.or_else(|| {
            let has_room = under_way.len() < concurrency;
            let new = source.due().filter(|_| waiting.len() < WAITING_MAX);
            [waiting.due(), new].into_iter().flatten().min().filter(|_| has_room)
        });
        tokio::select! {
            biased;
            () = stop.cancelled(), if !is_stopped => deadline = Some(Instant::now() + STOP_GRACE),
            Some((letter, outcome)) = under_way.next(), if !under_way.is_empty() => {
                settle(letter, outcome, &options, &mut report, &mut waiting);
                progress(report.settled());
            }
            () = sleep_until(wake.unwrap_or(now)), if wake.is_some() => {
                if is_stopped {
                    break;
                }
            }
        }
    }
    report.unreachable = report.sent - report.accepted - report.refused;
    Ok(report)
}

impl SendReport {
    fn settled(&self) -> u64 {
        self.accepted + self.refused + self.unreachable
    }
}

fn settle(
    letter: Letter,
    outcome: Outcome,
    options: &SendOptions,
    report: &mut SendReport,
    waiting: &mut Waiting,
) {
    match outcome {
        Outcome::Accepted => report.accepted += 1,
        Outcome::Refused => report.refused += 1,
        Outcome::Failed => match retry_gap(letter.attempts, options.retry_scale) {
            Some(gap) => waiting.put(Instant::now() + gap, letter),
            None => report.unreachable += 1,
        },
    }
}

/// The gap after so many failed attempts, by AfterShip's table; `None` when it gives up.
fn retry_gap(attempts: u32, scale: f64) -> Option<Duration> {
    if attempts >= ATTEMPTS_MAX {
        return None;
    }
    let gap = FIRST_GAP.as_secs_f64() * f64::from(1u32 << attempts.saturating_sub(1));
    Some(Duration::try_from_secs_f64((gap * scale).max(0.0)).unwrap_or(GAP_MAX).min(GAP_MAX))
}

/// Events between two attempts, by their time; the number tells apart what falls on the same instant.
#[derive(Default)]
struct Waiting {
    letters: BTreeMap<(Instant, u64), Letter>,
    put: u64,
}

impl Waiting {
    fn len(&self) -> usize {
        self.letters.len()
    }

    fn put(&mut self, due: Instant, letter: Letter) {
        self.put += 1;
        self.letters.insert((due, self.put), letter);
    }

    fn due(&self) -> Option<Instant> {
        self.letters.first_key_value().map(|((due, _), _)| *due)
    }

    fn take_due(&mut self, now: Instant) -> Option<Letter> {
        self.due().filter(|due| *due <= now)?;
        self.letters.pop_first().map(|(_, letter)| letter)
    }
}

/// A signed request, the same at every attempt.
struct Letter {
    headers: Vec<(&'static str, String)>,
    body: Bytes,
    attempts: u32,
}

impl Letter {
    fn new(delivery: Delivery, secret: &str) -> Self {
        let mut headers = delivery.headers;
        headers.push((TRACKING_HEADER, sign(secret, &delivery.body)));
        Letter { headers, body: delivery.body.into(), attempts: 0 }
    }
}

enum Outcome {
    Accepted,
    /// A 4xx that is final.
    Refused,
    /// May heal: an answer of another kind, no answer, no connection.
    Failed,
}

struct Poster {
    client: http::Client,
    url: Uri,
    timeout: Duration,
    is_patient_with_4xx: bool,
}

impl Poster {
    fn new(options: &SendOptions) -> Result<Self, SendError> {
        let bad = || SendError::Url(options.url.clone());
        let url: Uri = options.url.parse().map_err(|_| bad())?;
        let is_tls = match url.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(bad()),
        };
        let client = http::client(is_tls, options.timeout, options.concurrency).map_err(SendError::Tls)?;
        Ok(Poster { client, url, timeout: options.timeout, is_patient_with_4xx: options.is_patient_with_4xx })
    }

    async fn post(&self, mut letter: Letter) -> (Letter, Outcome) {
        letter.attempts += 1;
        let outcome = match timeout(self.timeout, self.status(&letter)).await {
            Ok(Some(status)) if status.is_success() => Outcome::Accepted,
            Ok(Some(StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)) => Outcome::Failed,
            Ok(Some(status)) if status.is_client_error() && !self.is_patient_with_4xx => Outcome::Refused,
            _ => Outcome::Failed,
        };
        (letter, outcome)
    }

    async fn status(&self, letter: &Letter) -> Option<StatusCode> {
        let mut headers = HeaderMap::with_capacity(letter.headers.len());
        for (name, value) in &letter.headers {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).ok()?);
        }
        http::post(&self.client, &self.url, headers, letter.body.clone()).await
    }
}

#[cfg(test)]
mod tests;
