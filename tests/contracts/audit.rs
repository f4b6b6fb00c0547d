//! `waybill audit` finds what it looks for: each promise is broken once, by hand, and the check that names it fails.

use std::sync::Arc;

use waybill::warehouse::Warehouse;
use waybill::warehouse::duckdb::{DuckDbOptions, DuckDbWarehouse};
use waybill::warehouse::postgres::PostgresWarehouse;

use super::shop::{CHECKS, failed_checks, file, load, rows};
use crate::support::process::Postgres;

/// Which engine lets a promise be broken: the other one's own keys or checks forbid it.
#[derive(Clone, Copy, PartialEq)]
enum On {
    Both,
    DuckDb,
    Postgres,
}

/// The check, where, and what breaks what it checks.
const BROKEN: &[(&str, On, &str)] = &[
    (
        "ledger_balance",
        On::Postgres,
        "do $$ declare name text; begin
           for name in select conname from pg_constraint
             where conrelid = 'raw.loaded_file'::regclass and contype = 'c' loop
             execute 'alter table raw.loaded_file drop constraint ' || quote_ident(name);
           end loop; end $$;
         update raw.loaded_file set lines = lines + 1 where dataset = 'orders'",
    ),
    ("event_once", On::DuckDb, "insert into raw.tracking_event by name select * from raw.tracking_event"),
    ("event_count", On::Both, "delete from raw.tracking_event"),
    ("tracking_once", On::DuckDb, "insert into base.fct_shipment_tracking by name select * from base.fct_shipment_tracking"),
    ("checkpoint_parcel", On::Both, "delete from base.fct_shipment_tracking"),
    ("order_once", On::DuckDb, "insert into base.fct_order select * from base.fct_order"),
    ("line_once", On::DuckDb, "insert into base.fct_order_line select * from base.fct_order_line where order_item_id = 1"),
    (
        "line_once",
        On::Both,
        "insert into raw.waiting_order_line (order_item_id, order_id, product_id, quantity, unit_price, line_amount,
           version_at, file, generation, line, waiting_since)
         select order_item_id, order_id, product_id, quantity, unit_price, line_amount, version_at, file, generation,
           line, now() from base.fct_order_line where order_item_id = 1",
    ),
    ("line_kept", On::Both, "delete from base.fct_order_line where order_item_id = 2"),
    ("order_kept", On::Both, "delete from base.fct_order where order_id = 11"),
    ("line_order", On::Both, "delete from base.fct_order where order_id = 10"),
    ("line_order", On::Both, "update base.fct_order set order_status_key = 1 where order_id = 10"),
    ("line_product", On::Both, "update base.fct_order_line set product_key = 1 where order_item_id = 1"),
    ("line_product", On::Both, "update base.dim_product set valid_from = timestamptz '2026-07-01 12:00:00+00' where product_id = 100 and not is_current"),
    ("order_customer", On::Both, "delete from base.dim_customer where customer_id = 7"),
    ("order_status", On::Both, "delete from base.dim_order_status where order_status = 'COMPLETE'"),
    ("product_category", On::Both, "delete from base.dim_category"),
    ("category_department", On::Both, "delete from base.dim_department"),
    (
        "product_versions",
        On::Both,
        "update base.dim_product set valid_to = timestamptz '2026-07-02 12:00:00+00'
         where product_id = 100 and not is_current",
    ),
    ("product_versions", On::Both, "update base.dim_product set is_current = false"),
    ("customer_versions", On::Both, "update base.dim_customer set valid_to = timestamptz '2026-08-01 00:00:00+00'"),
    ("absence_span", On::Both, "update base.absence set absent_until = absent_from"),
    (
        "absence_span",
        On::Both,
        "insert into base.absence (dataset, id, absent_from, absent_until, file, generation)
         select dataset, id, absent_from + interval '1 day', absent_until, file, generation from base.absence",
    ),
    ("absence_snapshot", On::Both, "update raw.loaded_file set is_full = false where is_full"),
    ("absence_snapshot", On::Both, "update raw.loaded_file set status = 'superseded' where is_full"),
    ("absence_snapshot", On::Both, "update base.absence set generation = 7"),
    (
        "absence_snapshot",
        On::Both,
        "insert into raw.rejected_row (file, line, reason, text, dataset, rejected_at)
         select file, 9, 'too_few_columns', 'x', dataset, now() from base.absence",
    ),
    ("absence_landed", On::Both, "delete from base.absence"),
    ("absence_landed", On::Both, "update base.absence set id = 100"),
    (
        "absence_landed",
        On::Both,
        "update base.absence set absent_until = timestamptz '2026-07-04 00:00:00+00'",
    ),
    ("absence_landed", On::Both, "update raw.retail_products set product_id = 102 where product_id = 101"),
    ("money_total", On::Both, "update raw.retail_order_items set order_item_subtotal = 0 where order_item_id = 1"),
    ("money_total", On::Both, "delete from raw.retail_order_items"),
    ("mart_sales", On::Both, "update base.fct_order_line set quantity = quantity + 1 where order_item_id = 1"),
    ("mart_sales", On::Both, "delete from mart.agg_product_day where product_id = 101"),
    (
        "mart_sales",
        On::Both,
        "update base.fct_order_line set quantity = -quantity where order_item_id = 2",
    ),
    ("mart_totals", On::Both, "update mart.product_day set items_sold_to_date = 999 where product_id = 100"),
    ("mart_totals", On::Both, "update mart.product_day set has_ceased_selling = true where product_id = 100"),
    ("mart_totals", On::Both, "update mart.agg_product_day set orders = 77 where product_id = 100"),
    ("mart_sales", On::Both, "update mart.agg_product_day set revenue_amount = 0 where product_id = 100"),
    ("line_order", On::Both, "update base.fct_order_line set customer_id = 8 where order_item_id = 1"),
    ("line_day", On::Postgres, "delete from raw.order_line_day where order_item_id = 1"),
    ("line_day", On::Postgres, "update raw.order_line_day set order_date = date '2026-07-09' where order_item_id = 1"),
    ("mart_days", On::Both, "delete from mart.product_day where date = date '2026-07-02'"),
    ("mart_days", On::Both, "delete from mart.product_day where date = date '2026-07-03'"),
];

