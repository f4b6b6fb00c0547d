//! A running program beside a bench: where it listens, what it counts, and events for it.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use jiff::Timestamp;
use waybill::aftership::signature::sign;
use waybill::aftership::simulator::{Simulator, SimulatorOptions};
use waybill::ops::http;

/// Signs all events of the benches.
pub const SECRET: &str = "bench-secret-0123456789abcdef01";

/// What a ports file tells, once it is there.
pub struct Ports(serde_json::Value);

impl Ports {
    pub async fn told(path: &Path) -> Ports {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Ok(text) = std::fs::read_to_string(path) {
                return Ports(serde_json::from_str(&text).expect("the ports file is written whole"));
            }
            assert!(Instant::now() < deadline, "{} is not written", path.display());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The public listener of who receives.
    pub fn listen(&self) -> SocketAddr {
        self.of("listen")
    }

    /// The operators' listener.
    pub fn ops(&self) -> SocketAddr {
        self.of("ops")
    }

    fn of(&self, name: &str) -> SocketAddr {
        self.0[name].as_str().and_then(|text| text.parse().ok()).expect("an address")
    }
}

/// All metrics as text.
pub async fn metrics(client: &http::Client, ops: SocketAddr) -> String {
    let uri: axum::http::Uri = format!("http://{ops}/metrics").parse().expect("an address");
    let request = axum::http::Request::get(uri).body(Full::default()).expect("a request");
    let answer = client.request(request).await.expect("an answer");
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    String::from_utf8(body.to_vec()).expect("text")
}

/// All series whose names begin so, together.
pub fn sum(metrics: &str, name: &str) -> f64 {
    let lines = metrics.lines().filter(|line| line.starts_with(name));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Each event once, in its turn.
pub fn each_once() -> SimulatorOptions {
    SimulatorOptions {
        duplicate_rate: 0.0,
        late_rate: 0.0,
        start: Timestamp::now(),
        ..SimulatorOptions::default()
    }
}

/// The next event: its id, and its signed request as it goes over the wire.
pub fn request(simulator: &RefCell<Simulator>) -> (String, Vec<u8>) {
    let delivery = simulator.borrow_mut().next().expect("it never ends");
    (delivery.event_id.expect("an event has an id"), signed(&delivery.body))
}

/// A signed request as it goes over the wire.
pub fn signed(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /webhooks/aftership HTTP/1.1\r\nHost: bench\r\naftership-hmac-sha256: {}\r\nContent-Length: {}\r\n\r\n",
        sign(SECRET, body),
        body.len()
    );
    [head.as_bytes(), body].concat()
}
