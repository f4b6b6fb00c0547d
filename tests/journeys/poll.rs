//! `waybill poll` on the real program, against AfterShip's stand-in: from the REST API to the facts, whatever breaks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use waybill::aftership::simulator::service::{self, Service, ServiceOptions};
use waybill::aftership::simulator::{Delivery, SharedShelf, Simulator, SimulatorOptions};

use crate::support::waybill::{Deployment, post};

const KEY: &str = "journey-api-key";

/// AfterShip, with a REST API on loopback, and parcels to which things happen.
struct AfterShip {
    url: String,
    service: Service,
    shelf: SharedShelf,
    simulator: Mutex<Simulator>,
    now: Mutex<Timestamp>,
    _runtime: tokio::runtime::Runtime,
}

impl AfterShip {
    fn start(options: ServiceOptions) -> AfterShip {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let shelf = SharedShelf::default();
        let service = Service::new(ServiceOptions { key: KEY.to_owned(), ..options }, Arc::clone(&shelf));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let url = format!("http://{}/tracking/2026-07", listener.local_addr().expect("an address"));
        runtime.spawn(service::serve(listener, service.clone()));
        let start = Timestamp::now() - SignedDuration::from_hours(5);
        let simulator = Simulator::new(
            21,
            SimulatorOptions {
                is_live: true,
                has_snapshots: true,
                duplicate_rate: 0.0,
                late_rate: 0.0,
                start,
                ..SimulatorOptions::default()
            },
        );
        AfterShip {
            url,
            service,
            shelf,
            simulator: Mutex::new(simulator),
            now: Mutex::new(start),
            _runtime: runtime,
        }
    }

    /// So many updates happen, some seconds apart.
    fn updates(&self, count: usize) -> Vec<Delivery> {
        let (mut simulator, mut now) =
            (self.simulator.lock().expect("no panic"), self.now.lock().expect("no panic"));
        let mut shelf = self.shelf.lock().expect("no panic");
        (0..count)
            .map(|_| {
                *now += SignedDuration::from_secs(7);
                let delivery = simulator.deliver_at(*now);
                shelf.put(&delivery);
                delivery
            })
            .collect()
    }

    /// What the facts should be: of each parcel when it was updated last.
    fn parcels(&self) -> BTreeMap<String, Timestamp> {
        let shelf = self.shelf.lock().expect("no panic");
        shelf.snapshots().map(|snapshot| (snapshot.id.clone(), snapshot.updated_at)).collect()
    }

    fn deployment(&self, dir: &std::path::Path) -> Deployment {
        Deployment::embedded(dir)
            .with("WAYBILL_AFTERSHIP_API_KEY", KEY)
            .with("WAYBILL_AFTERSHIP_API_URL", &self.url)
            .with("WAYBILL_POLL_RATE", "100")
    }
}

fn unlimited() -> ServiceOptions {
    ServiceOptions { rate_limit: 0, ..ServiceOptions::default() }
}

fn poll(deployment: &Deployment, more: &[&str]) -> Value {
    let arguments = [&["poll", "--once"], more].concat();
    serde_json::from_str(&deployment.run_ok(&arguments)).expect("a report")
}

fn carry(deployment: &Deployment) {
    deployment.run_ok(&["batch", "--once"]);
    deployment.run_ok(&["load", "--once"]);
}

fn facts(deployment: &Deployment) -> BTreeMap<String, Timestamp> {
    let rows = deployment.query("select tracking_id, updated_at from base.fct_shipment_tracking");
    rows.iter()
        .map(|row| {
            let at = row["updated_at"].as_str().expect("an instant").parse().expect("an instant");
            (row["tracking_id"].as_str().expect("an id").to_owned(), at)
        })
        .collect()
}

