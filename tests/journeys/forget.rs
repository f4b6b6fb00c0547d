//! `waybill forget`: nothing of the person is left anywhere, nothing brings them back, nothing else changes; killed at
//! any moment and asked again, it ends the same.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::Output;

use bytes::Bytes;
use serde_json::Value;
use waybill::event::{Event, Redacted, line};
use waybill::failpoint::POINTS;

use crate::support::contents;
use crate::support::person::{
    EMAIL, KEY, bodies, body, embedded, filled, send, text, traces, traces_in_warehouse,
};
use crate::support::process::Postgres;
use crate::support::waybill::{Deployment, post};

/// Of others, whom nothing may happen to.
const OTHERS: [&str; 3] = ["eve@other.example", "Eve Other", "left at Other Street"];
const FACTS: [&str; 3] = [
    "select tracking_id, event_key, body_sha256, file, line from raw.tracking_event order by event_key",
    "select tracking_id, tag, tracking_number, order_id, updated_at, delivered_at
     from base.fct_shipment_tracking order by tracking_id",
    "select tracking_id, position, checkpoint_at, tag from base.fct_tracking_checkpoint order by tracking_id, position",
];
const COUNTS: &str =
    "select count(*) as objects, sum(lines)::bigint as lines, sum(inserted)::bigint as inserted,
    sum(duplicate)::bigint as duplicate, sum(rejected)::bigint as rejected from raw.loaded_file";

fn forget(deployment: &Deployment, arguments: &[&str]) -> Value {
    let all = [&["forget", "--yes", "--reason", "ticket 7"], arguments].concat();
    let report: Value = serde_json::from_str(&deployment.run_ok(&all)).expect("one JSON object");
    assert_eq!(report["is_over"], true);
    report
}

fn facts(deployment: &Deployment) -> Vec<Vec<Value>> {
    FACTS.iter().map(|sql| deployment.query(sql)).collect()
}

/// Nothing of the person, everything of the others, and a lake that still is one.
fn check(deployment: &Deployment) {
    assert_eq!(traces(deployment), [""; 0]);
    let lake = contents::of_lake(&deployment.dir().join("lake"));
    for other in OTHERS {
        assert!(lake.iter().any(|(_, text)| text.contains(other)), "{other} is gone");
    }
    let marked: Vec<Event> = contents::lines(&deployment.dir().join("lake"))
        .iter()
        .filter_map(|text| line::decode(text.as_bytes()).ok())
        .collect();
    assert_eq!(marked.iter().filter(|event| event.redacted == Some(Redacted::Erased)).count(), 4);
    assert_eq!(marked.iter().filter(|event| event.redacted.is_none()).count(), 2);
    let said = "select count(*) as n from base.fct_tracking_checkpoint where message like 'left at Other%'";
    assert_eq!(deployment.count(said), 1);
    let rejected = "select count(*) as n from raw.rejected_row where text like '%eve@other.example%'";
    assert_eq!(deployment.count(rejected), 1, "the other's line");
}

