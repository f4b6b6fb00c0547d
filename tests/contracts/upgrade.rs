//! A warehouse of version 1 becomes one of this program's version, and keeps what it holds.

use std::sync::Arc;

use waybill::warehouse::duckdb::{DuckDbOptions, DuckDbWarehouse};
use waybill::warehouse::postgres::PostgresWarehouse;
use waybill::warehouse::{SCHEMA_VERSION, SchemaState, Warehouse};

use super::shop::{load, no_orphans, rows};
use crate::support::process::Postgres;

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
