//! A program writes into a schema of its own version only, however long ago it looked: another one may have brought the
//! schema further since.

use std::sync::Arc;

use waybill::warehouse::duckdb::{DuckDbOptions, DuckDbWarehouse};
use waybill::warehouse::postgres::PostgresWarehouse;
use waybill::warehouse::redshift::RedshiftWarehouse;
use waybill::warehouse::{Erasure, SCHEMA_VERSION, Warehouse, WarehouseError};

use super::shop::{file, rows};
use super::warehouse::{line_of, one_parcel, set};
use crate::support::process::Postgres;
use crate::support::staging::MemoryStaging;
use crate::support::waybill::event;

const NEWER: i32 = 99;

const COUNTS: [&str; 5] = [
    "select count(*) from raw.loaded_file",
    "select count(*) from raw.tracking_event",
    "select count(*) from base.dim_department",
    "select count(*) from mart.published",
    // Partitions, too.
    "select count(*) from information_schema.tables where table_schema = 'base'",
];

async fn counts(warehouse: &dyn Warehouse) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for sql in COUNTS {
        all.push(rows(warehouse, sql).await);
    }
    all
}

fn is_refused<T: std::fmt::Debug>(what: &str, outcome: Result<T, WarehouseError>) {
    let text = match outcome {
        Err(WarehouseError::Refused(text)) => text,
        other => panic!("{what}: {other:?}"),
    };
    for part in
        [format!("at version {NEWER}"), format!("writes {SCHEMA_VERSION}"), "end this program".to_owned()]
    {
        assert!(text.contains(&part), "{what}: {part} is not in {text}");
    }
}

/// `by_hand`: runs a statement as another program.
async fn nothing_is_written_into_a_newer_schema(warehouse: &dyn Warehouse, by_hand: impl AsyncFn(&str)) {
    warehouse.migrate().await.expect("migrated");
    one_parcel(warehouse).await;
    let before = counts(warehouse).await;
    let body =
        event("0e0e0e0e-0000-4000-8000-000000000002", "second", "InTransit", "2026-07-09T11:00:00+00:00");
    let second = || set("events/two.jsonl", &[line_of(&body, "2026-07-09T11:00:02Z")]);
    let departments = || Arc::new(file("departments/2026-07-01.csv", b"1,Boats\n"));

    by_hand(&format!("insert into raw.schema_version values ({NEWER}, now())")).await;

    is_refused("trackings", warehouse.load(second()).await);
    is_refused("shop files", warehouse.load_shop(departments(), false).await);
    let orders = Arc::new(file("orders/2019-01-31.csv", b"1,2019-01-31 00:00:00.0,11,CLOSED\n"));
    is_refused("a month of its own", warehouse.load_shop(orders, false).await);
    is_refused("marts", warehouse.refresh_marts(true).await);
    is_refused("erasures", warehouse.erase(Erasure::default()).await);
    is_refused("customers", warehouse.erase_customer(7, "ticket 4711").await);
    assert_eq!(counts(warehouse).await, before);

    // The same calls, once the schema is this program's again: none of them was left half done.
    by_hand(&format!("delete from raw.schema_version where version = {NEWER}")).await;
    assert_eq!(warehouse.load(second()).await.expect("loaded")[0].inserted, 1);
    assert!(warehouse.load_shop(departments(), false).await.expect("loaded").is_new);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_program_writes_nothing_into_a_newer_duckdb_file() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("w.duckdb");
    let warehouse = DuckDbWarehouse::open(path.clone(), DuckDbOptions::default()).expect("a warehouse");

    nothing_is_written_into_a_newer_schema(&warehouse, async |sql| {
        // The file is closed between the calls of its only user.
        let connection = duckdb::Connection::open(&path).expect("the file is free");
        connection.execute_batch(sql).expect("the statement succeeds");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_program_writes_nothing_into_a_newer_postgres_database() {
    let postgres = Postgres::shared().await;
    let url = postgres.create_database("schema_age").await;
    let warehouse = PostgresWarehouse::open(&url).expect("a warehouse");

    nothing_is_written_into_a_newer_schema(&warehouse, async |sql| {
        postgres.execute_in("schema_age", sql).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_program_writes_nothing_into_a_newer_schema_by_what_redshift_is_sent() {
    let postgres = Postgres::shared().await;
    let url = postgres.create_database("schema_age_redshift").await;
    let staging = Arc::new(MemoryStaging::default());
    let warehouse = RedshiftWarehouse::in_lab(&url, staging.clone()).expect("a warehouse");

    nothing_is_written_into_a_newer_schema(&warehouse, async |sql| {
        postgres.execute_in("schema_age_redshift", sql).await;
    })
    .await;

    assert_eq!(staging.count(), 0, "staged rows go with their load");
}