/// A small shop, whole, and one parcel.
async fn fill(warehouse: &dyn Warehouse) {
    load(warehouse, "departments/2026-07-01.csv", "3,Water\n").await;
    load(warehouse, "categories/2026-07-01.csv", "5,3,Boats\n").await;
    load(warehouse, "products/2026-07-01.csv", "100,5,Kayak,,10.00,\n101,5,Paddle,,5.00,\n").await;
    load(warehouse, "products/2026-07-02.csv", "100,5,Kayak,,12.00,\n101,5,Paddle,,5.00,\n").await;
    load(warehouse, "products/2026-07-03.full.csv", "100,5,Kayak,,12.00,\n").await;
    load(warehouse, "customers/2026-07-01.csv", "7,Ada,L,x,x,1 Main St,Rome,NY,01234\n").await;
    let orders = "10,2026-07-01 09:00:00,7,COMPLETE\n11,2026-07-02 10:00:00,7,PENDING\n12,2026-07-03 10:00:00,7,CLOSED\n";
    load(warehouse, "orders/2026-07-03.csv", orders).await;
    let lines =
        "1,10,100,2,20.00,10.00\n2,10,101,1,5.00,5.00\n3,12,100,1,12.00,12.00\n4,12,101,1,5.00,5.00\n";
    load(warehouse, "order_items/2026-07-03.csv", lines).await;
    super::warehouse::one_parcel(warehouse).await;
    warehouse.refresh_marts(false).await.expect("marts");
    assert_eq!(failed_checks(warehouse).await, Vec::<String>::new());
}

