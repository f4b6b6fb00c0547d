//! `make overload`: more than the queue takes. SQS is throttled to 500 messages a second, so that two cores can play
//! both sides, and requests come at 1, 2, 5 and 10 times that, whether or not they are answered.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use waybill::event::line;
use waybill::ops::aws::standin_config;
use waybill::queue::Queue;
use waybill::queue::sqs::{SqsOptions, SqsQueue};

use crate::openloop::{self, Outcome};
use crate::process::{Measured, WAYBILL, pinned};
use crate::report::Report;
use crate::running::{Ports, SECRET, signed};
use crate::standin::{Standin, StandinOptions};

const CAPACITY: f64 = 500.0;
const STEPS: [f64; 4] = [1.0, 2.0, 5.0, 10.0];
/// Of a body beside its envelope; AfterShip's median is 8 to 11 kB.
const PADDING: usize = 2_000;

/// A signed event with an id of its own.
fn event() -> (String, Vec<u8>) {
    let id = uuid::Uuid::new_v4().to_string();
    let body = format!(
        r#"{{"event":"tracking_update","event_id":"{id}","msg":{{"id":"t{}","tag":"InTransit","note":"{}"}}}}"#,
        fastrand::u32(..1_000),
        "x".repeat(PADDING)
    );
    let request = signed(body.as_bytes());
    (id, request)
}

pub async fn run(seconds: u64, report: &mut Report) {
    let standin = Standin::start(StandinOptions { latency: Duration::from_millis(10) }).await;
    standin.state().create_queue("events", &[]);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let ports = dir.path().join("ports.json");
    let mut command =
        pinned(0, WAYBILL, &["receive", "--ports-file", &ports.display().to_string(), "--drain-delay", "0s"]);
    command
        .current_dir(dir.path())
        .env("WAYBILL_WEBHOOK_SECRETS", SECRET)
        .env("WAYBILL_LISTEN", "127.0.0.1:0")
        .env("WAYBILL_OPS_LISTEN", "off")
        .env("WAYBILL_QUEUE", standin.queue_url("events"))
        .env("WAYBILL_LOG", "error")
        .env("AWS_ENDPOINT_URL_SQS", standin.endpoint())
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "bench")
        .env("AWS_SECRET_ACCESS_KEY", "bench");
    let server = Measured::start(command);
    let address = Ports::told(&ports).await.listen();
    // Everything is warm before it is measured.
    openloop::run(address, CAPACITY / 2.0, Duration::from_secs(2), event).await;
    standin.faults().set_send_rate(Some(CAPACITY));

    let mut acknowledged = std::collections::BTreeSet::new();
    let mut at_capacity = f64::NAN;
    for factor in STEPS {
        let mut outcome =
            openloop::run(address, CAPACITY * factor, Duration::from_secs(seconds), event).await;
        let ended = Instant::now();
        let recovery = recovery(address, ended).await;
        if factor == 1.0 {
            at_capacity = outcome.goodput();
        }
        add(report, factor, &outcome, at_capacity, recovery, server.usage().memory_peak);
        acknowledged.append(&mut outcome.accepted);
    }
    standin.faults().set_send_rate(None);
    let stored = stored(&standin).await;
    let lost = acknowledged.difference(&stored).count();
    server.stop();
    report.add(
        "acknowledged events",
        vec![("all", acknowledged.len().to_string()), ("lost", lost.to_string())],
    );
    assert_eq!(lost, 0, "acknowledged events are not in the queue");
}

fn add(
    report: &mut Report,
    factor: f64,
    outcome: &Outcome,
    at_capacity: f64,
    recovery: Duration,
    memory: u64,
) {
    let total = outcome.accepted.len() as u64 + outcome.refused + outcome.other + outcome.unanswered;
    report.add(
        &format!("{factor} x 500/s"),
        vec![
            ("requests", total.to_string()),
            ("goodput/s", format!("{:.0}", outcome.goodput())),
            ("of 1x", format!("{:.0} %", outcome.goodput() / at_capacity * 100.0)),
            ("p50 ms", format!("{:.0}", outcome.accepted_at(0.5))),
            ("p99 ms", format!("{:.0}", outcome.accepted_at(0.99))),
            ("503 p50 ms", format!("{:.1}", outcome.refused_at(0.5))),
            ("503 p99 ms", format!("{:.1}", outcome.refused_at(0.99))),
            ("503", outcome.refused.to_string()),
            ("Retry-After", outcome.with_retry_after.to_string()),
            ("else", (outcome.other + outcome.unanswered).to_string()),
            ("recovery s", format!("{:.1}", recovery.as_secs_f64())),
            ("peak MiB", format!("{:.0}", memory as f64 / 1_048_576.0)),
        ],
    );
}

/// From the end of the load until ten requests in a row are accepted, each within 250 ms.
async fn recovery(address: SocketAddr, ended: Instant) -> Duration {
    let mut in_a_row = 0;
    while in_a_row < 10 {
        assert!(ended.elapsed() < Duration::from_secs(60), "it does not recover");
        let outcome = openloop::run(address, 20.0, Duration::from_millis(50), event).await;
        in_a_row =
            if outcome.accepted.len() == 1 && outcome.accepted_at(1.0) < 250.0 { in_a_row + 1 } else { 0 };
    }
    ended.elapsed()
}

/// Ids of all events in the queue.
async fn stored(standin: &Standin) -> std::collections::BTreeSet<String> {
    let sdk = standin_config(&standin.endpoint());
    let queue =
        SqsQueue::open(&sdk, standin.queue_url("events"), SqsOptions::default()).await.expect("the queue");
    let mut ids = std::collections::BTreeSet::new();
    loop {
        let received = queue.receive(100, Duration::ZERO, Duration::from_secs(600)).await.expect("receive");
        if received.is_empty() {
            return ids;
        }
        for delivery in &received {
            let event = line::decode(&line::from_message(&delivery.body).expect("ours")).expect("ours");
            ids.extend(event.event_id);
        }
        let leases: Vec<_> = received.into_iter().map(|delivery| delivery.lease).collect();
        queue.delete(&leases).await;
    }
}
