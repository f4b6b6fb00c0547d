//! `waybill reconcile` on the real program: what is as it should be is clean, and each thing done by hand is named.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::Value;

use crate::support::pairing::{Pairing, Setup};
use crate::support::waybill::{Deployment, PATIENCE, Running, event, exchange, fresh_id, post, request};

const EVENTS: usize = 5;
const API_KEY: &str = "journey-api-key";

/// A deployment in which some events were received, landed and loaded.
struct Done {
    /// Gone when dropped.
    _dir: tempfile::TempDir,
    deployment: Deployment,
    /// Ids of the events.
    ids: Vec<String>,
}

impl Done {
    fn begin() -> (Done, Running) {
        let dir = tempfile::tempdir().expect("temporary folder");
        let deployment = Deployment::embedded(dir.path());
        let up = deployment.start(&["up"]);
        let ids: Vec<String> = (0..EVENTS).map(|_| fresh_id()).collect();
        for (number, id) in ids.iter().enumerate() {
            let body = event(id, &format!("parcel{number}"), "InTransit", "2026-07-09T11:00:00+00:00");
            assert_eq!(post(up.listen(), body.as_bytes()).expect("an answer").status, 200);
        }
        let facts = "select count(*) as n from base.fct_shipment_tracking";
        deployment.await_count(facts, EVENTS as i64);
        (Done { _dir: dir, deployment, ids }, up)
    }

    /// The same, ended in order, so that all receipts are there.
    fn ended() -> Done {
        let (done, mut up) = Done::begin();
        up.terminate();
        assert!(up.wait().success());
        done
    }

    fn lake(&self, folder: &str) -> PathBuf {
        self.deployment.dir().join("lake").join(folder)
    }

    fn by_hand(&self, sql: &str) {
        let path = self.deployment.dir().join("warehouse.duckdb");
        let connection = duckdb::Connection::open(path).expect("the file is free");
        connection.execute_batch(&format!("set timezone = 'UTC'; {sql}")).expect("done by hand");
    }

    /// Kinds and ids of what is not explained, and whether the exit code says the same.
    fn found(&self) -> Vec<(String, Vec<String>)> {
        let (code, report) = reconcile(&self.deployment, &[]);
        let found = open(&report);
        assert_eq!(code, Some(i32::from(!found.is_empty())), "{report:#}");
        found
    }
}

fn reconcile(deployment: &Deployment, more: &[&str]) -> (Option<i32>, Value) {
    let arguments = [&["reconcile", "--settle", "0s", "--format", "json"], more].concat();
    let output = deployment.run(&arguments);
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), report)
}

fn open(report: &Value) -> Vec<(String, Vec<String>)> {
    let differences = report["differences"].as_array().expect("differences");
    let open = differences.iter().filter(|difference| difference["is_explained"] == false);
    open.map(|difference| (text(&difference["kind"]), texts(&difference["ids"]))).collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().expect("texts").iter().map(text).collect()
}

fn sum(report: &Value, count: impl Fn(&Value) -> Option<u64>) -> u64 {
    report["minutes"].as_array().expect("minutes").iter().filter_map(count).sum()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> =
        paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    files.sort();
    files
}

#[test]
fn what_was_received_landed_and_loaded_agrees() {
    let (done, mut up) = Done::begin();
    let forged =
        request(&["aftership-hmac-sha256: forged".to_owned(), "Connection: close".to_owned()], b"{}");
    assert_eq!(exchange(up.listen(), &forged).expect("an answer").status, 401);
    // Repeated by AfterShip, and no event at all: neither is a difference.
    let again = event(&done.ids[0], "parcel0", "InTransit", "2026-07-09T11:00:00+00:00");
    for body in [again.as_bytes(), b"not json"] {
        assert_eq!(post(up.listen(), body).expect("an answer").status, 200);
    }
    let lines = "select cast(sum(lines) as bigint) as n from raw.loaded_file";
    done.deployment.await_count(lines, EVENTS as i64 + 1);
    up.terminate();
    assert!(up.wait().success());

    let (code, report) = reconcile(&done.deployment, &["--deep"]);

    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!((&report["is_clean"], open(&report)), (&Value::from(true), Vec::new()));
    let stage = |name: &'static str| sum(&report, move |minute| minute[name]["count"].as_u64());
    let events = EVENTS as u64;
    assert_eq!((stage("acknowledged"), stage("landed"), stage("loaded")), (events + 2, events + 1, events));
    assert_eq!((stage("dead_lettered"), sum(&report, |minute| minute["duplicate"].as_u64())), (1, 1));
    assert_eq!(sum(&report, |minute| minute["received"].as_u64()), events + 3);
    let refused = |minute: &Value| minute["rejected"]["signature_malformed"].as_u64();
    assert_eq!(sum(&report, refused), 1, "{report:#}");
    let (code, quick) = reconcile(&done.deployment, &[]);
    assert_eq!((code, stage("landed")), (Some(0), sum(&quick, |minute| minute["landed"]["count"].as_u64())));
    let table = done.deployment.run_ok(&["reconcile", "--settle", "0s"]);
    assert!(table.contains("everything agrees") && table.contains("acknowledged"), "{table}");
}

