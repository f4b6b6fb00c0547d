//! AfterShip's REST API over HTTP: asks at its pace, tries again what may heal, and says clearly what will not.
//!
//! All that share an [`Api`] share its pace: at most [`ApiOptions::rate`] requests a second, none before the instant that
//! a 429 named. A question is tried again after no answer, a 5xx, and an answer that was cut short. Nothing has to be
//! cancelled: whoever drops the future has given up the question.
//!
//! Neither the key nor what an answer holds is ever logged or part of an error.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::header::{ACCEPT, HeaderName, HeaderValue, USER_AGENT};
use axum::http::{Request, StatusCode, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use jiff::Timestamp;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::debug;

use crate::ops::retry::Backoff;
use crate::ops::{http, metrics};

use super::api::{self, ApiFault, ListPage, ListQuery, RateLimit, Snapshot, Unreadable};

/// The newest version that we know.
const URL: &str = "https://api.aftership.com/tracking/2026-07";

/// Carries the key.
const KEY: &str = "as-api-key";

/// AfterShip's code for a tracking that does not exist, beside status 404.
const NO_SUCH_TRACKING: i64 = 4004;

/// What AfterShip may answer to a cursor that it no longer knows; nobody says which.
const CURSOR_GONE: [u16; 4] = [400, 404, 410, 422];

/// Waits before another attempt.
const BACKOFF_FIRST: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// A limit that lasts longer is not waited for: whoever asks is told instead.
const PAUSE_MAX: Duration = Duration::from_secs(120);
/// No limit that anybody means lasts longer.
const HOLD_MAX: Duration = Duration::from_secs(24 * 3600);

/// At most so much is added to a pause, so that many who wait do not come back together.
const JITTER: Duration = Duration::from_millis(300);

/// How long a new connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Connections kept for the next request.
const IDLE_MAX: usize = 2;

/// Links of a chain of causes that an error names.
const CAUSES_MAX: usize = 3;

/// Where and how to ask.
#[derive(Clone)]
pub struct ApiOptions {
    /// Base address with its version. `http://` too, for stand-ins.
    pub url: String,
    /// The API key.
    pub key: String,
    /// Requests a second at most; AfterShip allows 6 for lists.
    pub rate: f64,
    /// One request with its answer.
    pub timeout: Duration,
    /// Attempts of one question.
    pub attempts_max: u32,
    /// Largest answer that is read.
    pub answer_bytes_max: usize,
}

impl Default for ApiOptions {
    fn default() -> Self {
        ApiOptions {
            url: URL.to_owned(),
            key: String::new(),
            rate: 6.0,
            timeout: Duration::from_secs(30),
            attempts_max: 5,
            answer_bytes_max: 64 * 1024 * 1024,
        }
    }
}

impl fmt::Debug for ApiOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ApiOptions({}, {} requests a second)", self.url, self.rate)
    }
}

/// Why a question got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// Will not heal by itself: the settings.
    #[error("cannot use AfterShip's API: {0}")]
    Unusable(String),
    /// Will not heal by itself: AfterShip says no.
    #[error("AfterShip's API refuses with status {status}: {message}")]
    Refused {
        /// HTTP's status.
        status: u16,
        /// AfterShip's finer code.
        code: Option<i64>,
        /// AfterShip's words, and what can be done.
        message: String,
    },
    /// The list has to begin again.
    #[error("AfterShip's API no longer takes the cursor")]
    CursorExpired,
    /// The list has to be asked for in shorter spans.
    #[error(
        "AfterShip's API has {} trackings or more in this span, and its older versions count no further (a dated \
         version from 2024-10 on in WAYBILL_AFTERSHIP_API_URL has no such limit)",
        api::COUNT_MAX
    )]
    TooMany,
    /// May heal: the network, a limit, AfterShip's own faults.
    #[error("AfterShip's API is unavailable: {0}")]
    Unavailable(String),
    /// May heal: answers that are cut short or no JSON, time after time.
    #[error("cannot read what AfterShip's API answers: {0}")]
    Unreadable(String),
}

/// The API. Clones share pace and connections.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    client: http::Client,
    options: ApiOptions,
    key: HeaderValue,
    /// Scheme and authority.
    origin: String,
    base_path: String,
    /// Time between two requests.
    gap: Duration,
    /// When the next request may go.
    next_at: Mutex<Instant>,
}

impl fmt::Debug for Api {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Api({}{})", self.0.origin, self.0.base_path)
    }
}

/// An answer of any status.
struct Answer {
    status: StatusCode,
    limit: RateLimit,
    /// By AfterShip's clock.
    date: Option<Timestamp>,
    body: Bytes,
}

