//! What every warehouse promises, on a DuckDB file and on a PostgreSQL server. That order does not matter is held by
//! `journeys::order`, on both.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use waybill::event::{Event, line};
use waybill::load::read;
use waybill::warehouse::duckdb::{DuckDbOptions, DuckDbWarehouse};
use waybill::warehouse::postgres::PostgresWarehouse;
use waybill::warehouse::redshift::RedshiftWarehouse;
use waybill::warehouse::rows::LoadSet;
use waybill::warehouse::{Cell, SCHEMA_VERSION, SchemaState, Warehouse, WarehouseError};

use crate::support::process::Postgres;
use crate::support::staging::MemoryStaging;
use crate::support::waybill::event;

fn at(text: &str) -> Timestamp {
    text.parse().expect("instant")
}

pub fn line_of(body: &str, received_at: &str) -> String {
    let body = Bytes::copy_from_slice(body.as_bytes());
    let event_id = waybill::aftership::webhook::read(&body).ok().and_then(|webhook| webhook.event_id.clone());
    let event = Event::received(body, event_id, false, at(received_at));
    String::from_utf8(line::encode(&event)).expect("UTF-8")
}

pub fn set(file: &str, lines: &[String]) -> LoadSet {
    read::combine(vec![read::read(file, at("2026-07-09T12:00:00Z"), &Bytes::from(lines.join("\n")))])
}

/// Loads one event of one parcel.
pub async fn one_parcel(warehouse: &dyn Warehouse) {
    let line = line_of(&body(1, "parcel", "Delivered"), "2026-07-09T11:00:01Z");
    warehouse.load(set("events/one.jsonl", &[line])).await.expect("loaded");
    assert_eq!(count(warehouse, "base.fct_tracking_checkpoint").await, 1);
}

fn body(number: u32, tracking: &str, tag: &str) -> String {
    event(&format!("0e0e0e0e-0000-4000-8000-{number:012}"), tracking, tag, "2026-07-09T11:00:00+00:00")
}

async fn count(warehouse: &dyn Warehouse, table: &str) -> i64 {
    let answer = warehouse.query(&format!("select count(*) as n from {table}")).await.expect("query");
    match answer.rows[0][0] {
        Cell::Int(count) => count,
        ref other => panic!("{other:?} is no count"),
    }
}

async fn migrating_twice_is_as_good_as_once(warehouse: &Arc<dyn Warehouse>) {
    assert_eq!(warehouse.schema_state().await.expect("state"), SchemaState::Missing);
    assert_eq!(warehouse.migrate().await.expect("migrate"), 0);
    assert_eq!(warehouse.migrate().await.expect("migrate"), SCHEMA_VERSION);
    assert_eq!(warehouse.schema_state().await.expect("state"), SchemaState::Current);
    assert_eq!(warehouse.landed_until().await.expect("ledger"), None);
}

async fn a_file_is_loaded_once_and_every_line_has_an_outcome(warehouse: &Arc<dyn Warehouse>) {
    let first = line_of(&body(1, "t1", "InTransit"), "2026-07-09T12:00:01Z");
    let conflicting = line_of(&body(1, "t1", "Delivered"), "2026-07-09T12:00:02Z");
    let lines = [
        first.clone(),
        first,
        conflicting,
        "no line".to_owned(),
        line_of(&body(2, "t2", "Exception"), "2026-07-09T12:00:03Z"),
    ];
    let files = vec!["events/b.jsonl".to_owned(), "events/a.jsonl".to_owned()];
    assert_eq!(warehouse.unloaded(files.clone()).await.expect("ledger"), files);

    let outcome = warehouse.load(set("events/a.jsonl", &lines)).await.expect("load").remove(0);
    let again = warehouse.load(set("events/a.jsonl", &lines)).await.expect("load");

    assert_eq!(
        (outcome.lines, outcome.inserted, outcome.duplicate, outcome.conflict, outcome.rejected),
        (5, 2, 1, 1, 1)
    );
    assert!(again.is_empty(), "{again:?}");
    assert_eq!(warehouse.unloaded(files).await.expect("ledger"), ["events/b.jsonl"]);
    assert_eq!(count(warehouse.as_ref(), "raw.tracking_event").await, 2);
    assert_eq!(count(warehouse.as_ref(), "raw.tracking_event_conflict").await, 1);
    assert_eq!(count(warehouse.as_ref(), "raw.rejected_row").await, 1);
    assert_eq!(count(warehouse.as_ref(), "base.fct_shipment_tracking").await, 2);
    assert_eq!(warehouse.landed_until().await.expect("ledger"), Some(at("2026-07-09T12:00:00Z")));
}

