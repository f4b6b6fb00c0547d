//! The operators' hand on the movers: a page to look and act by, and the same as JSON for programs.
//!
//! Six pages on the operators' listener, made on the server and whole without a script: *Pipeline*, *Dead letters*,
//! *Trackings*, *Loads*, *Reconciliation*, *Sales*; and `/api/v1`, which `openapi/waybill.yaml` describes. They hold
//! nothing of their own but the last hour of the metrics: what they show is read from the places when it is asked for.
//!
//! It uses places like a mover, and two movers besides: it asks [`crate::replay`] to replay and drop, and
//! [`crate::reconcile`] to compare. Nothing here decides what these do.
//!
//! Promises:
//! - Nothing changes without the token (a demo on loopback has none, and its forms carry a value of the process
//!   instead), a request from our own pages, and a reason, which the audit record keeps: see `session.rs`.
//! - Personal data in a payload is masked until somebody asks for it, which is recorded too.
//! - Nothing that a page shows is taken from another host, and what comes from outside is text on it: see `html.rs`.
//! - Everything has an end: pages and lists, the time of questions, how many are asked at once, the size of requests.
//!   One replay or drop runs at a time.

mod api;
mod ask;
mod chart;
mod dead_letters;
mod fault;
mod history;
mod html;
mod job;
mod letters;
mod loads;
mod overview;
mod page;
mod params;
mod payload;
mod pipeline;
mod preview;
mod reconciliation;
mod replays;
mod sales;
mod search;
mod session;
mod sign_in;
mod trackings;
mod words;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::lake::Lake;
use crate::ops::health::Health;
use crate::ops::metrics;
use crate::queue::Queue;
use crate::reconcile::ReconcileSettings;
use crate::settings::Secret;
use crate::warehouse::Warehouse;

use fault::Fault;
use history::{Ring, SAMPLE_EVERY, Sample};
use job::Jobs;
use page::{Page, Tab, Viewer};
use session::{Actor, Sessions};

pub use session::has_token;

/// Largest request, bytes: forms and orders are small.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// No page takes anything from elsewhere, runs anything of its own text, or stands in another one.
const CONTENT_SECURITY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What the console is made of. A place that this process does not have is `None`, and its pages say so.
#[derive(Clone)]
pub struct ConsoleParts {
    /// How the components are.
    pub health: Health,
    /// What was counted.
    pub metrics: metrics::Handle,
    /// Where replays go.
    pub queue: Option<Arc<dyn Queue>>,
    /// Where dead letters and the audit trail are.
    pub lake: Option<Arc<dyn Lake>>,
    /// What is searched and charted.
    pub warehouse: Option<Arc<dyn Warehouse>>,
    /// Any of them opens everything.
    pub tokens: Vec<Secret>,
    /// The listener is reached from this machine alone: reading needs no token there.
    pub is_loopback: bool,
    /// What p99 of acknowledged to queryable should stay under.
    pub freshness_target: Duration,
    /// How long events may be on their way before a comparison names them.
    pub patience: ReconcileSettings,
    /// A newcomer's demo: on loopback its pages act without a token.
    pub is_demo: bool,
}

/// The console of a process. Clones are one console.
#[derive(Clone)]
pub struct Console(Arc<Inner>);

struct Inner {
    parts: ConsoleParts,
    sessions: Sessions,
    /// What a demo's forms carry.
    csrf: String,
    /// Makes the marks that stand in place of personal data, each time others.
    mask_key: String,
    ring: Mutex<Ring>,
    queries: Semaphore,
    /// Who tries tokens does so one after the other.
    logins: Semaphore,
    jobs: Jobs,
    reports: reconciliation::Reports,
}

impl Console {
    /// A console with an empty hour behind it.
    pub fn new(parts: ConsoleParts) -> Console {
        Console(Arc::new(Inner {
            parts,
            sessions: Sessions::default(),
            csrf: session::random(),
            mask_key: session::random(),
            ring: Mutex::default(),
            queries: Semaphore::new(ask::QUERIES_MAX),
            logins: Semaphore::new(1),
            jobs: Jobs::default(),
            reports: reconciliation::Reports::default(),
        }))
    }

