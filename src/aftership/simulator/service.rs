//! The stand-in's REST API: `GET /tracking/{version}/trackings`, `…/trackings/{id}` and the same below `/v4`, as
//! AfterShip answers them, about what lies on a [`Shelf`](super::Shelf).
//!
//! It keeps AfterShip's rules (key, rate limit, paging of each version, dates) and, by setting, fails in AfterShip's
//! ways: errors of its gateways, bodies that are cut, cursors that expire, slowness, another clock, an outage.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, DATE, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use fastrand::Rng;
use futures_util::stream;
use jiff::{SignedDuration, Timestamp};
use tokio::net::TcpListener;

use crate::ops::listener::{self, Limits};

use super::answer::{self, Fault};
use super::ask::{self, Asked};
use super::limit::{Standing, Window};
use super::{SharedShelf, Version, cursor};

/// AfterShip's limit of the listing.
const RATE_LIMIT: u32 = 6;

/// AfterShip deletes a parcel this long after its creation.
const RETENTION: Duration = Duration::from_secs(120 * 24 * 3600);

const KEY_HEADER: &str = "as-api-key";
/// Until versions had dates.
const KEY_HEADER_LEGACY: &str = "aftership-api-key";

const JSON: &str = "application/json; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

/// What a gateway in front of AfterShip says.
const BAD_GATEWAY: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad \
                           Gateway</h1></center>\r\n</body>\r\n</html>\r\n";

/// How the API answers.
#[derive(Clone)]
pub struct ServiceOptions {
    /// The key that clients must send. An empty one lets nobody in.
    pub key: String,
    /// Requests a second, of the listing and of single parcels each; 0 for no limit and no headers about it.
    pub rate_limit: u32,
    /// Share of answers that are a 500 or a 502, some of them HTML, 0 to 1.
    pub error_rate: f64,
    /// Share of good answers whose body is cut, with or without a clean end of the answer, 0 to 1.
    pub truncate_rate: f64,
    /// How long a cursor can be used; for ever without it.
    pub cursor_lifetime: Option<Duration>,
    /// How long each answer takes at least.
    pub latency: Duration,
    /// How far the API's clock goes ahead of ours.
    pub clock_skew: SignedDuration,
    /// How long after its creation a parcel is shown.
    pub retention: Duration,
    /// The same seed throws the same dice.
    pub seed: u64,
}

impl Default for ServiceOptions {
    fn default() -> Self {
        ServiceOptions {
            key: String::new(),
            rate_limit: RATE_LIMIT,
            error_rate: 0.0,
            truncate_rate: 0.0,
            cursor_lifetime: None,
            latency: Duration::ZERO,
            clock_skew: SignedDuration::ZERO,
            retention: RETENTION,
            seed: 1,
        }
    }
}

/// The API. Clones are the same one, so that one of them can be served and another told to fail.
#[derive(Clone)]
pub struct Service {
    inner: Arc<Inner>,
}

struct Inner {
    options: ServiceOptions,
    shelf: SharedShelf,
    is_out: AtomicBool,
    requests: AtomicU64,
    dice: Mutex<Rng>,
    /// Of the listing, and of single parcels.
    windows: Mutex<[Window; 2]>,
}

impl Service {
    /// An API about what lies on this shelf.
    pub fn new(options: ServiceOptions, shelf: SharedShelf) -> Self {
        let inner = Inner {
            dice: Mutex::new(Rng::with_seed(options.seed)),
            options,
            shelf,
            is_out: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            windows: Mutex::default(),
        };
        Service { inner: Arc::new(inner) }
    }

    /// Begins or ends an outage: every answer is a 503.
    pub fn set_outage(&self, is_out: bool) {
        self.inner.is_out.store(is_out, Ordering::Relaxed);
    }

    /// Requests so far, whatever came of them.
    pub fn requests(&self) -> u64 {
        self.inner.requests.load(Ordering::Relaxed)
    }

    /// The API as a router, for a server of one's own.
    pub fn router(&self) -> Router {
        let service = self.clone();
        let handler = move |method: Method, uri: Uri, headers: HeaderMap| async move {
            service.answer(&method, &uri, &headers).await
        };
        Router::new().fallback(handler)
    }