fn erases_and_brings_nobody_back(deployment: &Deployment, fresh: &Deployment) {
    filled(deployment);
    let (before, counts) = (facts(deployment), deployment.query(COUNTS));
    let objects = contents::of_lake(&deployment.dir().join("lake")).len();

    let looked: Value =
        serde_json::from_str(&deployment.run_ok(&["forget", "--customer", EMAIL, "--dry-run"]))
            .expect("one JSON object");
    assert_eq!((&looked["lines"], &looked["erasure_id"]), (&Value::from(5), &Value::Null), "{looked}");
    assert_eq!(contents::of_lake(&deployment.dir().join("lake")).len(), objects, "a dry run does nothing");
    let report = forget(deployment, &["--customer", "Zyxwina@QUATSCH.example"]);

    assert_eq!((&report["lines"], &report["letters"]), (&Value::from(5), &Value::from(2)), "{report}");
    assert_eq!(report["trackings"], 3, "{report}");
    check(deployment);
    assert_eq!(facts(deployment), before, "what tells of no person is as it was");
    assert_eq!(deployment.query(COUNTS), counts);
    let told = "select count(*) as n from base.fct_tracking_checkpoint where tracking_id <> 'p-eve' and message is not null";
    assert_eq!(deployment.count(told), 0);

    // The whole lake into an empty warehouse.
    fresh.run_ok(&["load", "--once"]);
    check(fresh);
    assert_eq!(facts(fresh), before);
    assert_eq!(fresh.query(COUNTS), counts);

    // All letters once more, and everything that AfterShip sent, and a new update of a known parcel.
    std::fs::remove_dir_all(deployment.dir().join("lake/audit/dead-letters")).expect("the marks");
    deployment.run_ok(&["dead-letters", "replay", "--yes", "--reason", "test"]);
    let update = body(7, "p-one", 7, "", "with Zyxwina again").replace("Delivered_001", "Delivered_002");
    send(deployment, &[bodies(), vec![update]].concat());
    assert_eq!(traces(deployment), [""; 0]);
    let newest = "select subtag from base.fct_shipment_tracking where tracking_id = 'p-one'";
    assert_eq!(deployment.query(newest)[0]["subtag"], "Delivered_002", "its facts go on");
    assert_eq!(deployment.count("select count(*) as n from raw.tracking_event"), 7);

    // Somebody puts an old object back.
    let folder = deployment.dir().join("lake/events/dt=2026-07-09/hour=12/minute=01");
    std::fs::create_dir_all(&folder).expect("folder");
    let event = Event::received(
        Bytes::from(bodies()[1].clone()),
        Some("0f0f0f0f-0000-4000-8000-000000000002".to_owned()),
        false,
        "2026-07-09T12:01:00Z".parse().expect("instant"),
    );
    std::fs::write(folder.join("restored.jsonl"), line::encode(&event)).expect("object");
    let output = deployment.run(&["load", "--once"]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("forget --sweep"), "load says so");
    assert_eq!(traces_in_warehouse(deployment), [""; 0]);
    let swept: Value =
        serde_json::from_str(&deployment.run_ok(&["forget", "--sweep", "--yes"])).expect("JSON");
    assert_eq!(swept["lines"], 1, "{swept}");
    assert_eq!(traces(deployment), [""; 0]);

    // Again, there is nothing to do.
    let again = forget(deployment, &["--customer", EMAIL]);
    assert_eq!((&again["lines"], &again["letters"]), (&Value::from(0), &Value::from(0)));
    let audit: Vec<String> = contents::of_lake(&deployment.dir().join("lake"))
        .into_iter()
        .filter(|(key, _)| key.starts_with("audit/") && key.contains("-forg"))
        .map(|(_, text)| text)
        .collect();
    assert!(audit.len() >= 6 && audit.iter().any(|text| text.contains("ticket 7")), "{audit:?}");
    assert!(audit.iter().any(|text| text.contains("customer=hmac:")));
}

#[test]
fn a_forgotten_customer_is_nowhere_and_does_not_come_back() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = embedded(dir.path());
    let fresh = format!("duckdb:{}", dir.path().join("fresh.duckdb").display());
    erases_and_brings_nobody_back(&deployment, &deployment.clone().with("WAYBILL_WAREHOUSE", &fresh));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_on_postgres() {
    let postgres = Postgres::start().await;
    let (shop, fresh) = (postgres.create_database("shop").await, postgres.create_database("fresh").await);
    tokio::task::spawn_blocking(move || {
        let dir = tempfile::tempdir().expect("temporary folder");
        let deployment = embedded(dir.path()).with("WAYBILL_WAREHOUSE", &shop);
        erases_and_brings_nobody_back(&deployment, &deployment.clone().with("WAYBILL_WAREHOUSE", &fresh));
    })
    .await
    .expect("the journey ends");
}

#[test]
fn a_parcel_is_forgotten_by_id_or_number_also_with_its_numbers() {
    for (name, lines) in [("p-one", 2), ("N-p-one", 2), ("p-old", 2)] {
        let dir = tempfile::tempdir().expect("temporary folder");
        let deployment = embedded(dir.path());
        send(&deployment, &bodies());

        let report = forget(&deployment, &["--tracking", name, "--with-numbers"]);

        assert_eq!(report["lines"], lines, "{name}: {report}");
        let numbers: BTreeMap<String, bool> = deployment
            .query("select tracking_id, tracking_number is null and order_id is null as gone from base.fct_shipment_tracking")
            .iter()
            .map(|row| (text(&row["tracking_id"]).to_owned(), row["gone"].as_bool().expect("a boolean")))
            .collect();
        let gone = if name == "p-old" { "p-new" } else { "p-one" };
        assert_eq!(numbers.len(), 3, "{numbers:?}");
        assert!(numbers.iter().all(|(id, is_gone)| *is_gone == (id == gone)), "{name}: {numbers:?}");
        let lake = contents::lines(&dir.path().join("lake")).concat();
        assert!(!lake.contains(&format!("N-{gone}")) && !lake.contains(&format!("O-{gone}")), "{name}");
        assert!(lake.contains("N-p-eve"));
    }
}

#[test]
fn who_was_landed_as_hashes_is_found_by_the_same_key() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = embedded(dir.path()).with("WAYBILL_PRIVACY", "hash");
    send(&deployment, &bodies());
    let hash = waybill::aftership::personal::pseudonym(EMAIL, KEY.as_bytes());
    let lake = || contents::lines(&dir.path().join("lake")).concat();
    assert!(lake().contains(&hash) && lake().to_lowercase().contains("leafy lane"));

    let report = forget(&deployment, &["--customer", EMAIL]);

    assert_eq!(report["lines"], 4, "{report}");
    assert!(!lake().contains(&hash));
    assert_eq!(traces(&deployment), [""; 0]);
}

