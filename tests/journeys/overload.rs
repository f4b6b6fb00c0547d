//! More comes than the queue takes: what is accepted is kept, what is refused is told when to come again, the queue is
//! still used to the full, and afterwards all is as before. Figures are `make overload`'s.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::support::openloop::{self, Outcome};
use crate::support::pairing::{Pairing, Setup};
use crate::support::waybill::{PATIENCE, event, fresh_id, post, request, sign};

/// Messages a second that SQS takes: few, so that a debug build and its load fit two cores.
const CAPACITY: f64 = 100.0;
const TIME: Duration = Duration::from_secs(5);

fn signed() -> (String, Vec<u8>) {
    let id = fresh_id();
    let body = event(&id, &format!("t{}", fastrand::u32(..50)), "InTransit", "2026-07-09T11:00:00Z");
    let header = format!("aftership-hmac-sha256: {}", sign(body.as_bytes()));
    (id, request(&[header], body.as_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_times_too_much_loses_nothing_and_leaves_nothing_behind() {
    let setup = Setup::start(Pairing::SqsFolderDuckDb).await;
    let deployment = setup.deployment.clone();
    let up = tokio::task::spawn_blocking(move || deployment.start(&["up"])).await.expect("it starts");
    let address = up.listen();
    setup.standin().faults().set_send_rate(Some(CAPACITY));

    let once = openloop::run(address, CAPACITY, TIME, signed).await;
    let ten_times = openloop::run(address, CAPACITY * 10.0, TIME, signed).await;

    for (name, outcome) in [("once", &once), ("ten times", &ten_times)] {
        println!(
            "{name}: {} accepted, {} refused, p99 {:.0} ms, refused p99 {:.0} ms",
            outcome.accepted.len(),
            outcome.refused,
            outcome.accepted_at(0.99),
            outcome.refused_at(0.99)
        );
        assert_eq!((outcome.other, outcome.unanswered), (0, 0), "{name}");
        assert_eq!(outcome.with_retry_after, outcome.refused, "{name}: all refusals say when to come again");
    }
    assert!(ten_times.refused > 1_000, "it was not too much: this proves nothing");
    assert!(goodput(&ten_times) >= 0.8 * goodput(&once), "{ten_times:?}");

    tokio::task::spawn_blocking(move || {
        // All as before, with SQS as slow as it was.
        let deadline = Instant::now() + PATIENCE;
        let mut in_a_row = 0;
        let mut after = BTreeSet::new();
        while in_a_row < 10 {
            assert!(Instant::now() < deadline, "it does not recover");
            let id = fresh_id();
            let body = event(&id, "after", "InTransit", "2026-07-09T11:00:00Z");
            let is_taken = post(address, body.as_bytes()).is_some_and(|answer| answer.status == 200);
            in_a_row = if is_taken { in_a_row + 1 } else { 0 };
            if is_taken {
                after.insert(id);
            }
        }
        setup.standin().faults().set_send_rate(None);
        let acknowledged: BTreeSet<&String> =
            once.accepted.iter().chain(&ten_times.accepted).chain(&after).collect();
        let missing = || {
            let rows = setup.deployment.query("select event_key from raw.tracking_event");
            let found: BTreeSet<&str> = rows.iter().filter_map(|row| row["event_key"].as_str()).collect();
            acknowledged.iter().filter(|id| !found.contains(id.as_str())).count()
        };
        let deadline = Instant::now() + PATIENCE;
        while missing() > 0 {
            assert!(Instant::now() < deadline, "{} acknowledged events are not in the facts", missing());
            std::thread::park_timeout(Duration::from_millis(200));
        }
        drop(up);
    })
    .await
    .expect("the journey ends");
}

fn goodput(outcome: &Outcome) -> f64 {
    outcome.goodput()
}