    async fn answer(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Response {
        self.inner.requests.fetch_add(1, Ordering::Relaxed);
        if !self.inner.options.latency.is_zero() {
            tokio::time::sleep(self.inner.options.latency).await;
        }
        let now = self.now();
        let (mut response, standing) = self.outcome(method, uri, headers, now);
        let headers = response.headers_mut();
        put(headers, DATE, &now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
        put(headers, HeaderName::from_static("as-trace-id"), &format!("{:032x}", self.dice().u128(..)));
        if let Some(standing) = standing {
            put(headers, HeaderName::from_static("x-ratelimit-limit"), &standing.limit.to_string());
            put(headers, HeaderName::from_static("x-ratelimit-remaining"), &standing.remaining.to_string());
            put(headers, HeaderName::from_static("x-ratelimit-reset"), &standing.resets_at.to_string());
        }
        response
    }

    /// The answer, and how the rate limit stands where it is looked at.
    fn outcome(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> (Response, Option<Standing>) {
        if self.inner.is_out.load(Ordering::Relaxed) {
            return (fault(&Fault::of_status(503)), None);
        }
        let Some((version, id)) = ask::route(uri.path()).filter(|_| method == Method::GET) else {
            return (fault(&Fault::of_status(404)), None);
        };
        if !self.is_let_in(version, headers) {
            return (fault(&Fault::of_status(401)), None);
        }
        let standing = self.take_one(usize::from(id.is_some()), now);
        if standing.is_some_and(|standing| !standing.is_within) {
            return (fault(&Fault::of_status(429)), standing);
        }
        if let Some(error) = self.error() {
            return (error, standing);
        }
        let mut response = match self.body(version, id, uri.query().unwrap_or_default(), now) {
            Ok(body) => self.good(body),
            Err(refusal) => fault(&refusal),
        };
        if version != Version::Legacy {
            put(response.headers_mut(), HeaderName::from_static("as-api-version"), version.as_str());
        }
        (response, standing)
    }

    fn is_let_in(&self, version: Version, headers: &HeaderMap) -> bool {
        let legacy = (version == Version::Legacy).then(|| headers.get(KEY_HEADER_LEGACY)).flatten();
        let key = &self.inner.options.key;
        let given = headers.get(KEY_HEADER).or(legacy);
        !key.is_empty() && given.is_some_and(|given| given.as_bytes() == key.as_bytes())
    }

    fn take_one(&self, window: usize, now: Timestamp) -> Option<Standing> {
        let limit = self.inner.options.rate_limit;
        let mut windows = lock(&self.inner.windows);
        (limit > 0).then(|| windows[window].take(now.as_second(), limit))
    }

    /// An error of AfterShip's own, when the dice say so.
    fn error(&self) -> Option<Response> {
        let mut dice = self.dice();
        if dice.f64() >= self.inner.options.error_rate {
            return None;
        }
        Some(match dice.u32(0..3) {
            0 => fault(&Fault::of_status(500)),
            1 => fault(&Fault::of_status(502)),
            _ => (StatusCode::BAD_GATEWAY, [(CONTENT_TYPE, HTML)], BAD_GATEWAY).into_response(),
        })
    }

    fn body(&self, version: Version, id: Option<&str>, query: &str, now: Timestamp) -> Result<String, Fault> {
        let options = &self.inner.options;
        let terms = (options.retention, options.cursor_lifetime);
        match ask::read(version, id, query, now, terms)? {
            Asked::One(id) => {
                let found = lock(&self.inner.shelf).get(&id);
                let is_shown = |created_at| {
                    now.saturating_sub(options.retention).is_ok_and(|oldest| created_at >= oldest)
                };
                let found = found.filter(|snapshot| is_shown(snapshot.created_at));
                found.map(|snapshot| answer::one(version, &snapshot)).ok_or_else(Fault::no_tracking)
            }
            Asked::List(ask) => {
                // Written after the shelf is let go: a page of an old version takes a while to reshape.
                let page = lock(&self.inner.shelf).list(&ask);
                let made_ms = options.cursor_lifetime.map(|_| now.as_millisecond());
                let cursor = page.next.as_ref().map(|next| cursor::write(next, made_ms));
                Ok(answer::list(version, &ask, &page, cursor.as_deref()))
            }
        }
    }

    /// A good answer, cut short when the dice say so.
    fn good(&self, body: String) -> Response {
        let mut dice = self.dice();
        if dice.f64() >= self.inner.options.truncate_rate {
            return json(StatusCode::OK, Body::from(body));
        }
        let kept = dice.usize(1..body.len());
        let half = Bytes::from(body).slice(..kept);
        if dice.bool() {
            return json(StatusCode::OK, Body::from(half));
        }
        let broken = io::Error::other("cut by setting");
        json(StatusCode::OK, Body::from_stream(stream::iter([Ok(half), Err(broken)])))
    }

    fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        now.saturating_add(self.inner.options.clock_skew).unwrap_or(now)
    }

    fn dice(&self) -> MutexGuard<'_, Rng> {
        lock(&self.inner.dice)
    }
}

/// Serves for ever. Safe to drop.
pub async fn serve(listener: TcpListener, service: Service) {
    listener::serve(listener, service.router(), Limits::default()).await;
}

fn fault(fault: &Fault) -> Response {
    let status = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    json(status, Body::from(fault.body()))
}

fn json(status: StatusCode, body: Body) -> Response {
    (status, [(CONTENT_TYPE, JSON)], body).into_response()
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Nothing is left half done by whoever panicked while holding it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
