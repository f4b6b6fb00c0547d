//! Accepts connections, serves them, and lets them go.

use std::any::Any;
use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::post;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tower_http::catch_panic::{CatchPanic, ResponseForPanic};
use tracing::{info, warn};

use crate::ops::metrics::{self, Outcome};
use crate::ops::retry::Backoff;
use crate::ops::shutdown::Shutdown;

use super::answer::{self, Refusal};
use super::connection::{Activity, Deadlines, Linger, Phase, Verdict, Watched};
use super::limits::{connections_cap, open_files_max};
use super::{MOVER, PATH, QUEUE, Shared, webhook};

/// How often the watchdog is fed and the gauges are set.
const TICK: Duration = Duration::from_secs(1);

/// Most bytes read from, or buffered for, one connection at a time.
const BUFFER_BYTES_MAX: usize = 32 * 1024;

/// Most connections that are taken out of the backlog when the listener closes; no backlog of ours is longer.
const BACKLOG_MAX: usize = 4_096;

/// Connections that are told "full" and read to their end at once, and how far each.
const TURNED_AWAY_MAX: usize = 64;
const TURNED_AWAY: Linger = Linger { time: Duration::from_secs(1), bytes: 256 * 1024 };

/// The routes, with panics turned into answers.
type Service = CatchPanic<Router, PanicAnswer>;

/// Makes the answer to a panic.
#[derive(Clone)]
struct PanicAnswer;

impl ResponseForPanic for PanicAnswer {
    type ResponseBody = axum::body::Body;

    fn response_for_panic(&mut self, panic: Box<dyn Any + Send>) -> Response {
        panicked(panic)
    }
}

/// Serves until told to end, then drains.
pub(super) async fn serve(shared: Arc<Shared>, listener: TcpListener, shutdown: Shutdown) {
    let files = open_files_max();
    let cap = connections_cap(shared.settings.connections_max, files);
    if cap < shared.settings.connections_max {
        warn!(cap, files, "holding fewer connections than allowed: raise the open-file limit (ulimit -n)");
    }
    shared.health.set_ready(QUEUE, Ok(()));
    metrics::receive_begins();
    let probing = tokio::spawn(probe(Arc::clone(&shared)));
    let mut acceptor = Acceptor::new(Arc::clone(&shared), cap);

    tokio::select! {
        () = acceptor.run(&listener) => {}
        () = shutdown.draining() => {}
    }
    // Load balancers need a moment to notice; until then requests are as welcome as ever.
    shared.health.set_draining();
    tokio::select! {
        () = acceptor.run(&listener) => {}
        () = tokio::time::sleep(shared.settings.drain_delay) => {}
        () = shutdown.stopped() => {}
    }
    acceptor.take_backlog(listener);
    shared.closing.cancel();
    acceptor.connections.close();
    shared.sending.close();
    let finish = async {
        acceptor.connections.wait().await;
        shared.sending.wait().await;
    };
    tokio::select! {
        () = finish => {}
        () = tokio::time::sleep(shared.settings.finish_max) => {
            warn!(connections = acceptor.connections.len(), "some requests did not finish in time");
        }
        () = shutdown.stopped() => {}
    }
    acceptor.note();
    shared.health.rest(MOVER);
    // It may be waiting for a queue that is away, and nobody waits for what it would say.
    probing.abort();
    info!(receive.accepted = shared.received.accepted(), "receiving has ended");
}

/// Brings readiness back after the queue failed, without risking a webhook for it.
async fn probe(shared: Arc<Shared>) {
    let check = || async { shared.queue.probe().await.map_err(|error| error.to_string()) };
    let health = shared.health.clone();
    health.probe(QUEUE, shared.settings.probe_every, shared.closing.clone(), check).await;
}

struct Acceptor {
    shared: Arc<Shared>,
    service: Service,
    http: http1::Builder,
    deadlines: Deadlines,
    connections: TaskTracker,
    connections_max: usize,
    backoff: Backoff,
    tick: Interval,
    accepted_before: u64,
    is_full: bool,
    turned_away: Arc<Semaphore>,
}

impl Acceptor {
    fn new(shared: Arc<Shared>, connections_max: usize) -> Self {
        let settings = &shared.settings;
        let mut http = http1::Builder::new();
        // The watchdog does this better, see `connection`.
        http.header_read_timeout(None::<Duration>)
            .max_headers(settings.headers_max)
            .max_header_size(settings.header_bytes_max)
            .max_buf_size(BUFFER_BYTES_MAX.max(settings.header_bytes_max));
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Acceptor {
            service: CatchPanic::custom(router(Arc::clone(&shared)), PanicAnswer),
            http,
            deadlines: Deadlines { silence: settings.idle_timeout, head: settings.header_deadline },
            connections: TaskTracker::new(),
            connections_max,
            backoff: Backoff::new(Duration::from_millis(10), Duration::from_secs(1)),
            tick,
            accepted_before: 0,
            is_full: false,
            turned_away: Arc::new(Semaphore::new(TURNED_AWAY_MAX)),
            shared,
        }
    }

