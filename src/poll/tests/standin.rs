//! AfterShip's API as far as a poll sees it: a list by `updated_at`, in pages of either kind, and what goes wrong with it.
//! And a queue that is not always there.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri};
use jiff::{SignedDuration, Timestamp};
use percent_encoding::percent_decode_str;
use tokio::net::TcpListener;

use crate::queue::{Delivery, Depth, Enqueued, Lease, Queue, QueueError, SendError};

/// What goes wrong with one request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    Status(u16),
    Cut,
    SameCursor,
}

/// AfterShip, as far as a poll sees it.
#[derive(Default)]
pub(super) struct Standin {
    /// `updated_at`, and the tracking.
    pub(super) trackings: Mutex<Vec<(Timestamp, String)>>,
    /// Parameters of each request.
    asked: Mutex<Vec<HashMap<String, String>>>,
    /// By the number of the request.
    faults: Mutex<BTreeMap<usize, Fault>>,
    pub(super) by_pages: AtomicBool,
    /// A cursor is forgotten once so many pages were read with it.
    pub(super) pages_of_a_cursor: Mutex<Option<usize>>,
    /// What is more is counted as 10,000.
    pub(super) counted_max: Mutex<Option<usize>>,
    pub(super) clock_ahead: Mutex<SignedDuration>,
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Standin {
    pub(super) async fn serve(self: &Arc<Self>) -> String {
        let fake = Arc::clone(self);
        let handler = move |uri: Uri| {
            let fake = Arc::clone(&fake);
            async move { fake.answer(uri.query().unwrap_or_default()) }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let app = Router::new().fallback(handler);
        tokio::spawn(async move { axum::serve(listener, app).await });
        format!("http://{address}/tracking/2026-07")
    }

    pub(super) fn put(&self, id: &str, updated_at: Timestamp, tag: &str) {
        let at = updated_at.strftime("%Y-%m-%dT%H:%M:%S+00:00");
        let json = format!(r#"{{"id":"{id}","updated_at":"{at}","tag":"{tag}","tracked_count":1}}"#);
        let mut trackings = locked(&self.trackings);
        let start = format!(r#"{{"id":"{id}","#);
        trackings.retain(|(_, known)| !known.starts_with(&start));
        trackings.push((updated_at, json));
        trackings.sort();
    }

    fn answer(&self, query: &str) -> (StatusCode, HeaderMap, String) {
        let asked: HashMap<String, String> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| {
                (name.to_owned(), percent_decode_str(value).decode_utf8_lossy().into_owned())
            })
            .collect();
        let number = locked(&self.asked).len();
        locked(&self.asked).push(asked.clone());
        let fault = locked(&self.faults).get(&number).copied();
        let mut headers = HeaderMap::new();
        let now = Timestamp::now() + *locked(&self.clock_ahead);
        let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        headers.insert(HeaderName::from_static("date"), date.parse().expect("a date"));
        if let Some(Fault::Status(status)) = fault {
            return (StatusCode::from_u16(status).expect("a status"), headers, String::new());
        }
        if self.has_forgotten(&asked) {
            return (StatusCode::BAD_REQUEST, headers, String::new());
        }
        let body = self.list(&asked, matches!(fault, Some(Fault::SameCursor)));
        let length = if matches!(fault, Some(Fault::Cut)) { body.len() / 2 } else { body.len() };
        (StatusCode::OK, headers, body[..length].to_owned())
    }

    fn has_forgotten(&self, asked: &HashMap<String, String>) -> bool {
        let number = |name: &str| asked.get(name).map(|text| text.parse::<usize>().expect("a number"));
        let pages_max = *locked(&self.pages_of_a_cursor);
        let pages = number("cursor").zip(number("limit")).map(|(start, limit)| start / limit);
        pages.zip(pages_max).is_some_and(|(pages, max)| pages > max)
    }

    fn list(&self, asked: &HashMap<String, String>, is_same_cursor: bool) -> String {
        let bound = |name: &str| asked.get(name).map(|text| text.parse::<Timestamp>().expect("a date"));
        let (from, until) = (bound("updated_at_min"), bound("updated_at_max"));
        let number = |name: &str| asked.get(name).map(|text| text.parse::<usize>().expect("a number"));
        let limit = number("limit").unwrap_or(100);
        let trackings = locked(&self.trackings);
        let found: Vec<&str> = trackings
            .iter()
            .filter(|(at, _)| from.is_none_or(|from| *at >= from) && until.is_none_or(|until| *at <= until))
            .map(|(_, json)| json.as_str())
            .collect();
        let page = number("page").unwrap_or(1);
        let start = number("cursor").unwrap_or((page - 1) * limit);
        let some: Vec<&str> = found.iter().skip(start).take(limit).copied().collect();
        let has_next = start + limit < found.len();
        let is_counted = locked(&self.counted_max).is_none_or(|max| found.len() <= max);
        let total = if is_counted { found.len() } else { 10_000 };
        let pagination = if self.by_pages.load(Ordering::Relaxed) {
            format!(r#""page":{page},"limit":{limit},"total":{total},"has_next_page":{has_next}"#)
        } else {
            let cursor = match has_next {
                true if is_same_cursor => start.to_string(),
                true => (start + limit).to_string(),
                false => String::new(),
            };
            format!(r#""total":{total},"next_cursor":"{cursor}","has_next_page":{has_next}"#)
        };
        format!(
            r#"{{"meta":{{"code":200}},"data":{{"pagination":{{{pagination}}},"trackings":[{}]}}}}"#,
            some.join(",")
        )
    }

    pub(super) fn fail(&self, request: usize, fault: Fault) {
        locked(&self.faults).insert(request, fault);
    }

    pub(super) fn asked(&self) -> Vec<HashMap<String, String>> {
        locked(&self.asked).clone()
    }

    /// One parameter of each request.
    pub(super) fn asked_for(&self, name: &str) -> Vec<Option<String>> {
        self.asked().iter().map(|asked| asked.get(name).cloned()).collect()
    }
}

/// A queue that can be away, and that takes no more than it is told.
pub(super) struct Moody {
    pub(super) queue: Arc<dyn Queue>,
    pub(super) is_away: AtomicBool,
    pub(super) bytes_max: usize,
}

#[async_trait]
impl Queue for Moody {
    async fn send(&self, messages: Vec<String>) -> Vec<Result<Enqueued, SendError>> {
        if self.is_away.load(Ordering::Relaxed) {
            return messages.iter().map(|_| Err(SendError::Unavailable("away".to_owned()))).collect();
        }
        self.queue.send(messages).await
    }

    async fn receive(
        &self,
        max: usize,
        wait: Duration,
        lease: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        self.queue.receive(max, wait, lease).await
    }

    async fn extend(&self, leases: &[Lease], lease: Duration) -> Vec<Result<(), QueueError>> {
        self.queue.extend(leases, lease).await
    }

    async fn delete(&self, leases: &[Lease]) -> Vec<Result<(), QueueError>> {
        self.queue.delete(leases).await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        self.queue.depth().await
    }

    async fn probe(&self) -> Result<(), QueueError> {
        self.queue.probe().await
    }

    fn message_bytes_max(&self) -> usize {
        self.bytes_max
    }

    fn kind(&self) -> &'static str {
        self.queue.kind()
    }

    async fn close(&self) {
        self.queue.close().await;
    }
}