#[test]
fn while_everything_runs_nothing_of_them_comes_back_into_the_tables() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = embedded(dir.path());
    let lines = "select coalesce(sum(lines), 0)::bigint as n from raw.loaded_file";
    let mut up = deployment.start(&["up"]);
    let send = |bodies: &[String]| {
        for body in bodies {
            assert_eq!(post(up.listen(), body.as_bytes()).expect("an answer").status, 200);
        }
    };
    send(&bodies());
    deployment.await_count(lines, 6);
    assert!(!traces_in_warehouse(&deployment).is_empty());

    forget(&deployment, &["--customer", EMAIL]);
    // Batch need not have seen the list yet.
    let update = body(7, "p-one", 7, "", "with Zyxwina again");
    send(&[bodies(), vec![update]].concat());
    deployment.await_count(lines, 13);

    assert_eq!(traces_in_warehouse(&deployment), [""; 0]);
    up.terminate();
    assert!(up.wait().success());
    deployment.run_ok(&["forget", "--sweep", "--yes"]);
    assert_eq!(traces(&deployment), [""; 0]);
    assert_eq!(deployment.count("select count(*) as n from raw.tracking_event"), 7);
}

#[test]
fn a_new_order_of_a_forgotten_customer_is_an_order_of_theirs() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = embedded(dir.path());
    send(&deployment, &bodies());
    forget(&deployment, &["--customer", EMAIL]);

    let order = body(8, "p-next", 8, &format!("\"emails\":[\"{EMAIL}\"],"), "at the door");
    send(&deployment, &[order]);

    let lake = contents::lines(&dir.path().join("lake")).concat();
    assert!(lake.contains(EMAIL) && lake.contains("at the door"));
}

#[test]
fn killed_at_any_moment_and_asked_again_it_leaves_nothing() {
    for point in POINTS.iter().filter(|point| point.starts_with("forget.")) {
        let dir = tempfile::tempdir().expect("temporary folder");
        let deployment = embedded(dir.path());
        filled(&deployment);
        let (before, counts) = (facts(&deployment), deployment.query(COUNTS));
        let doomed = deployment.clone().with("WAYBILL_TEST_FAILPOINT", &format!("{point}@1"));
        let output = doomed.run(&["forget", "--customer", EMAIL, "--yes", "--reason", "ticket 7"]);
        assert_eq!(output.status.signal(), Some(9), "{point}: {}", String::from_utf8_lossy(&output.stderr));
        // What comes in between must not undo it, and is not lost.
        deployment.run_ok(&["load", "--once"]);
        let checked = || {
            let output = deployment.run(&["check", "load"]);
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        assert_eq!(checked().contains("not over"), *point != "forget.after_audit", "{point}: {}", checked());

        forget(&deployment, &["--customer", EMAIL]);

        check(&deployment);
        assert_eq!(facts(&deployment), before, "{point}");
        assert_eq!(deployment.query(COUNTS), counts, "{point}");
        assert!(!checked().contains("not over"), "{point}: {}", checked());
    }
}

fn code_and_stderr(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn it_asks_for_what_it_needs() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = embedded(dir.path());
    send(&deployment, &bodies());

    for wrong in [
        &["forget", "--reason", "x", "--yes"][..],
        &["forget", "--customer", EMAIL, "--yes"],
        &["forget", "--customer", EMAIL, "--tracking", "p-one", "--yes", "--reason", "x"],
        &["forget", "--customer", " ", "--yes", "--reason", "x"],
    ] {
        assert_eq!(deployment.run(wrong).status.code(), Some(2), "{wrong:?}");
    }
    let ask = ["forget", "--customer", EMAIL, "--reason", "x"];
    let (code, stderr) = code_and_stderr(&deployment.run(&ask));
    assert!(code == Some(1) && stderr.contains("--yes") && !stderr.contains(EMAIL), "{stderr}");
    let yes = [&ask[..], &["--yes"]].concat();
    let (code, stderr) = code_and_stderr(&deployment.clone().without("WAYBILL_PRIVACY_KEY").run(&yes));
    assert!(code == Some(78) && stderr.contains("WAYBILL_PRIVACY_KEY"), "{stderr}");

    forget(&deployment, &["--customer", EMAIL]);
    for key in ["another-key-0123456789", ""] {
        let other = match key {
            "" => deployment.clone().without("WAYBILL_PRIVACY_KEY"),
            key => deployment.clone().with("WAYBILL_PRIVACY_KEY", key),
        };
        for command in [&["load", "--once"][..], &["batch", "--once"]] {
            let (code, stderr) = code_and_stderr(&other.run(command));
            assert!(code == Some(78) && stderr.contains("WAYBILL_PRIVACY_KEY"), "{command:?}: {stderr}");
        }
    }
}