/// `longest`: bytes of a text that the engine takes whole.
async fn odd_and_large_texts_survive(warehouse: &Arc<dyn Warehouse>, longest: usize) {
    let long = "x".repeat(longest);
    let body =
        body(3, "odd", "InTransit").replace("Zürich", &format!(r#"tab\t\n\r\\N \"quoted\" 📦 {long}"#));

    warehouse.load(set("events/odd.jsonl", &[line_of(&body, "2026-07-09T12:00:04Z")])).await.expect("load");

    let sql = "select location from base.fct_tracking_checkpoint where tracking_id = 'odd'";
    let expected = format!("tab\t\n\r\\N \"quoted\" 📦 {long}");
    assert!(warehouse.query(sql).await.expect("query").rows[0][0] == Cell::Text(expected));
}

async fn an_unreadable_object_is_rejected_as_a_whole(warehouse: &Arc<dyn Warehouse>) {
    let damaged =
        read::read("events/bad.jsonl.gz", at("2026-07-09T12:00:00Z"), &Bytes::from_static(b"no gzip"));

    let outcome = warehouse.load(read::combine(vec![damaged])).await.expect("load").remove(0);

    assert_eq!((outcome.status.as_str(), outcome.lines, outcome.rejected), ("rejected", 0, 0));
}

async fn two_loaders_at_once_double_nothing(warehouse: &Arc<dyn Warehouse>) {
    let lines: Vec<String> = (100..150)
        .map(|number| line_of(&body(number, &format!("c{number}"), "InTransit"), "2026-07-09T12:00:05Z"))
        .collect();
    let before = count(warehouse.as_ref(), "raw.tracking_event").await;

    let loads = (0..4).map(|_| warehouse.load(set("events/c.jsonl", &lines)));
    let outcomes: usize = futures_util::future::join_all(loads)
        .await
        .into_iter()
        .map(|outcome| outcome.expect("load").len())
        .sum();

    assert_eq!(outcomes, 1, "one of the four had the file");
    assert_eq!(count(warehouse.as_ref(), "raw.tracking_event").await, before + 50);
    assert_eq!(
        count(warehouse.as_ref(), "base.fct_tracking_checkpoint where tracking_id like 'c1%'").await,
        50
    );
}

async fn a_query_reads_and_nothing_else(warehouse: &Arc<dyn Warehouse>) {
    for sql in [
        "delete from raw.loaded_file",
        "create table x (a int)",
        "select 1; select 2",
        "select 1; delete from raw.loaded_file",
        "insert into raw.schema_version values (9, now())",
        "nonsense",
        "",
    ] {
        let outcome = warehouse.query(sql).await;
        assert!(matches!(outcome, Err(WarehouseError::Query(_))), "{sql}: {outcome:?}");
    }
    let answer = warehouse
        .query(
            "select 1 as a, cast(12.5 as decimal(12, 2)) as b, true as c, cast('2026-07-09' as date) as d,
             cast('2026-07-09 12:00:00+00' as timestamptz) as e, cast(null as text) as f, 'x' as g",
        )
        .await
        .expect("query");
    assert_eq!(answer.columns, ["a", "b", "c", "d", "e", "f", "g"]);
    assert_eq!(
        answer.rows,
        [vec![
            Cell::Int(1),
            Cell::Exact("12.50".into()),
            Cell::Bool(true),
            Cell::Day("2026-07-09".parse().expect("day")),
            Cell::Instant(at("2026-07-09T12:00:00Z")),
            Cell::Null,
            Cell::Text("x".into()),
        ]]
    );
}

/// Comes last: it leaves a schema that this program does not touch.
async fn a_schema_of_a_newer_program_is_refused(
    warehouse: &Arc<dyn Warehouse>,
    as_newer: impl AsyncFn(&str),
) {
    as_newer("insert into raw.schema_version values (99, now())").await;

    assert_eq!(warehouse.schema_state().await.expect("state"), SchemaState::Newer(99));
    let outcome = warehouse.migrate().await;
    assert!(
        matches!(&outcome, Err(WarehouseError::Refused(reason)) if reason.contains("99")),
        "the version found is named: {outcome:?}"
    );
}

async fn every_promise(warehouse: Arc<dyn Warehouse>, longest: usize) {
    migrating_twice_is_as_good_as_once(&warehouse).await;
    a_file_is_loaded_once_and_every_line_has_an_outcome(&warehouse).await;
    odd_and_large_texts_survive(&warehouse, longest).await;
    an_unreadable_object_is_rejected_as_a_whole(&warehouse).await;
    two_loaders_at_once_double_nothing(&warehouse).await;
    a_query_reads_and_nothing_else(&warehouse).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn duckdb_keeps_every_promise() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("w.duckdb");
    let warehouse: Arc<dyn Warehouse> =
        Arc::new(DuckDbWarehouse::open(path.clone(), DuckDbOptions::default()).expect("warehouse"));
    every_promise(Arc::clone(&warehouse), 900_000).await;

    a_schema_of_a_newer_program_is_refused(&warehouse, async |sql| {
        // The file is closed between the calls of its only user.
        let connection = duckdb::Connection::open(&path).expect("the file is free");
        connection.execute_batch(sql).expect("the statement succeeds");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_every_promise() {
    let postgres = Postgres::start().await;
    let url = postgres.create_database("promises").await;
    let warehouse: Arc<dyn Warehouse> = Arc::new(PostgresWarehouse::open(&url).expect("warehouse"));
    every_promise(Arc::clone(&warehouse), 900_000).await;

    a_schema_of_a_newer_program_is_refused(&warehouse, async |sql| {
        let (client, connection) =
            tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("the server takes connections");
        let connection = tokio::spawn(connection);
        client.batch_execute(sql).await.expect("the statement succeeds");
        drop(client);
        connection.await.expect("the connection's task ends").expect("the connection ends in order");
    })
    .await;
}

/// Redshift's own statements, as far as PostgreSQL understands them: see `src/warehouse/redshift/lab.rs`.
#[tokio::test(flavor = "multi_thread")]
async fn what_redshift_is_sent_keeps_every_promise_on_postgres() {
    let postgres = Postgres::shared().await;
    let url = postgres.create_database("redshift_promises").await;
    let staging = Arc::new(MemoryStaging::default());
    let warehouse: Arc<dyn Warehouse> =
        Arc::new(RedshiftWarehouse::in_lab(&url, staging.clone()).expect("warehouse"));

    every_promise(Arc::clone(&warehouse), 65_000).await;

    assert_eq!(staging.count(), 0, "staged rows go with their load");
}
