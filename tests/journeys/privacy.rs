//! WAYBILL_PRIVACY: what lands in the lake names nobody, and the facts are those of the bodies as they came.

use std::collections::HashSet;

use serde_json::Value;
use waybill::aftership::personal;
use waybill::aftership::simulator::{Simulator, SimulatorOptions, Version};
use waybill::aftership::webhook;
use waybill::event::{BodySha256, Redacted, line};

use crate::support::contents;
use crate::support::waybill::{Deployment, event, fresh_id, get, post};

const KEY: &str = "journey-privacy-key-0123456789";

/// What must not land.
const PEOPLE: [&str; 4] = ["@shop.example", "Sample Customer", "Zyxwina Quatsch", "zyxwina@quatsch.example"];

/// Columns that are no function of the bodies alone are left out: arrivals differ from run to run.
const FACTS: [&str; 4] = [
    "select event_key, event_id, event, tracking_id, source, body_sha256, event_date, is_test
     from raw.tracking_event order by event_key",
    "select legacy_id, tracking_id from raw.tracking_alias order by legacy_id",
    "select * from base.fct_shipment_tracking order by source_tracking_id",
    "select * from base.fct_tracking_checkpoint order by source_tracking_id, checkpoint_key",
];

/// Bodies of every version, and one with a person that nobody else has.
fn bodies() -> Vec<Vec<u8>> {
    let options = SimulatorOptions { version: Version::Mixed, ..SimulatorOptions::default() };
    let mut bodies: Vec<Vec<u8>> =
        Simulator::new(23, options).take(80).map(|delivery| delivery.body).collect();
    let person =
        r#""customers":[{"id":"c-9","name":"Zyxwina Quatsch","email":"Zyxwina@quatsch.example"}],"slug""#;
    let known =
        event("0e0e0e0e-0000-4000-8000-0000000000ff", "known", "Delivered", "2026-07-09T11:00:00+00:00");
    bodies.push(known.replacen("\"slug\"", person, 1).into_bytes());
    bodies
}

/// Sends everything and waits until it is loaded; gives the facts.
fn facts(deployment: &Deployment, bodies: &[Vec<u8>]) -> Vec<Vec<Value>> {
    let keys: HashSet<String> = bodies
        .iter()
        .map(|body| {
            let id = webhook::read(body).expect("readable").event_id.clone();
            id.unwrap_or_else(|| BodySha256::of(body).to_hex())
        })
        .collect();
    let up = deployment.start(&["up"]);
    for body in bodies {
        assert_eq!(post(up.listen(), body).expect("an answer").status, 200);
    }
    let expected = i64::try_from(bodies.len()).expect("few");
    deployment.await_count("select coalesce(sum(lines), 0)::bigint as n from raw.loaded_file", expected);
    assert_eq!(deployment.count("select count(*) as n from raw.tracking_event"), keys.len() as i64);
    assert_eq!(deployment.count("select count(*) as n from raw.rejected_row"), 0);

    let metrics = get(up.ops(), "/metrics").expect("an answer").body;
    for person in PEOPLE {
        assert!(!metrics.contains(person) && !up.stderr().contains(person));
    }
    FACTS.iter().map(|sql| deployment.query(sql)).collect()
}

