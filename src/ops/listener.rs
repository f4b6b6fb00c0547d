//! The operators' listener: few connections, none of which can be held open for nothing.
//!
//! Whoever reaches it may be anybody in the network, and who holds its connections keeps health checks away. axum's
//! own `serve` sets no limit of time or number.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower_http::timeout::RequestBodyTimeoutLayer;
use tracing::{debug, warn};

/// What a client of the listener may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once; others wait until one ends.
    pub connections_max: usize,
    /// From the last answer, or from connecting, until the next head is there.
    pub head: Duration,
    /// Between two parts of a body.
    pub body: Duration,
    /// How long an accept waits after it failed, such as for want of file descriptors.
    pub pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections_max: 256,
            // A scraper that comes every minute keeps its connection.
            head: Duration::from_secs(75),
            body: Duration::from_secs(10),
            pause: Duration::from_millis(100),
        }
    }
}

/// Serves for ever. Safe to drop; connections then end when their peers close them or their time is up.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head).max_headers(64).max_buf_size(64 * 1024);
    let service = TowerToHyperService::new(router.layer(RequestBodyTimeoutLayer::new(limits.body)));
    let places = Arc::new(Semaphore::new(limits.connections_max));
    loop {
        // The backlog of the system holds those for whom there is no place yet.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let (stream, peer): (TcpStream, SocketAddr) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "the operators' listener cannot accept a connection, trying on");
                tokio::time::sleep(limits.pause).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let serving = http.serve_connection(TokioIo::new(stream), service.clone());
        tokio::spawn(async move {
            if let Err(error) = serving.await {
                debug!(%peer, %error, "a connection of the operators' listener ended");
            }
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn start(limits: Limits) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new()
            .route("/", get(|| async { "here" }))
            .route("/", post(|body: axum::body::Bytes| async move { format!("{} bytes", body.len()) }));
        tokio::spawn(serve(listener, router, limits));
        address
    }

    /// What the listener says until it closes.
    async fn said(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("write");
        let mut answer = String::new();
        let reading = stream.read_to_string(&mut answer);
        tokio::time::timeout(Duration::from_secs(30), reading).await.expect("it closes").expect("read");
        answer
    }

    #[tokio::test]
    async fn who_sends_nothing_or_half_is_let_go_and_makes_room() {
        let short = Duration::from_millis(200);
        let address =
            start(Limits { connections_max: 2, head: short, body: short, ..Limits::default() }).await;

        let (silent, half_a_head, half_a_body, other) = tokio::join!(
            said(address, ""),
            said(address, "GET / HTTP/1.1\r\nHost: x"),
            said(address, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"),
            said(address, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
        );

        assert_eq!(silent, "");
        assert!(!half_a_head.contains("200 OK"), "{half_a_head}");
        assert!(half_a_body.starts_with("HTTP/1.1 400"), "{half_a_body}");
        assert!(other.ends_with("here"), "{other}");
    }
}