#[test]
fn every_check_that_can_fail_is_broken_here() {
    let named: Vec<&str> = CHECKS
        .lines()
        .filter_map(|line| {
            line.trim_start_matches("--pg ")
                .strip_prefix("select '")?
                .split_once("', 'error'")
                .map(|(name, _)| name)
        })
        .chain(["ledger_balance"])
        .collect();
    assert!(named.len() > 15, "{named:?}");
    for name in named {
        assert!(BROKEN.iter().any(|broken| broken.0 == name), "nothing breaks {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_is_named_on_duckdb() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("w.duckdb");
    let warehouse: Arc<dyn Warehouse> =
        Arc::new(DuckDbWarehouse::open(path.clone(), DuckDbOptions::default()).expect("a warehouse"));
    warehouse.migrate().await.expect("migrated");
    fill(warehouse.as_ref()).await;
    drop(warehouse);

    let connection = duckdb::Connection::open(&path).expect("the file");
    connection.execute_batch("set timezone = 'UTC'").expect("zone");
    for (name, on, sql) in BROKEN.iter().filter(|broken| broken.1 != On::Postgres) {
        let _ = on;
        connection.execute_batch("begin").expect("begin");
        connection.execute_batch(sql).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut statement = connection.prepare(CHECKS).expect("the checks");
        let failed: Vec<String> = statement
            .query_map([], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
            })
            .expect("an answer")
            .map(|row| row.expect("a row"))
            .filter(|(_, severity, failures)| severity == "error" && *failures != 0)
            .map(|(name, ..)| name)
            .collect();
        connection.execute_batch("rollback").expect("rollback");
        assert!(failed.iter().any(|found| found == name), "{sql}: {failed:?} without {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_is_named_on_postgres() {
    let postgres = Postgres::shared().await;
    let url = postgres.create_database("audit").await;
    let warehouse: Arc<dyn Warehouse> = Arc::new(PostgresWarehouse::open(&url).expect("a warehouse"));
    warehouse.migrate().await.expect("migrated");
    fill(warehouse.as_ref()).await;

    let (mut client, connection) =
        tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("the server takes connections");
    let connection = tokio::spawn(connection);
    client.batch_execute("set timezone = 'UTC'").await.expect("zone");
    let all = waybill::warehouse::question(CHECKS, "postgres");
    let checks = format!(
        "select name, failures::bigint from ({all}) as checks where severity = 'error' and failures <> 0"
    );
    for (name, _, sql) in BROKEN.iter().filter(|broken| broken.1 != On::DuckDb) {
        let transaction = client.transaction().await.expect("begin");
        transaction.batch_execute(sql).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let rows = transaction.query(&checks, &[]).await.expect("the checks");
        let failed: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        transaction.rollback().await.expect("rollback");
        assert!(failed.iter().any(|found| found == name), "{sql}: {failed:?} without {name}");
    }
    drop(client);
    connection.await.expect("the task ends").expect("the connection ends in order");
}

/// What has no version to stand beside is not dropped in silence: the file is refused, and comes when the hole is mended.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_without_a_version_of_its_customer_is_not_lost() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("w.duckdb");
    let open = || DuckDbWarehouse::open(path.clone(), DuckDbOptions::default()).expect("a warehouse");
    let warehouse = open();
    warehouse.migrate().await.expect("migrated");
    fill(&warehouse).await;
    let change = |sql: &str| {
        let connection = duckdb::Connection::open(&path).expect("the file");
        connection.execute_batch(&format!("set timezone = 'UTC'; {sql}")).expect("changed");
    };
    change(
        "update base.dim_customer set valid_from = timestamptz '2030-01-01 00:00:00+00' where customer_id = 7",
    );
    let late = || Arc::new(file("orders/2026-07-04.csv", b"13,2026-07-04 09:00:00,7,CLOSED\n"));

    let error = warehouse.load_shop(late(), false).await.expect_err("an orphan");

    assert!(error.to_string().contains("orders/2026-07-04.csv has 1 orders or lines"), "{error}");
    let known = "select count(*) from raw.loaded_file where file = 'orders/2026-07-04.csv'";
    assert_eq!(rows(&warehouse, known).await, ["0"]);
    change(
        "update base.dim_customer set valid_from = timestamptz '1900-01-01 00:00:00+00' where customer_id = 7",
    );
    assert_eq!(warehouse.load_shop(late(), false).await.expect("loaded").outcome.inserted, 1);
}
