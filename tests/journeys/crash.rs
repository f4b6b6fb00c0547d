//! kill -9 at random moments: every acknowledged event is in the facts, once, and right.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::waybill::{Deployment, PATIENCE, Running, event, fresh_id, post};

/// Rounds of killing; `WAYBILL_TEST_ROUNDS` sets more.
const ROUNDS: usize = 20;
/// Trackings that the events are spread over.
const TRACKINGS: usize = 40;

/// What was sent, by event id: its tracking, its update time, and whether it was acknowledged.
type Ledger = Arc<Mutex<BTreeMap<String, Sent>>>;

#[derive(Clone)]
struct Sent {
    tracking: String,
    updated_at: String,
    tag: &'static str,
    is_acknowledged: bool,
}

#[test]
fn after_any_kill_every_acknowledged_event_is_in_the_facts_once() {
    let rounds =
        std::env::var("WAYBILL_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = Deployment::embedded(dir.path());
    let ledger: Ledger = Arc::default();
    let mut random = fastrand::Rng::with_seed(0x57A7);
    println!("seed {:#x}", 0x57A7);

    for round in 0..rounds {
        let mut up = deployment.start(&["up"]);
        let senders = Senders::start(&up, &ledger, round);
        // The moment of the kill is the random thing here: between nothing done and several loads done.
        std::thread::park_timeout(Duration::from_millis(random.u64(20..900)));
        up.kill();
        senders.stop();
    }

    let ledger = ledger.lock().expect("senders are done").clone();
    let acknowledged = ledger.values().filter(|sent| sent.is_acknowledged).count();
    println!("{rounds} kills, {} events sent, {acknowledged} acknowledged", ledger.len());
    assert!(acknowledged >= rounds * 5, "only {acknowledged} events were acknowledged: this proves nothing");

    let up = deployment.start(&["up"]);
    await_everything(&deployment, &ledger);
    check(&deployment, &ledger);
    drop(up);
}

/// Threads that post until told to stop.
struct Senders {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Senders {
    fn start(up: &Running, ledger: &Ledger, round: usize) -> Senders {
        let stop = Arc::new(AtomicBool::new(false));
        let address = up.listen();
        let threads = (0..4)
            .map(|thread| {
                let (stop, ledger) = (Arc::clone(&stop), Arc::clone(ledger));
                std::thread::spawn(move || {
                    let mut count = 0;
                    while !stop.load(Ordering::Relaxed) {
                        count += 1;
                        send(address, &ledger, (round, thread, count));
                    }
                })
            })
            .collect();
        Senders { stop, threads }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a sender fails nothing");
        }
    }
}

fn send(address: std::net::SocketAddr, ledger: &Ledger, (round, thread, count): (usize, usize, usize)) {
    let id = fresh_id();
    let tracking = format!("track{}", fastrand::usize(..TRACKINGS));
    // Unique instants, so that the newest snapshot of a tracking is known to the test.
    let micros = (round * 10 + thread) * 20_000 + count;
    let updated_at = format!(
        "2026-07-09T11:{:02}:{:02}.{:06}+00:00",
        micros / 60_000_000 % 60,
        micros / 1_000_000 % 60,
        micros % 1_000_000
    );
    let tag = ["InTransit", "OutForDelivery", "Delivered", "Exception"][count % 4];
    let body = event(&id, &tracking, tag, &updated_at);
    let sent = Sent { tracking, updated_at, tag, is_acknowledged: false };
    ledger.lock().expect("ledger").insert(id.clone(), sent);

    let answer = post(address, body.as_bytes());

    if let Some(answer) = answer
        && answer.status == 200
        && let Some(sent) = ledger.lock().expect("ledger").get_mut(&id)
    {
        sent.is_acknowledged = true;
    }
}

fn await_everything(deployment: &Deployment, ledger: &BTreeMap<String, Sent>) {
    let acknowledged: Vec<&String> =
        ledger.iter().filter(|(_, sent)| sent.is_acknowledged).map(|(id, _)| id).collect();
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let rows = deployment.query("select event_key from raw.tracking_event");
        let found: std::collections::HashSet<&str> =
            rows.iter().filter_map(|row| row["event_key"].as_str()).collect();
        let missing = acknowledged.iter().filter(|id| !found.contains(id.as_str())).count();
        if missing == 0 {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{missing} acknowledged events are not in the facts");
        std::thread::park_timeout(Duration::from_millis(200));
    }
}

fn check(deployment: &Deployment, ledger: &BTreeMap<String, Sent>) {
    let rows = deployment.query("select event_key, count(*) as n from raw.tracking_event group by 1");
    let mut found = BTreeMap::new();
    for row in &rows {
        let key = row["event_key"].as_str().expect("text").to_owned();
        assert_eq!(row["n"], 1, "event {key} is there more than once");
        assert!(ledger.contains_key(&key), "event {key} was never sent");
        found.insert(key, ());
    }
    for (id, sent) in ledger {
        assert!(!sent.is_acknowledged || found.contains_key(id), "acknowledged event {id} is missing");
    }

    // Whatever arrived decides the facts: the newest snapshot of each tracking.
    let mut newest: BTreeMap<&str, &Sent> = BTreeMap::new();
    for sent in ledger.iter().filter(|(id, _)| found.contains_key(*id)).map(|(_, sent)| sent) {
        let known = newest.entry(&sent.tracking).or_insert(sent);
        if sent.updated_at > known.updated_at {
            *known = sent;
        }
    }
    let facts = deployment.query("select tracking_id, tag, updated_at from base.fct_shipment_tracking");
    assert_eq!(facts.len(), newest.len());
    for fact in facts {
        let tracking = fact["tracking_id"].as_str().expect("text");
        let expected = newest[tracking];
        assert_eq!(fact["tag"], expected.tag, "{tracking}");
        let instant: jiff::Timestamp = expected.updated_at.parse().expect("instant");
        assert_eq!(fact["updated_at"], waybill::event::format_instant(instant), "{tracking}");
    }
    let wrong = deployment.count(
        "select count(*) as n from raw.loaded_file
         where lines <> inserted + updated + unchanged + duplicate + conflict + waiting + rejected",
    );
    assert_eq!(wrong, 0);
    assert_eq!(deployment.count("select count(*) as n from raw.rejected_row"), 0);
}
