//! Erasing in a warehouse leaves what a load of the erased bodies would give, on both engines.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use waybill::aftership::simulator::{Simulator, SimulatorOptions, Version};
use waybill::aftership::{personal, webhook};
use waybill::event::{Event, Redacted, line};
use waybill::load::read;
use waybill::warehouse::duckdb::{DuckDbOptions, DuckDbWarehouse};
use waybill::warehouse::postgres::PostgresWarehouse;
use waybill::warehouse::redshift::RedshiftWarehouse;
use waybill::warehouse::rows::LoadSet;
use waybill::warehouse::{Cell, Erasure, Warehouse};

use crate::support::process::Postgres;
use crate::support::staging::MemoryStaging;
use crate::support::waybill::event;

const TABLES: [&str; 7] = [
    "select event_key, event_id, event, tracking_id, source, received_at, body_sha256, event_date, is_test, file, line
     from raw.tracking_event order by event_key",
    "select event_key, body_sha256, tracking_id from raw.tracking_event_conflict order by event_key, body_sha256",
    "select legacy_id, tracking_id from raw.tracking_alias order by legacy_id",
    "select * from base.fct_shipment_tracking order by source_tracking_id",
    "select * from base.fct_tracking_checkpoint order by source_tracking_id, checkpoint_key",
    "select * from raw.superseded_tracking order by source_tracking_id",
    "select * from raw.superseded_checkpoint order by source_tracking_id, checkpoint_key",
];

fn at(text: &str) -> Timestamp {
    text.parse().expect("instant")
}

async fn tables(warehouse: &dyn Warehouse) -> Vec<Vec<Vec<Cell>>> {
    let mut tables = Vec::new();
    for sql in TABLES {
        tables.push(warehouse.query(sql).await.expect("query").rows);
    }
    tables
}

async fn number(warehouse: &dyn Warehouse, sql: &str) -> i64 {
    match warehouse.query(sql).await.expect("query").rows[0][0] {
        Cell::Int(number) => number,
        ref other => panic!("{other:?} is no number"),
    }
}