#[test]
fn what_lands_names_nobody_and_gives_the_same_facts() {
    let bodies = bodies();
    let dirs = [(); 3].map(|()| tempfile::tempdir().expect("temporary folder"));
    let [keep, hash, drop] = [0, 1, 2].map(|index| Deployment::embedded(dirs[index].path()));
    let hash = hash.with("WAYBILL_PRIVACY", "hash").with("WAYBILL_PRIVACY_KEY", KEY);
    let drop = drop.with("WAYBILL_PRIVACY", "drop");
    let as_they_came = facts(&keep, &bodies);
    let kept = contents::lines(&keep.dir().join("lake")).concat();
    assert!(kept.contains("Zyxwina@quatsch.example") && !kept.contains("stored_sha256"));

    for (deployment, how) in [(&hash, Redacted::Hash), (&drop, Redacted::Drop)] {
        let facts = facts(deployment, &bodies);

        for (of_redacted, of_received) in facts.iter().zip(&as_they_came) {
            assert_eq!(of_redacted, of_received, "{how:?}");
        }
        let lake = deployment.dir().join("lake");
        for (key, text) in contents::of_lake(&lake) {
            for person in PEOPLE {
                let (text, person) = (text.to_ascii_lowercase(), person.to_ascii_lowercase());
                assert!(!text.contains(&person), "{person} is in {key}");
            }
        }
        let received: HashSet<BodySha256> = bodies.iter().map(|body| BodySha256::of(body)).collect();
        let landed: Vec<_> = contents::lines(&lake)
            .iter()
            .map(|text| line::decode(text.as_bytes()).expect("a line of ours"))
            .collect();
        assert_eq!(landed.len(), bodies.len());
        assert!(
            landed.iter().all(|event| received.contains(&event.body_sha256)),
            "the raw body's hash is kept"
        );
        assert!(landed.iter().any(|event| event.redacted == Some(how)));
    }
    let hashed = contents::lines(&hash.dir().join("lake")).concat();
    let pseudonym = personal::pseudonym("zyxwina@quatsch.example", KEY.as_bytes());
    assert!(hashed.contains(&pseudonym), "who has the key finds a person again");
}

#[test]
fn a_repetition_after_the_switch_is_a_duplicate() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = Deployment::embedded(dir.path());
    let body = bodies().pop().expect("the last one");
    for privacy in ["keep", "hash", "drop", "keep"] {
        let deployment = deployment.clone().with("WAYBILL_PRIVACY", privacy).with("WAYBILL_PRIVACY_KEY", KEY);
        let lines = "select coalesce(sum(lines), 0)::bigint as n from raw.loaded_file";
        let mut up = deployment.start(&["up"]);
        let before = deployment.count(lines);
        assert_eq!(post(up.listen(), &body).expect("an answer").status, 200);

        deployment.await_count(lines, before + 1);
        up.terminate();
        assert!(up.wait().success());
    }

    assert_eq!(deployment.count("select count(*) as n from raw.tracking_event"), 1);
    assert_eq!(deployment.count("select sum(conflict)::bigint as n from raw.loaded_file"), 0);
    assert_eq!(deployment.count("select sum(duplicate)::bigint as n from raw.loaded_file"), 3);
}

#[test]
fn a_dead_letter_keeps_the_bytes_as_they_came() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = Deployment::embedded(dir.path()).with("WAYBILL_PRIVACY", "drop");
    let up = deployment.start(&["up"]);
    let body = r#"{"event":"tracking_update","customer_name":"Zyxwina Quatsch"}"#;
    assert_eq!(post(up.listen(), body.as_bytes()).expect("an answer").status, 200);
    let after = event(&fresh_id(), "later", "InTransit", "2026-07-09T11:00:00+00:00");
    assert_eq!(post(up.listen(), after.as_bytes()).expect("an answer").status, 200);
    deployment.await_count("select count(*) as n from base.fct_shipment_tracking", 1);

    let deadline = std::time::Instant::now() + crate::support::waybill::PATIENCE;
    let letter = loop {
        let listed = deployment.run_ok(&["dead-letters", "list", "--format", "json"]);
        let mut letters: Vec<Value> = serde_json::from_str(&listed).expect("JSON");
        if let Some(letter) = letters.pop() {
            break letter;
        }
        assert!(std::time::Instant::now() < deadline, "no dead letter");
    };

    let shown = deployment.run(&["dead-letters", "show", letter["id"].as_str().expect("text"), "--body"]);
    assert_eq!(shown.stdout, body.as_bytes());
}

#[test]
fn hashing_without_a_key_is_refused() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = Deployment::embedded(dir.path()).with("WAYBILL_PRIVACY", "hash");
    for key in [None, Some("short")] {
        let deployment = match key {
            None => deployment.clone(),
            Some(key) => deployment.clone().with("WAYBILL_PRIVACY_KEY", key),
        };

        let output = deployment.run(&["up"]);

        assert_eq!(output.status.code(), Some(78));
        assert!(String::from_utf8_lossy(&output.stderr).contains("WAYBILL_PRIVACY_KEY"));
    }
}