    /// Pages, their files, and the API. Other paths of the listener are left to others.
    pub fn router(&self) -> Router {
        let pages = Router::new()
            .route("/", get(pipeline::page))
            .route("/dead-letters", get(dead_letters::page))
            .route("/dead-letters/replay", get(replays::replay_preview).post(replays::replay))
            .route("/dead-letters/drop", get(replays::drop_preview).post(replays::drop_letters))
            .route("/dead-letters/job", get(replays::job))
            .route("/dead-letters/cancel", post(replays::cancel))
            .route("/dead-letters/{id}", get(dead_letters::letter))
            .route("/dead-letters/{id}/reveal", post(dead_letters::reveal))
            .route("/trackings", get(trackings::page))
            .route("/loads", get(loads::page))
            .route("/reconciliation", get(reconciliation::page))
            .route("/sales", get(sales::page))
            .route("/login", get(sign_in::form).post(sign_in::login))
            .route("/logout", post(sign_in::logout))
            .route("/assets/console.css", get(stylesheet))
            .route("/assets/console.js", get(script))
            .route("/assets/icon.svg", get(icon))
            .route_layer(middleware::from_fn_with_state(self.clone(), guard));
        pages
            .merge(api::routes())
            .route_layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .route_layer(middleware::map_response(with_headers))
            .with_state(self.clone())
    }

    /// Follows the metrics until `stop`, so that pages have an hour to show.
    pub async fn sample(self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(SAMPLE_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stop.cancelled() => return,
            }
            let sample = Sample::read(&self.0.parts.metrics.render(), Timestamp::now());
            self.ring().push(sample);
        }
    }

    fn parts(&self) -> &ConsoleParts {
        &self.0.parts
    }

    fn queries(&self) -> &Semaphore {
        &self.0.queries
    }

    fn jobs(&self) -> &Jobs {
        &self.0.jobs
    }

    /// Nothing that panics runs under this lock, and it is never held while anything is waited for.
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lake(&self) -> Result<&Arc<dyn Lake>, Fault> {
        self.0.parts.lake.as_ref().ok_or_else(|| Fault::not_here("lake"))
    }

    fn is_open(&self, headers: &HeaderMap) -> bool {
        has_token(&self.0.parts.tokens, headers)
    }

    /// Who asks.
    fn actor(&self, headers: &HeaderMap) -> Actor {
        if self.is_open(headers) {
            return Actor::Token;
        }
        if let Some(session) = self.0.sessions.find(headers) {
            return session;
        }
        if self.0.parts.is_demo && self.0.parts.is_loopback {
            return Actor::Demo { csrf: self.0.csrf.clone() };
        }
        Actor::Nobody
    }

    fn viewer(&self, headers: &HeaderMap, here: String) -> Viewer {
        Viewer { actor: self.actor(headers), here }
    }
}

/// Lets in who may read. What they may do, the actions themselves ask.
async fn guard(State(console): State<Console>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let path = request.uri().path();
    let is_loopback = console.parts().is_loopback;
    if is_loopback && !console.is_open(headers) && !session::is_loopback_host(headers) {
        let fault =
            Fault::new(StatusCode::FORBIDDEN, "forbidden", "this console answers to loopback names only")
                .hint("open it as localhost or 127.0.0.1: another name may be somebody else's page");
        let viewer = Viewer { actor: Actor::Nobody, here: "/".to_owned() };
        return page::refused(&viewer, &Page::still(Tab::Login, "Not here"), &fault);
    }
    let needs_token = !is_loopback && path != "/login" && !path.starts_with("/assets/");
    if needs_token && console.actor(headers) == Actor::Nobody {
        let is_reading = request.method() == Method::GET || request.method() == Method::HEAD;
        let here = request.uri().path_and_query().map_or("/", |here| here.as_str());
        return page::see_other(&page::login(if is_reading { here } else { "/" }));
    }
    next.run(request).await
}

/// What every answer says to a browser.
async fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Not `no-referrer`: with it browsers send `Origin: null` with our own forms. Others get nothing either way.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn stylesheet() -> Response {
    file("text/css; charset=utf-8", include_str!("style.css"))
}

async fn script() -> Response {
    file("text/javascript; charset=utf-8", include_str!("console.js"))
}

async fn icon() -> Response {
    file("image/svg+xml", include_str!("icon.svg"))
}

fn file(content_type: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}