#[test]
fn a_deleted_object_is_named_with_the_events_in_it() {
    let done = Done::ended();
    let object = files(&done.lake("events")).remove(0);
    let file = object.strip_prefix(done.lake("")).expect("below the lake").to_string_lossy().into_owned();
    let sql = format!("select event_key from raw.tracking_event where file = '{file}' order by event_key");
    let keys: Vec<String> = done.deployment.query(&sql).iter().map(|row| text(&row["event_key"])).collect();
    std::fs::remove_file(&object).expect("the object");

    assert!(!keys.is_empty());
    assert_eq!(done.found(), [("object_missing".to_owned(), keys)]);
}

#[test]
fn a_row_deleted_by_hand_is_named() {
    let done = Done::ended();
    done.by_hand(&format!("delete from raw.tracking_event where event_key = '{}'", done.ids[2]));

    assert_eq!(done.found(), [("row_missing".to_owned(), vec![done.ids[2].clone()])]);
}

#[test]
fn forged_rows_and_changed_facts_are_named() {
    let done = Done::ended();
    done.by_hand(
        "insert into raw.tracking_event
         select * replace ('forged' as event_key, 'events/none.jsonl' as file) from raw.tracking_event limit 1;
         insert into base.fct_shipment_tracking
         select * replace ('forged' as tracking_id, 'forged' as source_tracking_id)
         from base.fct_shipment_tracking limit 1;
         delete from base.fct_tracking_checkpoint where tracking_id = 'parcel3';
         delete from base.fct_shipment_tracking where tracking_id = 'parcel4';",
    );

    let found = done.found();

    let named = |kind: &str| {
        let of_kind = found.iter().filter(|(found, _)| found == kind);
        of_kind.flat_map(|(_, ids)| ids.clone()).collect::<Vec<_>>()
    };
    assert_eq!(named("row_forged"), ["forged"]);
    assert_eq!(named("fact_forged"), ["forged"]);
    assert_eq!(named("fact_missing"), ["parcel3", "parcel4"]);
    assert_eq!(found.len(), 4, "and nothing else: {found:?}");
}

