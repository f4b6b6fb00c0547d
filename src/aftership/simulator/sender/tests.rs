//! The sender against a small server on loopback.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::post;
use tokio::net::TcpListener;

use jiff::Timestamp;

use crate::aftership::signature::{Product, Secrets, Verifier};
use crate::aftership::simulator::{Shelf, Simulator, Snapshot};

use super::*;

const SECRET: &str = "a-secret-for-tests-only";

/// Every body that arrived and verified, with the number of times.
type Arrived = Arc<Mutex<HashMap<Vec<u8>, u32>>>;

/// Answers what `answer` makes of the number of times a body has come.
async fn server(answer: fn(u32) -> StatusCode) -> (String, Arrived) {
    let arrived = Arrived::default();
    let seen = Arc::clone(&arrived);
    let verifier = Verifier::new(&[Product::Tracking], Secrets::new(vec![SECRET.to_owned()]));
    let handler = move |headers: HeaderMap, body: Bytes| async move {
        let verified = verifier.claim(&headers).and_then(|claim| verifier.verify(&claim, &body));
        if verified.is_err() {
            return StatusCode::UNAUTHORIZED;
        }
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let times = seen.entry(body.to_vec()).or_default();
        *times += 1;
        answer(*times)
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let app = Router::new().route("/hook", post(handler));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (format!("http://{address}/hook"), arrived)
}

fn options(url: String) -> SendOptions {
    let simulator = SimulatorOptions { duplicate_rate: 0.0, ..SimulatorOptions::default() };
    SendOptions {
        url,
        secret: SECRET.to_owned(),
        count: Some(50),
        retry_scale: 0.0,
        simulator,
        ..SendOptions::default()
    }
}

fn times(arrived: &Arrived) -> Vec<u32> {
    arrived.lock().unwrap_or_else(PoisonError::into_inner).values().copied().collect()
}

/// What has happened once the events of these options are sent.
fn expected(options: &SendOptions) -> Vec<Snapshot> {
    let mut simulator =
        Simulator::new(options.seed, SimulatorOptions { has_snapshots: true, ..options.simulator.clone() });
    let mut shelf = Shelf::default();
    for _ in 0..options.count.expect("a count") {
        let delivery = simulator.next().expect("endless");
        for happened in simulator.take_unsent().iter().chain([&delivery]) {
            shelf.put(happened);
        }
    }
    shelf.snapshots().cloned().collect()
}

fn lying_on(shelf: &SharedShelf) -> Vec<Snapshot> {
    shelf.lock().unwrap_or_else(PoisonError::into_inner).snapshots().cloned().collect()
}

#[test]
fn gaps_follow_the_published_table() {
    let gaps: Vec<u64> =
        (1..).map_while(|attempts| retry_gap(attempts, 1.0)).map(|gap| gap.as_secs()).collect();

    assert_eq!(gaps.len(), 13);
    assert_eq!(gaps[..4], [30, 60, 120, 240]);
    assert_eq!(gaps.iter().sum::<u64>(), 245_730);
    assert_eq!(retry_gap(1, 0.001), Some(Duration::from_millis(30)));
    assert_eq!(retry_gap(13, f64::INFINITY), Some(GAP_MAX));
    assert_eq!(retry_gap(1, f64::NAN), Some(Duration::ZERO));
}

#[tokio::test]
async fn every_event_arrives_signed() {
    let (url, arrived) = server(|_| StatusCode::OK).await;
    let mut progress = Vec::new();

    let report =
        run(options(url), |settled| progress.push(settled), CancellationToken::new()).await.expect("sent");

    assert_eq!(report, SendReport { sent: 50, accepted: 50, refused: 0, unreachable: 0 });
    assert_eq!(times(&arrived), [1; 50]);
    assert_eq!(progress, (1..=50).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_fails_is_sent_again_with_the_same_bytes() {
    let (url, arrived) =
        server(|times| if times < 3 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }).await;

    let report = run(options(url), |_| {}, CancellationToken::new()).await.expect("sent");

    assert_eq!(report.accepted, 50);
    assert_eq!(times(&arrived), [3; 50]);
    let bodies = arrived.lock().unwrap_or_else(PoisonError::into_inner);
    let ids: HashSet<String> = bodies
        .keys()
        .filter_map(|body| crate::aftership::webhook::read(body).ok().and_then(|webhook| webhook.event_id))
        .collect();
    assert_eq!(ids.len(), 50);
}

#[tokio::test]
async fn after_fourteen_attempts_an_event_is_given_up() {
    let (url, arrived) = server(|_| StatusCode::BAD_GATEWAY).await;

    let report = run(options(url), |_| {}, CancellationToken::new()).await.expect("sent");

    assert_eq!(report, SendReport { sent: 50, accepted: 0, refused: 0, unreachable: 50 });
    assert_eq!(times(&arrived), [ATTEMPTS_MAX; 50]);
}

#[tokio::test]
async fn a_wrong_secret_is_refused_at_once() {
    let (url, arrived) = server(|_| StatusCode::OK).await;
    let options = SendOptions { secret: "another-secret".to_owned(), ..options(url) };

    let report = run(options, |_| {}, CancellationToken::new()).await.expect("sent");

    assert_eq!(report, SendReport { sent: 50, accepted: 0, refused: 50, unreachable: 0 });
    assert!(times(&arrived).is_empty());
}

#[tokio::test]
async fn a_patient_sender_repeats_what_is_refused_as_well() {
    let (url, arrived) = server(|times| if times < 3 { StatusCode::NOT_FOUND } else { StatusCode::OK }).await;
    let options = SendOptions { is_patient_with_4xx: true, ..options(url) };

    let report = run(options, |_| {}, CancellationToken::new()).await.expect("sent");

    assert_eq!(report, SendReport { sent: 50, accepted: 50, refused: 0, unreachable: 0 });
    assert_eq!(times(&arrived), [3; 50]);
}

#[tokio::test]
async fn events_land_on_the_shelf_whatever_becomes_of_their_webhooks() {
    type Answer = fn(u32) -> StatusCode;
    let answers: [(&str, Answer); 3] = [
        ("accepted", |_| StatusCode::OK),
        ("refused", |_| StatusCode::BAD_REQUEST),
        ("given up", |_| StatusCode::BAD_GATEWAY),
    ];
    for (fate, answer) in answers {
        let (url, _) = server(answer).await;
        let shelf = SharedShelf::default();
        let mut options = SendOptions { shelf: Some(Arc::clone(&shelf)), ..options(url) };
        options.simulator.poison_rate = 0.1;
        options.simulator.late_rate = 0.1;
        let expected = expected(&options);

        let report = run(options, |_| {}, CancellationToken::new()).await.expect("sent");

        assert_eq!(report.sent, 50);
        assert!(expected.len() > 3);
        assert_eq!(lying_on(&shelf), expected, "{fate}");
    }
}

#[tokio::test]
async fn what_nobody_is_told_of_lands_on_the_shelf_too() {
    let shelf = SharedShelf::default();
    let options = SendOptions { shelf: Some(Arc::clone(&shelf)), ..options(String::new()) };
    let mut progress = Vec::new();

    let happened = happen(&options, |number| progress.push(number), CancellationToken::new()).await;

    assert_eq!(happened, 50);
    assert_eq!(progress, (1..=50).collect::<Vec<_>>());
    assert_eq!(lying_on(&shelf), expected(&options));
}

#[tokio::test]
async fn a_stop_ends_what_would_happen_for_ever() {
    let stop = CancellationToken::new();
    let token = stop.clone();
    let options = SendOptions { count: None, rate: Some(1e4), ..options(String::new()) };
    let stop_at_ten = move |number| {
        if number == 10 {
            token.cancel();
        }
    };

    let happened = happen(&options, stop_at_ten, stop).await;

    assert_eq!(happened, 10);
}

#[tokio::test]
async fn in_live_time_what_happens_is_of_now() {
    let shelf = SharedShelf::default();
    let mut options = SendOptions { shelf: Some(Arc::clone(&shelf)), ..options(String::new()) };
    options.simulator.is_live = true;
    options.clock_skew = SignedDuration::from_hours(5);

    let begun = Timestamp::now().as_second();
    happen(&options, |_| {}, CancellationToken::new()).await;
    let ended = Timestamp::now().as_second();

    let hours = 5 * 3600;
    let lying = lying_on(&shelf);
    assert!(lying.len() > 10);
    for snapshot in lying {
        assert!((begun + hours..=ended + hours).contains(&snapshot.updated_at.as_second()));
    }
}

#[tokio::test]
async fn a_stop_ends_an_endless_sending() {
    let (url, arrived) = server(|_| StatusCode::OK).await;
    let stop = CancellationToken::new();
    let token = stop.clone();
    let stop_at_ten = move |settled| {
        if settled == 10 {
            token.cancel();
        }
    };

    let report = run(SendOptions { count: None, ..options(url) }, stop_at_ten, stop).await.expect("sent");

    assert!(report.sent >= 10 && report.accepted == report.sent);
    assert_eq!(times(&arrived).len() as u64, report.sent);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_the_next_attempt() {
    // A port that nobody listens on any more.
    let closed =
        TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("an address");
    let stop = CancellationToken::new();
    let options =
        SendOptions { retry_scale: 1.0, rate: Some(1e6), ..options(format!("http://{closed}/hook")) };
    let sending = run(options, |_| {}, stop.clone());
    stop.cancel();

    let report = timeout(Duration::from_secs(10), sending).await.expect("stops promptly").expect("sent");

    assert_eq!(report.accepted, 0);
    assert_eq!(report.unreachable, report.sent);
}

#[tokio::test]
async fn only_http_addresses_are_taken() {
    for url in ["", "/hook", "ftp://127.0.0.1/", "127.0.0.1:8080", "not a url"] {
        let result = run(options(url.to_owned()), |_| {}, CancellationToken::new()).await;
        assert!(matches!(result, Err(SendError::Url(_))), "{url:?}");
    }
}