#[test]
fn what_the_api_lists_becomes_facts_and_once_only() {
    let aftership = AfterShip::start(unlimited());
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = aftership.deployment(dir.path());
    aftership.updates(2_450);

    let first = poll(&deployment, &[]);
    carry(&deployment);

    let parcels = aftership.parcels();
    assert!(parcels.len() > 200, "more than a page: {}", parcels.len());
    assert_eq!(first["sent"], parcels.len(), "{first}");
    assert_eq!(facts(&deployment), parcels);
    let sources = deployment.query("select distinct source from raw.tracking_event");
    assert_eq!(sources, [serde_json::json!({ "source": "api" })]);

    // Nothing new, then a few updates: only those are sent.
    assert_eq!(poll(&deployment, &[])["sent"], 0);
    aftership.updates(20);
    let newer = aftership.parcels();
    let changed = newer.iter().filter(|(id, at)| parcels.get(*id) != Some(at)).count();
    let third = poll(&deployment, &["--since", "5h"]);
    carry(&deployment);
    assert_eq!(facts(&deployment), newer, "{third}");
    assert!(third["sent"].as_u64().expect("a count") >= changed as u64, "{third}");
}

#[test]
fn webhook_and_poll_of_the_same_shipments_are_one_fact_each() {
    let aftership = AfterShip::start(unlimited());
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = aftership
        .deployment(dir.path())
        .with("WAYBILL_POLL_INTERVAL", "1s")
        // What happened before a poll is asked for again, however long ago the stand-in says it was.
        .with("WAYBILL_POLL_OVERLAP", "6h");
    let up = deployment.start(&["up"]);

    for delivery in aftership.updates(300) {
        assert_eq!(post(up.listen(), &delivery.body).expect("an answer").status, 200);
    }

    let parcels = aftership.parcels();
    deployment.await_count("select count(*) as n from base.fct_shipment_tracking", parcels.len() as i64);
    deployment.await_count(
        "select count(distinct tracking_id) as n from raw.tracking_event where source = 'api'",
        parcels.len() as i64,
    );
    deployment.await_count("select count(*) as n from raw.tracking_event where source = 'webhook'", 300);
    assert_eq!(facts(&deployment), parcels);
}

#[test]
fn an_api_that_fails_lies_and_limits_is_read_to_its_end() {
    let aftership = AfterShip::start(ServiceOptions {
        rate_limit: 20,
        error_rate: 0.2,
        truncate_rate: 0.2,
        ..ServiceOptions::default()
    });
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = aftership.deployment(dir.path());
    aftership.updates(900);

    // A question may fail as often as it is tried; then the next poll goes on from there.
    let is_through = (0..10).any(|_| deployment.run(&["poll", "--once"]).status.success());
    carry(&deployment);

    assert!(is_through);
    assert_eq!(facts(&deployment), aftership.parcels());
}

#[test]
fn a_poll_killed_anywhere_loses_nothing() {
    let aftership = AfterShip::start(unlimited());
    for point in ["poll.before_send", "poll.after_send", "poll.after_save"] {
        let dir = tempfile::tempdir().expect("temporary folder");
        let deployment = aftership.deployment(dir.path());
        aftership.updates(300);

        let killed = deployment.clone().with("WAYBILL_TEST_FAILPOINT", point).run(&["poll", "--once"]);
        assert!(!killed.status.success(), "{point} is not reached");
        poll(&deployment, &[]);
        carry(&deployment);

        assert_eq!(facts(&deployment), aftership.parcels(), "{point}");
    }
}

#[test]
fn a_key_that_is_refused_says_what_to_do() {
    let aftership = AfterShip::start(unlimited());
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = aftership.deployment(dir.path()).with("WAYBILL_AFTERSHIP_API_KEY", "another");

    for arguments in [&["poll", "--once"][..], &["check", "poll"]] {
        let output = deployment.run(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);

        assert!(!output.status.success(), "{arguments:?}");
        assert!(stderr.contains("401") && stderr.contains("key"), "{stderr}");
        assert!(!stderr.contains("another"), "the key is told: {stderr}");
    }
    assert!(aftership.service.requests() > 0);
    let output = deployment.without("WAYBILL_AFTERSHIP_API_KEY").run(&["poll", "--once"]);
    assert_eq!(output.status.code(), Some(78));
}