#[test]
fn a_row_and_a_fact_written_twice_are_named() {
    let done = Done::ended();
    done.by_hand(&format!(
        "insert into raw.tracking_event select * from raw.tracking_event where event_key = '{}';
         insert into base.fct_shipment_tracking
         select * from base.fct_shipment_tracking where tracking_id = 'parcel2';",
        done.ids[1]
    ));

    let found = done.found();

    let expected = [
        ("row_forged".to_owned(), vec![done.ids[1].clone()]),
        ("fact_forged".to_owned(), vec!["parcel2".to_owned()]),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_row_moved_to_another_time_is_named() {
    let done = Done::ended();
    done.by_hand(&format!(
        "update raw.tracking_event set received_at = cast('2020-01-01 00:00:00+00' as timestamptz) where event_key = '{}'",
        done.ids[3]
    ));

    assert_eq!(done.found(), [("row_forged".to_owned(), vec![done.ids[3].clone()])]);
}

#[test]
fn an_object_cut_short_is_named_without_looking_deep() {
    let done = Done::ended();
    let object = files(&done.lake("events")).remove(0);
    let file = object.strip_prefix(done.lake("")).expect("below the lake").to_string_lossy().into_owned();
    let bytes = std::fs::read(&object).expect("the object");
    std::fs::write(&object, &bytes[..bytes.len() / 2]).expect("cut short");

    assert_eq!(done.found(), [("object_changed".to_owned(), vec![file])]);
}

#[test]
fn an_object_restored_after_its_rejection_is_named_until_it_is_loaded_again() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let deployment = Deployment::embedded(dir.path());
    deployment.run_ok(&["migrate"]);
    let mut receiving = deployment.start(&["receive"]);
    let id = fresh_id();
    let body = event(&id, "parcel", "InTransit", "2026-07-09T11:00:00+00:00");
    assert_eq!(post(receiving.listen(), body.as_bytes()).expect("an answer").status, 200);
    receiving.terminate();
    assert!(receiving.wait().success());
    deployment.run_ok(&["batch", "--once"]);
    let object = files(&dir.path().join("lake/events")).remove(0);
    let whole = std::fs::read(&object).expect("the object");
    std::fs::write(&object, b"damaged").expect("damaged");
    let _ = deployment.run(&["load", "--once"]);
    let done = Done { _dir: dir, deployment, ids: vec![id.clone()] };
    let kinds =
        |found: Vec<(String, Vec<String>)>| found.into_iter().map(|(kind, _)| kind).collect::<Vec<_>>();
    assert!(kinds(done.found()).contains(&"object_changed".to_owned()));

    std::fs::write(&object, whole).expect("restored");

    assert_eq!(done.found(), [("not_loaded".to_owned(), vec![id])], "it would never be loaded");
    done.by_hand("delete from raw.loaded_file; delete from raw.rejected_row where line = 0;");
    done.deployment.run_ok(&["load", "--once"]);
    assert_eq!(done.found(), []);
}

#[test]
fn what_the_local_places_say_is_told_though_aftership_is_away() {
    let done = Done::ended();
    // Nobody listens there.
    let deployment = done
        .deployment
        .clone()
        .with("WAYBILL_AFTERSHIP_API_KEY", API_KEY)
        .with("WAYBILL_AFTERSHIP_API_URL", "http://127.0.0.1:1/tracking/2026-07");

    let (code, report) = reconcile(&deployment, &[]);

    assert_eq!((code, open(&report)), (Some(1), Vec::new()), "{report:#}");
    assert_eq!(report["is_clean"], false);
    assert!(texts(&report["notes"]).iter().any(|note| note.contains("AfterShip's list was not compared")));
    assert_eq!(sum(&report, |minute| minute["landed"]["count"].as_u64()), EVENTS as u64);
}

#[test]
fn a_lost_receipt_is_named_and_no_event_for_it() {
    let done = Done::ended();
    let receipts = files(&done.lake("receipts"));
    std::fs::remove_file(&receipts[0]).expect("a receipt");

    let found = done.found();

    let [(kind, writers)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(kind, "receipt_missing");
    assert!(receipts[0].to_string_lossy().contains(&writers[0]), "{writers:?}");
}

#[test]
fn a_killed_receiver_is_no_loss() {
    let (done, mut up) = Done::begin();
    let deadline = Instant::now() + PATIENCE;
    while files(&done.lake("receivers")).is_empty() {
        assert!(Instant::now() < deadline, "no mark of its beginning");
        std::thread::park_timeout(std::time::Duration::from_millis(10));
    }
    up.kill();

    let (code, report) = reconcile(&done.deployment, &[]);

    assert_eq!((code, open(&report)), (Some(0), Vec::new()), "{report:#}");
    let kinds: Vec<String> =
        report["differences"].as_array().expect("an array").iter().map(|one| text(&one["kind"])).collect();
    assert_eq!(kinds, ["receiver_died"]);
}

#[test]
fn a_rebuild_shows_what_no_count_does() {
    let done = Done::ended();
    let (code, report) = reconcile(&done.deployment, &["--rebuild"]);
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(report["rebuilt"][1]["rows"], EVENTS);

    done.by_hand("update base.fct_shipment_tracking set tag = 'Delivered' where tracking_id = 'parcel1'");

    assert_eq!(done.found(), [], "no count and no hash has changed");
    let (code, report) = reconcile(&done.deployment, &["--rebuild"]);
    assert_eq!(code, Some(1));
    let rebuilt = &report["rebuilt"][1];
    assert_eq!((&rebuilt["table"], &rebuilt["changed"]), (&"base.fct_shipment_tracking".into(), &1.into()));
    assert_eq!(texts(&rebuilt["trackings"]), ["parcel1"]);
}

/// AfterShip's stand-in, whose webhooks are signed with a secret that nobody here knows; and its API's address.
fn refused_for_good(dir: &Path, url: &str) -> (Running, String) {
    let deployment = Deployment::embedded(dir);
    let standin = deployment.start(&[
        "simulate",
        "--url",
        url,
        "--secret",
        "a-secret-of-somebody-else-0123",
        "--count",
        "60",
        "--seed",
        "7",
        "--api-listen",
        "127.0.0.1:0",
        "--api-key",
        API_KEY,
        "--api-rate-limit",
        "0",
    ]);
    let deadline = Instant::now() + PATIENCE;
    while !standin.stderr().contains("all events have happened") {
        assert!(Instant::now() < deadline, "events go on:\n{}", standin.stderr());
        std::thread::park_timeout(std::time::Duration::from_millis(10));
    }
    let ports = files(dir).into_iter().find(|path| path.to_string_lossy().contains("ports-"));
    let ports: Value =
        serde_json::from_slice(&std::fs::read(ports.expect("a ports file")).expect("readable"))
            .expect("JSON");
    (standin, format!("http://{}/tracking/2026-07", text(&ports["api"])))
}

#[test]
fn an_outage_in_which_webhooks_were_refused_for_good_is_healed() {
    let dirs = [(); 2].map(|()| tempfile::tempdir().expect("temporary folder"));
    let deployment = Deployment::embedded(dirs[0].path());
    deployment.run_ok(&["migrate"]);
    let mut receiving = deployment.start(&["receive"]);
    let url = format!("http://{}/webhooks/aftership", receiving.listen());
    let (_standin, api) = refused_for_good(dirs[1].path(), &url);
    receiving.terminate();
    assert!(receiving.wait().success());
    // Of what is younger than a poll nobody can tell whether it is on its way.
    let deployment = deployment
        .with("WAYBILL_AFTERSHIP_API_KEY", API_KEY)
        .with("WAYBILL_AFTERSHIP_API_URL", &api)
        .with("WAYBILL_POLL_INTERVAL", "1s");

    let (code, report) = reconcile(&deployment, &["--since", "60d"]);
    assert_eq!(code, Some(1), "{report:#}");
    let behind = report["aftership"]["behind"].as_u64().expect("a number");
    assert!(behind > 0 && report["aftership"]["listed"] == behind, "{report:#}");
    assert_eq!(open(&report).iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>(), ["behind_aftership"]);
    assert!(sum(&report, |minute| minute["rejected"]["signature_mismatch"].as_u64()) > 0);
    let unasked = deployment.run(&["reconcile", "--since", "60d", "--heal"]);
    assert!(String::from_utf8_lossy(&unasked.stderr).contains("--yes"));

    let heal = ["--since", "60d", "--heal", "--yes", "--reason", "wrong secret"];
    let (code, report) = reconcile(&deployment, &heal);

    assert_eq!((code, report["healed"]["sent"].as_u64()), (Some(0), Some(behind)), "{report:#}");
    deployment.run_ok(&["batch", "--once"]);
    deployment.run_ok(&["load", "--once"]);
    let (code, report) = reconcile(&deployment, &["--since", "60d"]);
    assert_eq!((code, &report["aftership"]["behind"]), (Some(0), &Value::from(0)), "{report:#}");
    let healed =
        "select count(*) as n from raw.tracking_event where source = 'api' and replay_id like 'heal-%'";
    assert_eq!(deployment.count(healed), i64::try_from(behind).expect("few"));
    let audit: String = files(&dirs[0].path().join("lake/audit"))
        .iter()
        .map(|path| std::fs::read_to_string(path).expect("a record"))
        .collect();
    assert!(audit.contains("\"heal\"") && audit.contains("wrong secret"), "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sqs_s3_and_postgres_agree_and_what_is_done_there_by_hand_is_named() {
    let setup = Setup::start(Pairing::Aws).await;
    let deployment = setup.deployment.clone();
    let ids: Vec<String> = (0..EVENTS).map(|_| fresh_id()).collect();
    let sent = ids.clone();
    let checked = tokio::task::spawn_blocking(move || {
        let mut up = deployment.start(&["up"]);
        for (number, id) in sent.iter().enumerate() {
            let body = event(id, &format!("parcel{number}"), "InTransit", "2026-07-09T11:00:00+00:00");
            assert_eq!(post(up.listen(), body.as_bytes()).expect("an answer").status, 200);
        }
        deployment.await_count("select count(*) as n from base.fct_shipment_tracking", EVENTS as i64);
        up.terminate();
        assert!(up.wait().success());
        reconcile(&deployment, &["--deep", "--rebuild"])
    });
    let (code, report) = checked.await.expect("the journey ends");
    assert_eq!((code, open(&report)), (Some(0), Vec::new()), "{report:#}");
    assert_eq!(report["rebuilt"][1]["rows"], EVENTS, "{report:#}");

    let (gone, forged) = (&ids[0], "00000000-0000-4000-8000-00000000f00d");
    setup.by_hand(&format!("delete from raw.tracking_event where event_key = '{gone}'")).await;
    setup
        .by_hand(&format!(
            "insert into raw.tracking_event select (jsonb_populate_record(e, '{{\"event_key\": \"{forged}\"}}')).*
             from raw.tracking_event as e where event_key = '{}'",
            ids[1]
        ))
        .await;
    let deployment = setup.deployment.clone();
    let checked = tokio::task::spawn_blocking(move || reconcile(&deployment, &[]));
    let (code, report) = checked.await.expect("the journey ends");

    let found = open(&report);
    assert_eq!(code, Some(1), "{report:#}");
    assert!(found.contains(&("row_missing".to_owned(), vec![gone.clone()])), "{found:?}");
    assert!(found.contains(&("row_forged".to_owned(), vec![forged.to_owned()])), "{found:?}");
}