    /// Accepts for ever. Safe to drop at any time.
    async fn run(&mut self, listener: &TcpListener) {
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        self.backoff.reset();
                        self.take(stream);
                    }
                    Err(error) if is_of_the_peer(&error) => {}
                    Err(error) => {
                        // Out of files or memory: going on at once would only burn the processor.
                        warn!(%error, "cannot accept a connection, trying on");
                        tokio::time::sleep(Duration::from_millis(5) + self.backoff.next()).await;
                    }
                },
                _ = self.tick.tick() => self.note(),
            }
        }
    }

    /// Closes the listener. Whoever has connected and was not accepted yet would be reset by that, with the request that
    /// may be there already, so they are taken first.
    fn take_backlog(&mut self, listener: TcpListener) {
        // The system is asked, not the runtime: that may not have heard of the newest ones. It does not block.
        let Ok(listener) = listener.into_std() else { return };
        for _ in 0..BACKLOG_MAX {
            match listener.accept() {
                Ok((stream, _)) => {
                    let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                    if let Ok(stream) = stream {
                        self.take(stream);
                    }
                }
                Err(error) if is_of_the_peer(&error) => {}
                // None is left, or nothing can be done for them.
                Err(_) => return,
            }
        }
    }

    fn take(&mut self, stream: TcpStream) {
        if self.connections.len() >= self.connections_max {
            metrics::receive_connection_refused();
            if !self.is_full {
                warn!(
                    connections = self.connections_max,
                    "as many connections as allowed: turning others away"
                );
                self.is_full = true;
            }
            self.turn_away(stream);
            return;
        }
        self.is_full = false;
        // Answers are one small packet; waiting for more of it would only delay it.
        let _ = stream.set_nodelay(true);
        let serving = serve_connection(
            stream,
            self.http.clone(),
            self.service.clone(),
            self.deadlines,
            Arc::clone(&self.shared),
        );
        self.connections.spawn(serving);
    }

    /// Says "full" and closes. Closing on a request that is still on its way would reset the connection, and the
    /// answer with it, so that is read for a moment; but only so many at once.
    fn turn_away(&self, stream: TcpStream) {
        // The answer fits any socket's buffer.
        let _ = stream.try_write(&Refusal::Full.raw());
        let Ok(place) = Arc::clone(&self.turned_away).try_acquire_owned() else { return };
        let mut leaving = Watched::refused(stream, TURNED_AWAY);
        tokio::spawn(async move {
            let _ = leaving.shutdown().await;
            drop(place);
        });
    }

    /// Feeds the watchdog and sets the gauges.
    fn note(&mut self) {
        self.shared.health.beat(MOVER);
        let (requests, bytes) = self.shared.places.taken();
        metrics::receive_in_flight(requests as u64, bytes as u64, self.connections.len() as u64);
        let accepted = self.shared.received.accepted();
        if accepted != self.accepted_before {
            self.accepted_before = accepted;
            metrics::mover_last_success(MOVER, Timestamp::now());
        }
    }
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route(PATH, post(webhook::webhook).fallback(webhook::method_not_allowed))
        .fallback(webhook::not_found)
        .with_state(shared)
}

/// A panic costs its own request and no other. What it said may hold what was received, so it is not looked at.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    metrics::receive_answered(Outcome::Internal, Duration::ZERO);
    Refusal::Internal.response()
}

async fn serve_connection(
    stream: TcpStream,
    http: http1::Builder,
    routes: Service,
    deadlines: Deadlines,
    shared: Arc<Shared>,
) {
    let activity = Arc::new(Activity::new(Instant::now()));
    let told = Arc::clone(&activity);
    let health = shared.health.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        told.request_begins();
        let has_body = !request.body().is_end_stream();
        let answering = routes.clone().oneshot(request);
        let (told, health) = (Arc::clone(&told), health.clone());
        async move {
            let mut response = answering.await?;
            // The only way to tell a client that keeps its connection to use it no more.
            if health.is_draining() {
                answer::close(response.headers_mut());
            }
            told.request_ends(has_body && !response.status().is_success());
            Ok::<_, Infallible>(response)
        }
    });
    let io = TokioIo::new(Watched::new(stream, Arc::clone(&activity)));
    let mut connection = http.serve_connection(io, service);
    let mut closing = pin!(shared.closing.cancelled());
    let mut closing_at = None;
    let mut alarm = pin!(tokio::time::sleep(deadlines.head.min(deadlines.silence)));
    loop {
        tokio::select! {
            biased;
            outcome = &mut connection => {
                if let Err(error) = outcome {
                    count_failure(&error);
                }
                return;
            }
            () = &mut closing, if closing_at.is_none() => {
                let now = Instant::now();
                closing_at = Some(now);
                // Only a request at work is sure to be the last. hyper would close a silent connection here, and one
                // whose next head has only begun, although a request is on its way: they get a moment for it.
                if activity.phase().0 == Phase::Work {
                    Pin::new(&mut connection).graceful_shutdown();
                }
                alarm.as_mut().reset(now);
            }
            () = &mut alarm => {
                match deadlines.judge(activity.phase(), Instant::now(), closing_at) {
                    Verdict::Wait(until) => alarm.as_mut().reset(until),
                    Verdict::Silent => return,
                    verdict @ (Verdict::HeadTooSlow | Verdict::HeadTooLate) => {
                        let (refusal, took) = match verdict {
                            Verdict::HeadTooSlow => (Refusal::HeadTimeout, deadlines.head),
                            _ => (Refusal::Draining, Duration::ZERO),
                        };
                        metrics::receive_answered(refusal.outcome(), took);
                        let stream = connection.into_parts().io.into_inner().into_inner();
                        // Whoever sends a head so slowly may not wait for the answer either.
                        let _ = stream.try_write(&refusal.raw());
                        return;
                    }
                }
            }
        }
    }
}

/// Requests that hyper answered by itself, or could not.
fn count_failure(error: &hyper::Error) {
    if error.is_parse_too_large() {
        metrics::receive_answered(Outcome::HeadTooLarge, Duration::ZERO);
    } else if error.is_parse() {
        metrics::receive_answered(Outcome::HeadUnreadable, Duration::ZERO);
    }
}

/// The fault of one connection, not ours.
fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
