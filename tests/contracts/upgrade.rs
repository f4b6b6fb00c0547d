//! A warehouse of version 1 becomes one of this program's version, and keeps what it holds.

use std::sync::Arc;

use waybill::warehouse::duckdb::{DuckDbOptions, DuckDbWarehouse};
use waybill::warehouse::postgres::PostgresWarehouse;
use waybill::warehouse::redshift::RedshiftWarehouse;
use waybill::warehouse::{SCHEMA_VERSION, SchemaState, Warehouse};

use super::shop::{load, no_orphans, rows};
use crate::support::process::Postgres;
use crate::support::staging::MemoryStaging;

/// A row of each table that the upgrade changes.
const ROWS: &str = "insert into raw.schema_version values (1, now());
    insert into raw.loaded_file (file, dataset, status, lines, inserted, updated, unchanged, duplicate, conflict, waiting,
      rejected, landed_at, loaded_at) values ('events/a.jsonl', 'tracking', 'loaded', 2, 1, 0, 0, 0, 0, 0, 1, now(), now());
    insert into raw.rejected_row (file, line, reason, text, dataset, rejected_at)
      values ('events/a.jsonl', 2, 'line_not_json', 'x', 'tracking', now());";

async fn is_upgraded(warehouse: &Arc<dyn Warehouse>) {
    assert_eq!(warehouse.schema_state().await.expect("state"), SchemaState::Old(1));
    assert_eq!(warehouse.migrate().await.expect("migrated"), 1);
    assert_eq!(warehouse.schema_state().await.expect("state"), SchemaState::Current);
    assert_eq!(warehouse.migrate().await.expect("migrated"), SCHEMA_VERSION);

    let warehouse = warehouse.as_ref();
    assert_eq!(
        rows(warehouse, "select file, generation, lines, sha256 from raw.loaded_file").await,
        ["events/a.jsonl|0|2|-"]
    );
    assert_eq!(
        rows(warehouse, "select file, line, generation, status from raw.rejected_row").await,
        ["events/a.jsonl|2|0|open"]
    );
    assert_eq!(
        warehouse.unloaded(vec!["events/a.jsonl".to_owned()]).await.expect("ledger"),
        Vec::<String>::new()
    );
    load(warehouse, "departments/2026-07-01.csv", "1,Boats\n").await;
    assert_eq!(rows(warehouse, "select department_name from base.dim_department").await, ["Boats"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_1_on_duckdb_is_upgraded_with_its_rows() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("w.duckdb");
    let connection = duckdb::Connection::open(&path).expect("a file");
    connection.execute_batch(include_str!("../../src/warehouse/sql/schema/duckdb.sql")).expect("version 1");
    connection.execute_batch(ROWS).expect("rows");
    drop(connection);

    let warehouse: Arc<dyn Warehouse> =
        Arc::new(DuckDbWarehouse::open(path, DuckDbOptions::default()).expect("a warehouse"));
    is_upgraded(&warehouse).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_1_on_postgres_is_upgraded_with_its_rows() {
    let postgres = Postgres::start().await;
    let url = postgres.create_database("upgrade").await;
    postgres.execute_in("upgrade", include_str!("../../src/warehouse/sql/schema/postgres.sql")).await;
    postgres.execute_in("upgrade", ROWS).await;

    let warehouse: Arc<dyn Warehouse> = Arc::new(PostgresWarehouse::open(&url).expect("a warehouse"));
    is_upgraded(&warehouse).await;
}

/// What version 3 has more than version 2; a view of version 2 stays in the way.
const BACK_TO_2: &str = "drop view mart.courier_performance;
    drop view mart.delivery_performance;
    drop view mart.unlinked_tracking;
    drop view mart.unshipped_order_line;
    drop view base.bridge_order_line_tracking;
    create view base.bridge_order_line_tracking as select order_item_id from base.fct_order_line;
    create view mart.delivery_performance as select order_item_id from base.bridge_order_line_tracking;
    alter table base.fct_shipment_tracking drop column order_item_ids;
    alter table raw.superseded_tracking drop column order_item_ids;
    alter table base.dim_date drop column hours;
    alter table base.dim_date drop column is_clock_change;
    drop table base.business;
    drop view mart.revenue_by_customer;
    drop table raw.erased_customer;
    update raw.schema_version set version = 2 where version = 3;";

/// What version 4 has more than version 3.
const BACK_TO_3: &str = "drop table base.absence;
    alter table raw.loaded_file drop column is_full;
    update raw.schema_version set version = 3 where version = 4;";

/// The same, of PostgreSQL alone.
const BACK_TO_2_ON_POSTGRES: &str = "drop table raw.order_line_day;
    create index on base.fct_order_line (order_item_id);";

#[tokio::test(flavor = "multi_thread")]
async fn a_version_2_on_duckdb_is_upgraded_with_its_rows() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("w.duckdb");
    let open = || DuckDbWarehouse::open(path.clone(), DuckDbOptions::default()).expect("a warehouse");
    let warehouse = open();
    warehouse.migrate().await.expect("migrated");
    load(&warehouse, "orders/2026-05-31.csv", "10,2026-05-31 09:00:00,7,COMPLETE\n").await;
    load(&warehouse, "order_items/2026-05-31.csv", "1,10,100,2,20.00,10.00\n").await;
    drop(warehouse);
    let connection = duckdb::Connection::open(&path).expect("the file");
    connection.execute_batch(BACK_TO_3).expect("version 3");
    connection.execute_batch(BACK_TO_2).expect("version 2");
    drop(connection);

    let warehouse = open();
    assert_eq!(warehouse.migrate().await.expect("migrated"), 2);

    no_orphans(&warehouse).await;
    assert_eq!(
        rows(
            &warehouse,
            "select order_item_id, hours from base.fct_order_line join base.dim_date on date = order_date"
        )
        .await,
        ["1|24.00"]
    );
    assert_eq!(rows(&warehouse, "select count(*) from mart.courier_performance").await, ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_2_on_postgres_finds_its_lines_after_the_upgrade() {
    let postgres = Postgres::shared().await;
    let url = postgres.create_database("upgrade_from_2").await;
    let warehouse: Arc<dyn Warehouse> = Arc::new(PostgresWarehouse::open(&url).expect("a warehouse"));
    warehouse.migrate().await.expect("migrated");
    let shop = warehouse.as_ref();
    load(shop, "orders/2026-05-31.csv", "10,2026-05-31 09:00:00,7,COMPLETE\n").await;
    load(shop, "order_items/2026-05-31.csv", "1,10,100,2,20.00,10.00\n2,10,101,1,5.00,5.00\n").await;
    postgres.execute_in("upgrade_from_2", BACK_TO_3).await;
    postgres.execute_in("upgrade_from_2", BACK_TO_2).await;
    postgres.execute_in("upgrade_from_2", BACK_TO_2_ON_POSTGRES).await;

    assert_eq!(warehouse.schema_state().await.expect("state"), SchemaState::Old(2));
    assert_eq!(warehouse.migrate().await.expect("migrated"), 2);

    no_orphans(shop).await;
    // A line in another month, and one as it was: neither comes twice.
    load(shop, "orders/2026-06-02.csv", "10,2026-06-01 09:00:00,7,COMPLETE\n").await;
    load(shop, "order_items/2026-06-02.csv", "1,10,100,3,30.00,10.00\n2,10,101,1,5.00,5.00\n").await;
    assert_eq!(
        rows(shop, "select order_item_id, order_date, quantity from base.fct_order_line order by 1").await,
        ["1|2026-06-01|3", "2|2026-06-01|1"]
    );
    no_orphans(shop).await;
}

/// What landed before is the past of the first snapshot; a file of that time has declared nothing, whatever its name.
async fn version_3_holds_two_products(warehouse: &dyn Warehouse) {
    load(warehouse, "products/2026-07-01.csv", "1,1,Kayak,,1.00,\n2,1,Raft,,2.00,\n").await;
    load(warehouse, "products/2026-07-02.full.csv", "1,1,Kayak,,1.00,\n").await;
    // A duplicate of the first file, by the rules of then.
    load(warehouse, "products/2026-07-01-again.csv", "1,1,Kayak,,1.00,\n2,1,Raft,,2.00,\n").await;
}

async fn version_3_is_upgraded(warehouse: &dyn Warehouse) {
    assert_eq!(warehouse.schema_state().await.expect("state"), SchemaState::Old(3));
    assert_eq!(warehouse.migrate().await.expect("migrated"), 3);
    assert_eq!(warehouse.schema_state().await.expect("state"), SchemaState::Current);

    let absences = "select id, cast(absent_from at time zone 'UTC' as date) from base.absence";
    assert_eq!(rows(warehouse, absences).await, Vec::<String>::new());
    // What was taken for a duplicate is decided anew.
    assert_eq!(rows(warehouse, "select count(*) from raw.loaded_file where not is_full").await, ["2"]);
    load(warehouse, "products/2026-07-05.full.csv", "1,1,Kayak,,1.50,\n").await;
    assert_eq!(rows(warehouse, absences).await, ["2|2026-07-05"]);
    no_orphans(warehouse).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_3_on_duckdb_takes_snapshots_after_the_upgrade() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("w.duckdb");
    let open = || DuckDbWarehouse::open(path.clone(), DuckDbOptions::default()).expect("a warehouse");
    let warehouse = open();
    warehouse.migrate().await.expect("migrated");
    version_3_holds_two_products(&warehouse).await;
    drop(warehouse);
    let connection = duckdb::Connection::open(&path).expect("the file");
    connection.execute_batch(BACK_TO_3).expect("version 3");
    drop(connection);

    version_3_is_upgraded(&open()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_3_on_postgres_takes_snapshots_after_the_upgrade() {
    let postgres = Postgres::shared().await;
    let url = postgres.create_database("upgrade_from_3").await;
    let warehouse = PostgresWarehouse::open(&url).expect("a warehouse");
    warehouse.migrate().await.expect("migrated");
    version_3_holds_two_products(&warehouse).await;
    postgres.execute_in("upgrade_from_3", BACK_TO_3).await;

    version_3_is_upgraded(&warehouse).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_3_takes_snapshots_after_the_upgrade_that_redshift_is_sent() {
    let postgres = Postgres::shared().await;
    let url = postgres.create_database("upgrade_from_3_redshift").await;
    let staging = Arc::new(MemoryStaging::default());
    let warehouse = RedshiftWarehouse::in_lab(&url, staging).expect("a warehouse");
    warehouse.migrate().await.expect("migrated");
    version_3_holds_two_products(&warehouse).await;
    postgres.execute_in("upgrade_from_3_redshift", BACK_TO_3).await;

    version_3_is_upgraded(&warehouse).await;
}