/// What became of one attempt.
enum Fate<T> {
    Answered(T, Option<Timestamp>),
    /// Another attempt may help, after a wait.
    Again(ApiError),
    /// Another attempt may help, in its turn.
    Limited(ApiError),
    Never(ApiError),
}

impl Api {
    /// Checks the settings; nothing is asked yet.
    pub fn open(options: ApiOptions) -> Result<Api, ApiError> {
        let unusable = ApiError::Unusable;
        let uri: Uri =
            options.url.trim().parse().map_err(|_| unusable(format!("{} is no address", options.url)))?;
        let (Some(scheme @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(unusable(format!("{} is no absolute http or https address", options.url)));
        };
        let origin = format!("{scheme}://{authority}");
        let base_path = uri.path().trim_end_matches('/').to_owned();
        if options.key.trim().is_empty() {
            return Err(unusable("the key is empty".to_owned()));
        }
        let mut key = HeaderValue::from_str(options.key.trim())
            .map_err(|_| unusable("the key has characters that no key of AfterShip's has".to_owned()))?;
        key.set_sensitive(true);
        if !(options.rate.is_finite() && options.rate > 0.0) {
            return Err(unusable(format!("a rate of {} requests a second asks for nothing", options.rate)));
        }
        let gap = Duration::from_secs_f64(options.rate.clamp(0.01, 1_000.0).recip());
        let client = http::client(scheme == "https", CONNECT_MAX, IDLE_MAX)
            .map_err(|error| unusable(format!("cannot prepare TLS: {error}")))?;
        let next_at = Mutex::new(Instant::now());
        Ok(Api(Arc::new(Inner { client, options, key, origin, base_path, gap, next_at })))
    }

    /// Some trackings, and the time by AfterShip's clock. [`ApiError::TooMany`] comes with the second answer: the first one
    /// tells how many there are.
    pub async fn list(&self, query: &ListQuery) -> Result<(ListPage, Option<Timestamp>), ApiError> {
        let path = api::path_and_query(&self.0.base_path, query);
        let outcome = self.ask(&path, |body| api::read_page(body, query)).await;
        match outcome {
            Err(ApiError::Refused { status, .. })
                if query.next.is_some() && CURSOR_GONE.contains(&status) =>
            {
                Err(ApiError::CursorExpired)
            }
            outcome => outcome,
        }
    }

    /// One tracking by its id; `None` when AfterShip has it no more: it was deleted, or is older than
    /// [`api::KEPT_DAYS`].
    pub async fn get(&self, id: &str) -> Result<Option<Snapshot>, ApiError> {
        let path = api::path_of(&self.0.base_path, id);
        match self.ask(&path, api::read_one).await {
            Ok((snapshot, _)) => Ok(Some(snapshot)),
            Err(ApiError::Refused { status: 404, code: Some(NO_SUCH_TRACKING), .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks until there is an answer, or no hope.
    async fn ask<T>(
        &self,
        path: &str,
        read: impl Fn(&[u8]) -> Result<T, Unreadable>,
    ) -> Result<(T, Option<Timestamp>), ApiError> {
        let mut backoff = Backoff::new(BACKOFF_FIRST, BACKOFF_MAX);
        let mut attempt = 1;
        loop {
            self.turn().await?;
            let error = match self.attempt(path, &read).await {
                Fate::Answered(found, date) => return Ok((found, date)),
                Fate::Never(error) => return Err(error),
                Fate::Again(error) | Fate::Limited(error) if attempt >= self.0.options.attempts_max => {
                    return Err(error);
                }
                Fate::Again(error) => {
                    sleep(backoff.next()).await;
                    error
                }
                Fate::Limited(error) => error,
            };
            debug!(attempt, %error, "asking AfterShip again");
            attempt += 1;
        }
    }

    /// Waits until it is our turn.
    async fn turn(&self) -> Result<(), ApiError> {
        let at = {
            let mut next_at = self.0.next_at.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let at = (*next_at).max(now);
            let wait = at.duration_since(now);
            if wait > PAUSE_MAX {
                let seconds = wait.as_secs();
                return Err(ApiError::Unavailable(format!(
                    "its rate limit lasts for another {seconds} s; fewer programs with this key, or a longer interval, help"
                )));
            }
            *next_at = at + self.0.gap;
            at
        };
        sleep_until(at).await;
        Ok(())
    }

    /// Nobody asks for so long.
    fn hold(&self, pause: Duration) {
        let until = Instant::now() + pause.min(HOLD_MAX) + JITTER.mul_f64(fastrand::f64());
        let mut next_at = self.0.next_at.lock().unwrap_or_else(PoisonError::into_inner);
        *next_at = (*next_at).max(until);
    }

    /// One request; counted once.
    async fn attempt<T>(&self, path: &str, read: impl Fn(&[u8]) -> Result<T, Unreadable>) -> Fate<T> {
        let answer = match timeout(self.0.options.timeout, self.request(path)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error @ ApiError::Unavailable(_))) => {
                metrics::poll_request("failed");
                return Fate::Again(error);
            }
            Ok(Err(error)) => {
                metrics::poll_request("unreadable");
                return Fate::Never(error);
            }
            Err(_) => {
                metrics::poll_request("failed");
                let seconds = self.0.options.timeout.as_secs_f64();
                return Fate::Again(ApiError::Unavailable(format!("no answer within {seconds} s")));
            }
        };
        let now = answer.date.unwrap_or_else(Timestamp::now);
        let is_limited = answer.status == StatusCode::TOO_MANY_REQUESTS;
        let pause = answer.limit.pause(is_limited, now);
        if !pause.is_zero() {
            self.hold(pause);
        }
        let status = answer.status.as_u16();
        if answer.status.is_success() {
            return match read(&answer.body) {
                Ok(found) => {
                    metrics::poll_request("ok");
                    Fate::Answered(found, answer.date)
                }
                Err(Unreadable::TooMany) => {
                    metrics::poll_request("ok");
                    Fate::Never(ApiError::TooMany)
                }
                Err(error) => {
                    metrics::poll_request("unreadable");
                    Fate::Again(ApiError::Unreadable(error.to_string()))
                }
            };
        }
        if is_limited {
            metrics::poll_request("rate_limited");
            return Fate::Limited(ApiError::Unavailable("its rate limit is used up".to_owned()));
        }
        if answer.status.is_server_error() || answer.status == StatusCode::REQUEST_TIMEOUT {
            metrics::poll_request("failed");
            return Fate::Again(ApiError::Unavailable(format!("it answers with status {status}")));
        }
        let fault = api::fault(status, &answer.body);
        let is_gone = status == 404 && fault.code == Some(NO_SUCH_TRACKING);
        metrics::poll_request(if is_gone { "ok" } else { "refused" });
        Fate::Never(self.refused(fault))
    }

    async fn request(&self, path: &str) -> Result<Answer, ApiError> {
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.uri_mut() = format!("{}{path}", self.0.origin)
            .parse()
            .map_err(|_| ApiError::Unreadable("the cursor is too long for an address".to_owned()))?;
        let headers = request.headers_mut();
        headers.insert(HeaderName::from_static(KEY), self.0.key.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let agent = concat!("waybill/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        let response = self.0.client.request(request).await.map_err(|error| unavailable(&error))?;
        let (head, body) = response.into_parts();
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let date = header("date").and_then(api::http_date);
        let limit = RateLimit::read(header, date.unwrap_or_else(Timestamp::now));
        let bytes_max = self.0.options.answer_bytes_max;
        let body = Limited::new(body, bytes_max).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                ApiError::Unreadable(format!(
                    "it is larger than {bytes_max} bytes, as no page of AfterShip's is; check WAYBILL_AFTERSHIP_API_URL"
                ))
            } else {
                unavailable(&*error)
            }
        })?;
        Ok(Answer { status: head.status, limit, date, body: body.to_bytes() })
    }

    fn refused(&self, fault: ApiFault) -> ApiError {
        let key = self.0.options.key.trim();
        let said = fault.message.filter(|message| !message.contains(key));
        let said = said.or(fault.kind).map_or_else(String::new, |text| format!("{} ", text.trim()));
        let advice = match fault.status {
            401 => {
                "(check WAYBILL_AFTERSHIP_API_KEY; a key marked \"legacy access only\" does not work with the dated \
                 versions of the API)"
            }
            403 => {
                "(the key may not read trackings: give it that right, and check that it is not marked \"legacy access \
                 only\")"
            }
            300..=399 | 404 => {
                "(check WAYBILL_AFTERSHIP_API_URL: it ends in the version, as in https://api.aftership.com/tracking/2026-07)"
            }
            _ => "(check the version in WAYBILL_AFTERSHIP_API_URL)",
        };
        ApiError::Refused { status: fault.status, code: fault.code, message: format!("{said}{advice}") }
    }
}

fn unavailable(error: &(dyn Error + 'static)) -> ApiError {
    let mut text = error.to_string();
    let mut cause = error.source();
    for _ in 0..CAUSES_MAX {
        let Some(link) = cause else { break };
        text = format!("{text}: {link}");
        cause = link.source();
    }
    ApiError::Unavailable(text)
}

#[cfg(test)]
mod tests;