/// Bodies of all versions; trackings that took others over; checkpoints that differ by their words alone; a parcel
/// that is known by its number.
fn bodies() -> Vec<String> {
    let options = SimulatorOptions { version: Version::Mixed, ..SimulatorOptions::default() };
    let simulated = Simulator::new(5, options).take(80);
    let mut bodies: Vec<String> =
        simulated.map(|delivery| String::from_utf8(delivery.body).expect("UTF-8")).collect();
    let plain = |number: u32, tracking: &str, minute: u32| {
        let id = format!("0e0e0e0e-0000-4000-8000-{number:012}");
        event(&id, tracking, "InTransit", &format!("2026-07-09T11:{minute:02}:00+00:00"))
    };
    let taken = |number: u32, new: &str, old: &str, minute: u32| {
        plain(number, new, minute).replacen(r#""slug""#, &format!(r#""legacy_id":"{old}","slug""#), 1)
    };
    let scan = |message: &str, time: &str| {
        format!(
            r#"{{"slug":"dhl","checkpoint_time":"{time}","tag":"InTransit","raw_tag":"ü","message":"{message}","location":"Kiel","city":"","state":" "}}"#
        )
    };
    let (one, other) = ("2026-07-09T10:00:00", "2026-07-09T10:05:00+02:00");
    let scans =
        [scan("with Ada", one), scan("with Eve", one), scan("with Ada", other), scan("with Ada", one)];
    let colliding = plain(1, "collide", 1);
    let (head, _) = colliding.split_once(r#""checkpoints":"#).expect("checkpoints");
    bodies.push(format!(r#"{head}"checkpoints":[{}]}}}}"#, scans.join(",")));
    bodies.extend([
        plain(2, "old1", 2),
        taken(3, "new1", "old1", 3),
        plain(4, "old1", 4),
        taken(5, "new2", "old2", 6),
        plain(6, "old2", 5),
        plain(7, "gone", 7).replacen(r#""id":"gone","#, "", 1),
        plain(8, "untouched", 8),
    ]);
    bodies
}

/// Which trackings are erased, and with their numbers.
fn chosen(bodies: &[String]) -> BTreeMap<String, bool> {
    let named = [("collide", true), ("old1", false), ("new1", false), ("old2", true), ("new2", true)];
    let mut chosen: BTreeMap<String, bool> =
        named.into_iter().map(|(id, with_numbers)| (id.to_owned(), with_numbers)).collect();
    chosen.insert("dhl/N-gone".to_owned(), true);
    for (index, body) in bodies.iter().take(80).enumerate() {
        let id = webhook::read(body.as_bytes()).expect("readable").tracking_id();
        if id.bytes().map(u32::from).sum::<u32>() % 2 == 0 {
            chosen.entry(id).or_insert(index % 3 == 0);
        }
    }
    chosen
}

fn set(bodies: &[String], erased: &BTreeMap<String, bool>) -> LoadSet {
    let mut lines: Vec<String> = bodies
        .iter()
        .map(|text| {
            let body = Bytes::copy_from_slice(text.as_bytes());
            let webhook = webhook::read(text.as_bytes()).expect("readable");
            let (event_id, id) = (webhook.event_id.clone(), webhook.tracking_id());
            let mut event = Event::received(body, event_id, webhook.is_test(), at("2026-07-09T12:00:00Z"));
            if let Some(less) = erased.get(&id).and_then(|numbers| personal::erase(&event.body, *numbers)) {
                event = event.with_body(Bytes::from(less), Redacted::Erased);
            }
            String::from_utf8(line::encode(&event)).expect("UTF-8")
        })
        .collect();
    lines.push("no line, but one of ADA@example.com".to_owned());
    lines.push("no line of anybody".to_owned());
    let file = "events/dt=2026-07-09/hour=12/minute=00/a.jsonl";
    read::combine(vec![read::read(file, at("2026-07-09T12:00:00Z"), &Bytes::from(lines.join("\n")))])
}

async fn erasing_equals_loading_erased_bodies(erased: Arc<dyn Warehouse>, expected: Arc<dyn Warehouse>) {
    let bodies = bodies();
    let chosen = chosen(&bodies);
    for warehouse in [&erased, &expected] {
        warehouse.migrate().await.expect("migrate");
    }
    expected.load(set(&bodies, &chosen)).await.expect("load");
    erased.load(set(&bodies, &BTreeMap::new())).await.expect("load");
    let ledger = "select sum(lines + inserted * 3 + duplicate * 5 + conflict * 7 + rejected * 11)::bigint as n from raw.loaded_file";
    let (before, sum) = (tables(erased.as_ref()).await, number(erased.as_ref(), ledger).await);
    assert_ne!(before, tables(expected.as_ref()).await);

    let erasure =
        Erasure { trackings: chosen.into_iter().collect(), words: vec!["Ada@example.com".to_owned()] };
    for round in 1..=2 {
        erased.erase(erasure.clone()).await.expect("erase");

        let (found, wanted) = (tables(erased.as_ref()).await, tables(expected.as_ref()).await);
        for ((found, wanted), sql) in found.iter().zip(&wanted).zip(TABLES) {
            assert_eq!(found, wanted, "round {round}: {sql}");
        }
        assert_eq!(number(erased.as_ref(), ledger).await, sum);
        let texts = "select count(text)::bigint as n from raw.rejected_row";
        assert_eq!(number(erased.as_ref(), texts).await, 1, "the other reject keeps its text");
    }
    let collided =
        "select count(*) as n from base.fct_tracking_checkpoint where source_tracking_id = 'collide'";
    assert_eq!(number(erased.as_ref(), collided).await, 2);

    // What is loaded on top later is merged as ever.
    let mut more = set(&[bodies[0].clone(), bodies[87].clone()], &BTreeMap::new());
    more.files[0].file.push_str(".later.jsonl");
    let outcome = erased.load(more).await.expect("load").remove(0);
    assert_eq!((outcome.inserted, outcome.duplicate, outcome.rejected), (0, 2, 2));
}

async fn trackings_are_known_by_all_their_ids(warehouse: Arc<dyn Warehouse>) {
    let known = async |ids: &[&str], number: Option<&str>| {
        let ids = ids.iter().map(|id| (*id).to_owned()).collect();
        warehouse.known_as(ids, number.map(str::to_owned)).await.expect("look")
    };

    assert_eq!(known(&["old1"], None).await, ["new1", "old1"]);
    assert_eq!(known(&["new1"], None).await, ["new1", "old1"]);
    assert_eq!(known(&["new2"], None).await, ["new2", "old2"]);
    assert_eq!(known(&["untouched", "nobody"], None).await, ["untouched"]);
    assert_eq!(known(&["N-untouched"], None).await, [""; 0], "a number is no id");
    assert_eq!(known(&["N-untouched"], Some("N-untouched")).await, ["untouched"]);
    assert_eq!(known(&[], Some("'; drop schema base; --")).await, [""; 0]);
    assert_eq!(known(&[], None).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn duckdb_erases() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let [erased, expected] = ["erased", "expected"].map(|name| -> Arc<dyn Warehouse> {
        let path = dir.path().join(name).with_extension("duckdb");
        Arc::new(DuckDbWarehouse::open(path, DuckDbOptions::default()).expect("warehouse"))
    });
    erasing_equals_loading_erased_bodies(Arc::clone(&erased), expected).await;
    trackings_are_known_by_all_their_ids(erased).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_erases() {
    let postgres = Postgres::start().await;
    let (one, other) = (postgres.create_database("erased").await, postgres.create_database("expected").await);
    let [erased, expected] = [one, other]
        .map(|url| -> Arc<dyn Warehouse> { Arc::new(PostgresWarehouse::open(&url).expect("warehouse")) });
    erasing_equals_loading_erased_bodies(Arc::clone(&erased), expected).await;
    trackings_are_known_by_all_their_ids(erased).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_redshift_is_sent_erases_on_postgres() {
    let postgres = Postgres::start().await;
    let (one, other) = (postgres.create_database("erased").await, postgres.create_database("expected").await);
    let [erased, expected] = [one, other].map(|url| -> Arc<dyn Warehouse> {
        let staging = Arc::new(MemoryStaging::default());
        Arc::new(RedshiftWarehouse::in_lab(&url, staging).expect("warehouse"))
    });
    erasing_equals_loading_erased_bodies(Arc::clone(&erased), expected).await;
    trackings_are_known_by_all_their_ids(erased).await;
}
