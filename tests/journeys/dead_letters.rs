//! What cannot be read becomes a dead letter with its reason; replay and drop, asked twice, change nothing.

use serde_json::Value;
use waybill::event::{Event, line};
use waybill::lake::dead_letter::Reason;

use crate::support::letters::{Given, plant};
use crate::support::waybill::{Deployment, event, fresh_id, post};

fn letters(deployment: &Deployment, arguments: &[&str]) -> Vec<Value> {
    let mut all = vec!["dead-letters", "list", "--format", "json"];
    all.extend(arguments);
    serde_json::from_str(&deployment.run_ok(&all)).expect("JSON")
}

fn await_letters(deployment: &Deployment, count: usize) -> Vec<Value> {
    let deadline = std::time::Instant::now() + crate::support::waybill::PATIENCE;
    loop {
        let found = letters(deployment, &[]);
        if found.len() == count {
            return found;
        }
        assert!(std::time::Instant::now() < deadline, "{} dead letters, not {count}", found.len());
    }
}

#[test]
fn unreadable_bodies_become_dead_letters_with_their_bytes_and_reason() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = Deployment::embedded(dir.path());
    let up = deployment.start(&["up"]);
    let deep = format!("{}{}", "[".repeat(70), "]".repeat(70));
    let bodies: [(&[u8], &str); 5] = [
        (b"", "empty"),
        (b"\xff\xfenot json", "not_json"),
        (b"[1]", "not_an_object"),
        (br#"{"event":"tracking_pending_time","ts":1712741800}"#, "no_tracking"),
        (deep.as_bytes(), "too_deep"),
    ];
    for (body, _) in bodies {
        assert_eq!(post(up.listen(), body).expect("an answer").status, 200);
    }

    let found = await_letters(&deployment, bodies.len());

    for (body, reason) in bodies {
        let letter = found.iter().find(|letter| letter["reason"] == reason).expect(reason);
        let id = letter["id"].as_str().expect("text");
        let shown = deployment.run(&["dead-letters", "show", id, "--body"]);
        assert_eq!(shown.stdout, body, "{reason}");
    }
    assert_eq!(deployment.count("select count(*) as n from raw.tracking_event"), 0);
    assert_eq!(letters(&deployment, &["--where", "reason=empty"]).len(), 1);
    assert_eq!(letters(&deployment, &["--where", "reason=empty", "--where", "since=2000-01-01"]).len(), 1);
    assert_eq!(letters(&deployment, &["--where", "since=2999-01-01"]).len(), 0);
    let wrong = deployment.run(&["dead-letters", "list", "--where", "colour=red"]);
    assert!(!wrong.status.success());
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("reason"), "the allowed keys are named");
}

/// Puts a readable event where SQS's redrive would have left it.
fn plant_readable_letter(deployment: &Deployment, body: &str) -> String {
    let received_at: jiff::Timestamp = "2026-07-09T12:00:00.5Z".parse().expect("instant");
    let bytes = bytes::Bytes::copy_from_slice(body.as_bytes());
    let event = Event::received(bytes, None, false, received_at);
    let message = line::to_message(&line::encode(&event));
    let given =
        Given { reason: Reason::Redriven, message: message.as_bytes(), named: Some("tracking_update") };
    plant(deployment, &event, given)
}

#[test]
fn a_replayed_letter_becomes_one_fact_however_often_it_is_replayed() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = Deployment::embedded(dir.path());
    let _up = deployment.start(&["up"]);
    let event_id = fresh_id();
    let body = event(&event_id, "lost", "Delivered", "2026-07-09T11:00:00+00:00");
    let id = plant_readable_letter(&deployment, &body);

    let dry = deployment.run_ok(&["dead-letters", "replay", "--dry-run"]);
    assert!(dry.contains(&id), "{dry}");
    assert_eq!(letters(&deployment, &[]).len(), 1, "a dry run does nothing");
    let unasked = deployment.run(&["dead-letters", "replay"]);
    assert!(!unasked.status.success() && String::from_utf8_lossy(&unasked.stderr).contains("--yes"));

    let report: Value = serde_json::from_str(&deployment.run_ok(&[
        "dead-letters",
        "replay",
        "--yes",
        "--reason",
        "queue was stuck",
    ]))
    .expect("JSON");
    assert_eq!((&report["chosen"], &report["done"]), (&Value::from(1), &Value::from(1)));
    deployment
        .await_count("select count(*) as n from base.fct_shipment_tracking where tracking_id = 'lost'", 1);

    let again = deployment.run_ok(&["dead-letters", "replay", "--yes"]);
    assert!(again.contains("no open dead letter"), "{again}");
    let row = &deployment.query("select event_key, received_at, replay_id from raw.tracking_event")[0];
    assert_eq!(row["event_key"], event_id);
    assert_eq!(row["received_at"], "2026-07-09T12:00:00.500000Z", "a replay keeps the arrival");
    assert_eq!(row["replay_id"], report["replay_id"]);
    let closed = letters(&deployment, &["--all"]);
    assert_eq!(closed[0]["state"], "replayed");
    assert!(audit(&deployment).contains("queue was stuck"));

    // As after a crash between sending and marking: it is sent a second time.
    std::fs::remove_dir_all(deployment.dir().join("lake/audit/dead-letters")).expect("the marks");
    deployment.run_ok(&["dead-letters", "replay", "--yes"]);
    deployment.await_count("select cast(sum(lines) as bigint) as n from raw.loaded_file", 2);
    assert_eq!(deployment.count("select count(*) as n from raw.tracking_event"), 1);
    assert_eq!(deployment.count("select cast(sum(duplicate) as bigint) as n from raw.loaded_file"), 1);
}

#[test]
fn a_letter_that_fails_again_is_open_again() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = Deployment::embedded(dir.path());
    let up = deployment.start(&["up"]);
    assert_eq!(post(up.listen(), b"still not json").expect("an answer").status, 200);
    let first = await_letters(&deployment, 1);

    deployment.run_ok(&["dead-letters", "replay", "--yes", "--rate", "100", "--limit", "5"]);

    let second = await_letters(&deployment, 1);
    assert_ne!(first[0]["id"], second[0]["id"]);
    assert_eq!(second[0]["reason"], "not_json");
    assert_eq!(letters(&deployment, &["--all"]).len(), 2);
}

#[test]
fn a_dropped_letter_stays_in_the_lake_and_out_of_the_list() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = Deployment::embedded(dir.path());
    let up = deployment.start(&["up"]);
    assert_eq!(post(up.listen(), b"nobody wants me").expect("an answer").status, 200);
    let id = await_letters(&deployment, 1)[0]["id"].as_str().expect("text").to_owned();

    deployment.run_ok(&[
        "dead-letters",
        "drop",
        "--where",
        &format!("id={id}"),
        "--yes",
        "--reason",
        "noise",
    ]);

    assert_eq!(letters(&deployment, &[]).len(), 0);
    assert_eq!(deployment.run(&["dead-letters", "show", &id, "--body"]).stdout, b"nobody wants me");
    assert!(audit(&deployment).contains("noise"));
}

/// All audit records, as text.
fn audit(deployment: &Deployment) -> String {
    let mut text = String::new();
    let mut folders = vec![deployment.dir().join("lake/audit")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("audit folder") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                text.push_str(&std::fs::read_to_string(path).expect("record"));
            }
        }
    }
    text
}
