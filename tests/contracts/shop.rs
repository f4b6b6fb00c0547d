//! What every warehouse promises of the shop's files: any order, repetition and split of the same rows gives the same
//! tables, on both engines; every line of every file has an outcome.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use waybill::retail::Dataset;
use waybill::retail::read::{ShopFile, Source};
use waybill::warehouse::duckdb::{DuckDbOptions, DuckDbWarehouse};
use waybill::warehouse::postgres::PostgresWarehouse;
use waybill::warehouse::redshift::RedshiftWarehouse;
use waybill::warehouse::rows::FileOutcome;
use waybill::warehouse::{Cell, ShopOutcome, Warehouse};

use crate::support::process::Postgres;
use crate::support::staging::MemoryStaging;

fn instant(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

pub fn file(key: &str, text: &[u8]) -> ShopFile {
    let dataset = Dataset::named(key.split('/').next().expect("a folder")).expect("a dataset");
    let source = Source {
        key: key.to_owned(),
        bytes: text.len() as u64,
        modified_at: instant("2026-07-10T03:00:00Z"),
    };
    ShopFile::read(dataset, source, Bytes::copy_from_slice(text))
}

async fn load_file(warehouse: &dyn Warehouse, file: ShopFile) -> ShopOutcome {
    let name = file.ledger_name.clone();
    warehouse.load_shop(Arc::new(file), false).await.unwrap_or_else(|error| panic!("{name}: {error}"))
}

pub async fn load(warehouse: &dyn Warehouse, key: &str, text: &str) -> FileOutcome {
    let outcome = load_file(warehouse, file(key, text.as_bytes())).await;
    assert!(outcome.is_new, "{key}");
    outcome.outcome
}

/// (inserted, updated, unchanged, duplicate, conflict, waiting, rejected)
fn seven(outcome: &FileOutcome) -> (i64, i64, i64, i64, i64, i64, i64) {
    assert_eq!(
        outcome.lines,
        outcome.inserted
            + outcome.updated
            + outcome.unchanged
            + outcome.duplicate
            + outcome.conflict
            + outcome.waiting
            + outcome.rejected
    );
    (
        outcome.inserted,
        outcome.updated,
        outcome.unchanged,
        outcome.duplicate,
        outcome.conflict,
        outcome.waiting,
        outcome.rejected,
    )
}

fn shown(cell: &Cell) -> String {
    match cell {
        Cell::Null => "-".to_owned(),
        Cell::Bool(value) => value.to_string(),
        Cell::Int(value) => value.to_string(),
        Cell::Exact(text) | Cell::Text(text) => text.clone(),
        Cell::Float(value) => value.to_string(),
        Cell::Instant(value) => value.to_string(),
        Cell::Day(value) => value.to_string(),
    }
}

pub async fn rows(warehouse: &dyn Warehouse, sql: &str) -> Vec<String> {
    let answer = warehouse.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    answer.rows.iter().map(|row| row.iter().map(shown).collect::<Vec<_>>().join("|")).collect()
}

async fn one(warehouse: &dyn Warehouse, sql: &str) -> String {
    rows(warehouse, sql).await.join("\n")
}

/// What must not depend on how the rows came.
const TABLES: [(&str, &str); 11] = [
    ("departments", "select * from base.dim_department order by 1"),
    ("categories", "select * from base.dim_category order by 1"),
    ("products", "select * from base.dim_product order by product_id, valid_from"),
    ("customers", "select * from base.dim_customer order by customer_id, valid_from"),
    ("people", "select * from base.customer_pii order by 1"),
    ("statuses", "select * from base.dim_order_status order by order_status"),
    (
        "orders",
        "select order_id, ordered_at, order_date, customer_id, customer_key, order_status_key from base.fct_order order by 1",
    ),
    (
        "lines",
        "select order_item_id, order_id, order_date, ordered_at, product_id, product_key, customer_id, customer_key,
           order_status_key, quantity, unit_price, line_amount from base.fct_order_line order by 1",
    ),
    ("prices", "select * from base.fct_price_change order by 1, 2"),
    (
        "absences",
        "select dataset, id, absent_from, absent_until from base.absence order by dataset, id, absent_from",
    ),
    ("waiting", "select order_item_id, order_id, product_id, quantity, line_amount from raw.waiting_order_line order by 1"),
];

async fn tables(warehouse: &dyn Warehouse) -> BTreeMap<&'static str, Vec<String>> {
    let mut tables = BTreeMap::new();
    for (name, sql) in TABLES {
        tables.insert(name, rows(warehouse, sql).await);
    }
    tables.insert("mart", rows(warehouse, "select * from mart.product_day order by 2, 1").await);
    tables
}

fn assert_same(
    found: &BTreeMap<&'static str, Vec<String>>,
    expected: &BTreeMap<&'static str, Vec<String>>,
    of: &str,
) {
    for (name, rows) in expected {
        let other = &found[name];
        if rows != other {
            let lost: Vec<_> = rows.iter().filter(|row| !other.contains(row)).take(5).collect();
            let new: Vec<_> = other.iter().filter(|row| !rows.contains(row)).take(5).collect();
            panic!(
                "{of}: {name} differ: {} and {} rows\nonly expected {lost:#?}\nonly found {new:#?}",
                rows.len(),
                other.len()
            );
        }
    }
}

/// What `waybill audit` asks.
pub const CHECKS: &str = include_str!("../../src/warehouse/sql/audit/checks.sql");

/// Checks that must hold and do not.
pub async fn failed_checks(warehouse: &dyn Warehouse) -> Vec<String> {
    let checks = waybill::warehouse::question(CHECKS, warehouse.kind());
    rows(
        warehouse,
        &format!(
            "select name from ({checks}) as checks where severity = 'error' and failures <> 0 order by name"
        ),
    )
    .await
}

/// Views that sum in different ways come to the same.
async fn revenue_adds_up(warehouse: &dyn Warehouse) {
    let by_customer = "select count(*), coalesce(sum(units_sold), 0), coalesce(sum(revenue_amount), 0.00)
        from mart.revenue_by_customer where units_sold <> 0 or sales_amount <> 0";
    let by_line = "select count(*), coalesce(sum(units), 0), coalesce(sum(revenue), 0.00) from (
          select customer_id, sum(units) as units, sum(sales_amount) as sales, sum(revenue_amount) as revenue
          from mart.customer_month group by customer_id
        ) as c where units <> 0 or sales <> 0";
    assert_eq!(one(warehouse, by_customer).await, one(warehouse, by_line).await, "revenue of customers");
    let by_month = "select coalesce(sum(orders), 0) from mart.revenue_by_month";
    let orders = "select count(*) from base.fct_order as o
        join base.dim_order_status as s on s.order_status_key = o.order_status_key and s.is_sale
        join (select distinct d.month_start from mart.agg_product_day as a join base.dim_date as d on d.date = a.date) as m
          on m.month_start = cast(date_trunc('month', cast(o.order_date as timestamp)) as date)";
    assert_eq!(one(warehouse, by_month).await, one(warehouse, orders).await, "orders of months");
}

/// Nothing without its parent, in any table, whatever has been loaded.
pub async fn no_orphans(warehouse: &dyn Warehouse) {
    assert_eq!(failed_checks(warehouse).await, Vec::<String>::new());
    revenue_adds_up(warehouse).await;
    if warehouse.kind() == "postgres" {
        // Where it says nothing, or something else, a line would be taken for a new one.
        let wrong = "select count(*) from base.fct_order_line as l
            full join raw.order_line_day as d on d.order_item_id = l.order_item_id
            where l.order_date is distinct from d.order_date";
        assert_eq!(one(warehouse, wrong).await, "0", "days of lines");
    }
}

async fn a_small_shop(warehouse: &dyn Warehouse) {
    // Children first: every parent is late.
    let outcome = load(
        warehouse,
        "order_items/2026-07-01.csv",
        "1,10,100,2,20.00,10.00\n2,10,101,1,5.00,5.00\n3,11,100,1,10.00,10.00\n",
    )
    .await;
    assert_eq!(seven(&outcome), (0, 0, 0, 0, 0, 3, 0));
    let outcome = load(
        warehouse,
        "orders/2026-07-01.csv",
        "10,2026-07-01 09:00:00,7,PENDING\n11,2026-07-01 10:00:00,8,PAID_IN_SHELLS\n",
    )
    .await;
    assert_eq!(seven(&outcome), (2, 0, 0, 0, 0, 0, 0));
    assert_eq!(one(warehouse, "select count(*) from raw.waiting_order_line").await, "0");
    assert_eq!(
        one(warehouse, "select product_name, is_inferred from base.dim_product order by product_id").await,
        "Unknown product 100|true\nUnknown product 101|true"
    );
    assert_eq!(
        one(
            warehouse,
            "select is_sale, is_inferred from base.dim_order_status where order_status = 'PAID_IN_SHELLS'"
        )
        .await,
        "false|true"
    );
    no_orphans(warehouse).await;

    // The real rows repair the inferred ones in place: no key of a fact changes.
    let keys =
        rows(warehouse, "select product_key, customer_key from base.fct_order_line order by order_item_id")
            .await;
    let outcome = load(
        warehouse,
        "products/2026-07-01.csv",
        "100,5,Kayak,,10.00,http://x\n101,5,\"Paddle, red\",,5.00,\n",
    )
    .await;
    assert_eq!(seven(&outcome), (2, 0, 0, 0, 0, 0, 0));
    load(
        warehouse,
        "customers/2026-07-01.csv",
        "7,Ada,L,x,x,1 Main St ,Rome,NY,01234\n8,Bo,M,x,x,2 Main St,Troy,NY,12180\n",
    )
    .await;
    load(warehouse, "categories/2026-07-01.csv", "5,3,Boats\n").await;
    load(warehouse, "departments/2026-07-01.csv", "3,Water\n").await;
    assert_eq!(
        rows(warehouse, "select product_key, customer_key from base.fct_order_line order by order_item_id")
            .await,
        keys
    );
    assert_eq!(
        one(warehouse, "select product_name, category_name, department_name, list_price, is_inferred from base.dim_product order by product_id").await,
        "Kayak|Boats|Water|10.00|false\nPaddle, red|Boats|Water|5.00|false"
    );
    no_orphans(warehouse).await;

    // A new price is a new version; sales before it keep the old one.
    let outcome = load(
        warehouse,
        "products/2026-07-03.csv",
        "100,5,Kayak,,12.00,http://x\n101,5,\"Paddle, red\",,5.00,\n",
    )
    .await;
    assert_eq!(seven(&outcome), (0, 1, 1, 0, 0, 0, 0));
    load(
        warehouse,
        "orders/2026-07-04.csv",
        "10,2026-07-01 09:00:00,7,COMPLETE\n12,2026-07-04 09:00:00,7,COMPLETE\n",
    )
    .await;
    load(warehouse, "order_items/2026-07-04.csv", "4,12,100,1,12.00,12.00\n").await;
    assert_eq!(
        one(
            warehouse,
            "select l.order_item_id, p.list_price from base.fct_order_line l
             join base.dim_product p on p.product_key = l.product_key where l.product_id = 100 order by 1"
        )
        .await,
        "1|10.00\n3|10.00\n4|12.00"
    );
    assert_eq!(
        one(
            warehouse,
            "select product_id, old_price, new_price, price_difference from base.fct_price_change"
        )
        .await,
        "100|10.00|12.00|2.00"
    );
    // A status follows to the lines.
    assert_eq!(
        one(
            warehouse,
            "select l.order_item_id, s.order_status from base.fct_order_line l
             join base.dim_order_status s on s.order_status_key = l.order_status_key order by 1"
        )
        .await,
        "1|COMPLETE\n2|COMPLETE\n3|PAID_IN_SHELLS\n4|COMPLETE"
    );

    // What is older changes nothing, repetitions in a file are told apart, a bad line costs itself.
    let outcome = load(
        warehouse,
        "orders/2026-06-30.csv",
        "10,2026-07-01 09:00:00,7,PENDING_PAYMENT\n13,2026-06-30 08:00:00,7,CLOSED\n13,2026-06-30 08:00:00,7,CLOSED\n\
         14,2026-06-30 08:00:00,7,PENDING\n14,2026-06-30 08:00:00,7,CANCELED\n15,yesterday,7,CLOSED\n",
    )
    .await;
    assert_eq!(seven(&outcome), (2, 0, 1, 1, 1, 0, 1));
    assert_eq!(
        one(
            warehouse,
            "select reason, line, column_name, text, status from raw.rejected_row where dataset = 'orders'"
        )
        .await,
        "not_a_timestamp|6|order_date|15,yesterday,7,CLOSED|open"
    );
    no_orphans(warehouse).await;

    the_same_bytes_and_replaced_ones(warehouse).await;
    a_file_that_changes_under_its_name_counts_as_it_was_last(warehouse).await;
    a_duplicate_is_one_only_while_nothing_comes_between(warehouse).await;
    what_must_not_be_kept_is_not_kept_of_a_rejected_line_either(warehouse).await;
    a_dry_run_changes_nothing(warehouse).await;
    a_file_of_the_wrong_form_has_a_row_in_the_ledger(warehouse).await;
    a_repaired_line_counts_and_is_open_no_longer(warehouse).await;
}

async fn the_same_bytes_and_replaced_ones(warehouse: &dyn Warehouse) {
    let before = tables(warehouse).await;
    let ledger = one(warehouse, "select count(*) from raw.loaded_file").await;
    let again = load_file(warehouse, file("departments/2026-07-01.csv", b"3,Water\n")).await;
    assert!(!again.is_new);
    assert_eq!(one(warehouse, "select count(*) from raw.loaded_file").await, ledger);

    let other_name = load(warehouse, "departments/copy.csv", "3,Water\n").await;
    assert_eq!((other_name.status.as_str(), seven(&other_name)), ("duplicate", (0, 0, 0, 1, 0, 0, 0)));
    assert_same(&tables(warehouse).await, &before, "a duplicate");

    // On another day the same bytes say that things are again as they were.
    load(warehouse, "departments/2026-07-02.csv", "3,Rivers\n").await;
    let back = load(warehouse, "departments/2026-07-03.csv", "3,Water\n").await;
    assert_eq!((back.status.as_str(), seven(&back)), ("loaded", (0, 1, 0, 0, 0, 0, 0)));
    let back = load(warehouse, "departments/again.csv", "3,Rivers\n").await;
    assert_eq!((back.status.as_str(), seven(&back)), ("loaded", (0, 1, 0, 0, 0, 0, 0)));

    let replaced = load(warehouse, "departments/2026-07-01.csv", "3,Waters\n").await;
    assert_eq!((replaced.status.as_str(), seven(&replaced)), ("loaded", (0, 1, 0, 0, 0, 0, 0)));
    assert_eq!(
        one(warehouse, "select department_name from base.dim_department where department_id = 3").await,
        "Rivers"
    );
    assert_eq!(
        one(
            warehouse,
            "select generation, status from raw.loaded_file where file = 'departments/2026-07-01.csv' order by 1"
        )
        .await,
        "0|superseded\n1|loaded"
    );
}

/// Whatever the clock of the store says: the fixtures here are all written at one time.
async fn a_file_that_changes_under_its_name_counts_as_it_was_last(warehouse: &dyn Warehouse) {
    let status = "select s.order_status from base.fct_order o
        join base.dim_order_status s on s.order_status_key = o.order_status_key where o.order_id = 900";
    let key = "orders/2026-06-01.csv";
    for (text, expected) in
        [("PENDING", "PENDING"), ("CANCELED", "CANCELED"), ("PENDING", "PENDING"), ("CLOSED", "CLOSED")]
    {
        let outcome = load(warehouse, key, &format!("900,2026-06-01 10:00:00,7,{text}\n")).await;
        assert_eq!(outcome.status, "loaded");
        assert_eq!(one(warehouse, status).await, expected);
    }
    let ledger =
        "select status from raw.loaded_file where file = 'orders/2026-06-01.csv' order by generation";
    assert_eq!(rows(warehouse, ledger).await, ["superseded", "superseded", "superseded", "loaded"]);

    // An upload that is rejected leaves in effect what was there, with what is open of it.
    let good: String = (1..=20).map(|id| format!("{},2026-06-02 10:00:00,7,CLOSED\n", 910 + id)).collect();
    let text = format!("{good}x,2026-06-02 10:00:00,7,CLOSED\n");
    load(warehouse, "orders/2026-06-02.csv", &text).await;
    let broken = load(warehouse, "orders/2026-06-02.csv", "a;b;c;d\n1;2;3;4\n").await;
    assert_eq!(broken.status, "rejected");
    let again = load(warehouse, "orders/2026-06-02.csv", &text).await;
    assert_eq!(
        (again.status.as_str(), again.inserted, again.unchanged, again.rejected),
        ("loaded", 0, 20, 1)
    );
    let open = "select count(*) from raw.rejected_row where file = 'orders/2026-06-02.csv' and status = 'open' and line = 21";
    assert_eq!(one(warehouse, open).await, "1");

    // A day is not closed by what was rejected, however often.
    let as_of = || async { warehouse.refresh_marts(false).await.expect("marts").as_of };
    let before = as_of().await;
    load(warehouse, "orders/2026-08-01.csv", "990,2026-08-01 10:00:00,7,COMPLETE\n").await;
    for text in ["1;2;3;4;5;6\n", "2;2;3;4;5;6\n"] {
        assert_eq!(load(warehouse, "order_items/2026-08-01.csv", text).await.status, "rejected");
    }
    assert_eq!(as_of().await, before);
}

/// What came in between may come late.
async fn a_duplicate_is_one_only_while_nothing_comes_between(warehouse: &dyn Warehouse) {
    let name = "select department_name from base.dim_department where department_id = 40";
    load(warehouse, "departments/2026-09-01.csv", "40,Water\n").await;
    assert_eq!(load(warehouse, "departments/2026-09-10.csv", "40,Water\n").await.status, "duplicate");
    load(warehouse, "departments/2026-09-05.csv", "40,Rivers\n").await;
    assert_eq!(one(warehouse, name).await, "Rivers", "until the next look at the files");

    let again = load(warehouse, "departments/2026-09-10.csv", "40,Water\n").await;

    assert_eq!((again.status.as_str(), again.updated), ("loaded", 1));
    assert_eq!(one(warehouse, name).await, "Water");

    // Nor while its twin says something else now.
    load(warehouse, "departments/2026-10-01.csv", "41,Lakes\n").await;
    assert_eq!(load(warehouse, "departments/2026-10-02.csv", "41,Lakes\n").await.status, "duplicate");
    load(warehouse, "departments/2026-10-01.csv", "41,Ponds\n").await;
    let again = load(warehouse, "departments/2026-10-02.csv", "41,Lakes\n").await;
    assert_eq!((again.status.as_str(), again.updated), ("loaded", 1));

    // Nor of one that is newer: what it says began on the older one's day.
    load(warehouse, "products/2026-11-01.csv", "500,5,Raft,,10.00,\n").await;
    load(warehouse, "products/2026-11-09.csv", "500,5,Raft,,12.00,\n").await;
    let older = load(warehouse, "products/2026-11-05.csv", "500,5,Raft,,12.00,\n").await;
    assert_eq!(older.status, "loaded");
    let changed = "select cast(changed_at at time zone 'UTC' as date) from base.fct_price_change where product_id = 500";
    assert_eq!(one(warehouse, changed).await, "2026-11-05");
    let newer = load(warehouse, "products/2026-11-10.csv", "500,5,Raft,,12.00,\n").await;
    assert_eq!(newer.status, "duplicate");

    // Nor do bytes that another name has leave in effect what was under this one.
    load(warehouse, "departments/2026-12-01-a.csv", "42,Water\n").await;
    load(warehouse, "departments/2026-12-01-b.csv", "42,Rivers\n").await;
    let replaced = load(warehouse, "departments/2026-12-01-b.csv", "42,Water\n").await;
    assert_eq!((replaced.status.as_str(), replaced.updated), ("loaded", 1));
    let name = "select department_name from base.dim_department where department_id = 42";
    assert_eq!(one(warehouse, name).await, "Water");
}

async fn what_must_not_be_kept_is_not_kept_of_a_rejected_line_either(warehouse: &dyn Warehouse) {
    let text = "70,Eve,L,eve@example.com,s3cret,1 St,Kiel,SH,01234\nx,Eve,L,eve@example.com,s3cret,\"1, St\",Kiel,SH,01234\n\
                y,eve@example.com,s3cret\n";
    load(warehouse, "customers/2026-06-01.csv", &text.replace("\ny,", "\n71,A,B,x,x,2 St,Kiel,SH,0\ny,"))
        .await;
    let found = rows(
        warehouse,
        "select line, reason, text from raw.rejected_row where file = 'customers/2026-06-01.csv' order by line",
    )
    .await;
    assert!(
        found.is_empty() || !found.iter().any(|row| row.contains("s3cret") || row.contains("example.com")),
        "{found:?}"
    );
    let many: String = (100..140).map(|id| format!("{id},A,B,x,x,2 St,Kiel,SH,0\n")).collect();
    load(warehouse, "customers/2026-06-02.csv", &format!("{many}{text}")).await;
    let found = rows(
        warehouse,
        "select line, reason, text from raw.rejected_row where file = 'customers/2026-06-02.csv' order by line",
    )
    .await;
    assert_eq!(found, ["42|not_an_integer|x,Eve,L,,,\"1, St\",Kiel,SH,01234", "43|too_few_columns|"]);
}

async fn a_dry_run_changes_nothing(warehouse: &dyn Warehouse) {
    let before = tables(warehouse).await;
    let ledger = one(warehouse, "select count(*) from raw.loaded_file").await;

    let dry = file("order_items/2026-07-05.csv", b"1,10,100,9,90.00,10.00\nx\n77,99,100,1,1.00,1.00\n");
    let outcome = warehouse.load_shop(Arc::new(dry), true).await.expect("a report");

    assert_eq!(seven(&outcome.outcome), (0, 1, 0, 0, 0, 1, 1));
    assert_same(&tables(warehouse).await, &before, "a dry run");
    assert_eq!(one(warehouse, "select count(*) from raw.loaded_file").await, ledger);
}

async fn a_file_of_the_wrong_form_has_a_row_in_the_ledger(warehouse: &dyn Warehouse) {
    let before = tables(warehouse).await;

    let outcome = load(warehouse, "order_items/2026-07-06.csv", "1;2;3;4;5;6\n2;2;3;4;5;6\n").await;

    assert_eq!((outcome.status.as_str(), seven(&outcome)), ("rejected", (0, 0, 0, 0, 0, 0, 2)));
    assert_same(&tables(warehouse).await, &before, "a rejected file");
    let said = one(
        warehouse,
        "select line, reason, detail from raw.rejected_row where file = 'order_items/2026-07-06.csv' and line = 0",
    )
    .await;
    assert!(said.starts_with("0|file_columns|") && said.contains("separated by ';'"), "{said}");
}

async fn a_repaired_line_counts_and_is_open_no_longer(warehouse: &dyn Warehouse) {
    let source = Source {
        key: "orders/2026-06-30.csv".to_owned(),
        bytes: 0,
        modified_at: instant("2026-07-10T03:00:00Z"),
    };
    let lines = vec![(6, Bytes::from_static(b"15,2026-06-29 23:00:00,7,CLOSED"))];
    let repaired = ShopFile::repaired(Dataset::Orders, source, 0, "r1", lines);

    let outcome = load_file(warehouse, repaired).await.outcome;

    assert_eq!(seven(&outcome), (1, 0, 0, 0, 0, 0, 0));
    assert_eq!(
        one(warehouse, "select status from raw.rejected_row where file = 'orders/2026-06-30.csv'").await,
        "replayed"
    );
    assert_eq!(
        one(warehouse, "select order_date from base.fct_order where order_id = 15").await,
        "2026-06-29"
    );
}

/// Where a test gets empty warehouses from.
pub enum Engines {
    DuckDb(tempfile::TempDir),
    Postgres(Postgres),
    /// What Redshift is sent, on PostgreSQL.
    RedshiftLab(Postgres),
}

impl Engines {
    pub async fn fresh(&self, name: &str) -> Arc<dyn Warehouse> {
        let warehouse: Arc<dyn Warehouse> = match self {
            Engines::DuckDb(dir) => {
                let path = dir.path().join(format!("{name}.duckdb"));
                Arc::new(DuckDbWarehouse::open(path, DuckDbOptions::default()).expect("a warehouse"))
            }
            Engines::Postgres(postgres) => {
                let url = postgres.create_database(name).await;
                Arc::new(PostgresWarehouse::open(&url).expect("a warehouse"))
            }
            Engines::RedshiftLab(postgres) => {
                let url = postgres.create_database(name).await;
                let staging = Arc::new(MemoryStaging::default());
                Arc::new(RedshiftWarehouse::in_lab(&url, staging).expect("a warehouse"))
            }
        };
        warehouse.migrate().await.expect("a schema");
        warehouse
    }
}

pub fn duckdb() -> Engines {
    Engines::DuckDb(tempfile::tempdir().expect("a temporary folder"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_shop_is_right_on_duckdb() {
    a_small_shop(duckdb().fresh("shop").await.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_shop_is_right_on_postgres() {
    let engines = Engines::Postgres(Postgres::start().await);
    a_small_shop(engines.fresh("shop").await.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_shop_is_right_by_what_redshift_is_sent() {
    let engines = Engines::RedshiftLab(Postgres::start().await);
    a_small_shop(engines.fresh("shop").await.as_ref()).await;
}

/// About half of all rows are not in the file of a day.
fn is_skipped(seed: u64, day: u32, id: u32) -> bool {
    fastrand::Rng::with_seed(seed ^ u64::from(day * 1_000 + id).wrapping_mul(0x9E37_79B9_7F4A_7C15)).bool()
}

/// A made-up shop's files over some days: prices and addresses change, orders move through their statuses, some are
/// dated anew, lines are corrected.
fn history(seed: u64) -> Vec<(String, String)> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut files = Vec::new();
    let mut put = |dataset: &str, day: u32, rows: Vec<String>, random: &mut fastrand::Rng| {
        // Split at random; the parts of one day are about different rows, as an export's are.
        let parts = random.usize(1..=3);
        let mut texts = vec![String::new(); parts];
        for row in rows {
            let part = random.usize(0..parts);
            texts[part].push_str(&row);
            texts[part].push('\n');
        }
        for (index, text) in texts.into_iter().enumerate().filter(|(_, text)| !text.is_empty()) {
            files.push((format!("{dataset}/2026-07-{day:02}/part{index}.csv"), text));
        }
    };
    let statuses = ["PENDING", "COMPLETE", "CLOSED", "CANCELED", "SUSPECTED_FRAUD", "ON_HOLD"];
    for day in 1..=6_u32 {
        if random.bool() {
            let rows = (1..=3).map(|id| format!("{id},Department {}", random.u32(0..3))).collect();
            put("departments", day, rows, &mut random);
        }
        if random.bool() {
            let rows = (1..=4)
                .map(|id| format!("{id},{},Category {}", random.u32(1..=4), random.u32(0..3)))
                .collect();
            put("categories", day, rows, &mut random);
        }
        let mut rows = Vec::new();
        for id in (1..=5).filter(|id| day == 1 || !is_skipped(seed, day, *id)) {
            rows.push(format!("{id},{},Product {id},,{}.50,", random.u32(1..=5), random.u32(1..4)));
        }
        put("products", day, rows, &mut random);
        let mut rows = Vec::new();
        for id in (1..=4).filter(|id| !is_skipped(seed, day, *id + 10)) {
            let (first, city, zip) = (random.u32(0..2), random.u32(0..2), random.u32(0..2));
            rows.push(format!("{id},First{first},Last,x,x,{day} Street,City{city},NY,0{zip}"));
        }
        put("customers", day, rows, &mut random);
        let mut rows = Vec::new();
        for id in (1..=day * 2).filter(|id| !is_skipped(seed, day, *id + 20)) {
            let status = statuses[random.usize(0..statuses.len())];
            let ordered_on = id / 2 + 1 + u32::from(random.u32(0..6) == 0);
            let (hour, customer) = (random.u32(10..12), random.u32(1..=5));
            rows.push(format!("{id},2026-07-{ordered_on:02} {hour}:00:00,{customer},{status}"));
        }
        put("orders", day, rows, &mut random);
        let mut rows = Vec::new();
        for id in (1..=day * 4).filter(|id| !is_skipped(seed, day, *id + 40)) {
            let (quantity, price, product) = (random.i32(-1..4), random.i32(1..4), random.u32(1..=6));
            rows.push(format!("{id},{},{product},{quantity},{}.00,{price}.00", id / 2 + 1, quantity * price));
        }
        put("order_items", day, rows, &mut random);
    }
    files
}

/// Some files come again under their name with other bytes: another order of lines, and another value in each.
fn with_replacements(files: Vec<(String, String)>, random: &mut fastrand::Rng) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (key, text) in files {
        let is_replaced = random.u32(0..5) == 0;
        let mut lines: Vec<String> = text.lines().map(|line| line.replace("Product ", "Good ")).collect();
        if key.starts_with("orders/") {
            lines
                .iter_mut()
                .for_each(|line| *line = line.replace("COMPLETE", "CLOSED").replace("PENDING", "CANCELED"));
        }
        lines.reverse();
        all.push((key.clone(), text));
        if is_replaced {
            all.push((key, lines.join("\n")));
        }
    }
    all
}

/// Any order but that of the bytes that one name has had.
fn shuffled(files: &[(String, String)], random: &mut fastrand::Rng) -> Vec<(String, String)> {
    let mut keys: Vec<&String> = files.iter().map(|(key, _)| key).collect();
    random.shuffle(&mut keys);
    let mut taken: BTreeMap<&String, usize> = BTreeMap::new();
    let mut next = |key| {
        let nth = taken.entry(key).or_insert(0);
        *nth += 1;
        let mut of_key = files.iter().filter(|(other, _)| other == key);
        of_key.nth(*nth - 1).cloned().expect("as many as there are")
    };
    keys.into_iter().map(&mut next).collect()
}

/// Loads the files in this order; marts now and then, and at the end.
async fn play(warehouse: &dyn Warehouse, files: &[(String, String)], random: &mut fastrand::Rng) {
    for (key, text) in files {
        load_file(warehouse, file(key, text.as_bytes())).await;
        if random.u32(0..4) == 0 {
            warehouse.refresh_marts(false).await.expect("marts");
            no_orphans(warehouse).await;
        }
    }
    // As the mover does: what was a duplicate may have to be loaded after all.
    let newest: BTreeMap<&String, &String> = files.iter().map(|(key, text)| (key, text)).collect();
    for (key, text) in newest {
        load_file(warehouse, file(key, text.as_bytes())).await;
    }
    warehouse.refresh_marts(false).await.expect("marts");
    no_orphans(warehouse).await;
    let ledger = one(
        warehouse,
        "select count(*) from raw.loaded_file
         where lines <> inserted + updated + unchanged + duplicate + conflict + waiting + rejected",
    )
    .await;
    assert_eq!(ledger, "0");
}

async fn any_order(
    engines: &Engines,
    seeds: &[u64],
    shuffles: u64,
) -> Vec<BTreeMap<&'static str, Vec<String>>> {
    let mut all = Vec::new();
    for &seed in seeds {
        let mut random = fastrand::Rng::with_seed(seed);
        let files = with_replacements(history(seed), &mut random);
        let expected = {
            let warehouse = engines.fresh(&format!("w{seed}_0")).await;
            play(warehouse.as_ref(), &files, &mut random).await;
            tables(warehouse.as_ref()).await
        };
        for round in 1..=shuffles {
            let warehouse = engines.fresh(&format!("w{seed}_{round}")).await;
            let mut played = shuffled(&files, &mut random);
            // Some come twice.
            for _ in 0..files.len() / 5 {
                let again = files[random.usize(0..files.len())].clone();
                if files.iter().filter(|(key, _)| *key == again.0).count() == 1 {
                    played.insert(random.usize(0..played.len()), again);
                }
            }
            play(warehouse.as_ref(), &played, &mut random).await;
            assert_same(&tables(warehouse.as_ref()).await, &expected, &format!("seed {seed}, round {round}"));
            warehouse.refresh_marts(true).await.expect("rebuilt");
            assert_same(&tables(warehouse.as_ref()).await, &expected, &format!("seed {seed}, rebuilt"));
        }
        all.push(expected);
    }
    all
}

/// Histories that each engine plays in several orders.
const HISTORIES: [u64; 3] = [0, 1, 5];

#[tokio::test(flavor = "multi_thread")]
async fn any_order_of_files_makes_the_same_tables_on_all_engines() {
    let engines = Engines::Postgres(Postgres::start().await);
    let on_postgres = any_order(&engines, &HISTORIES, 2).await;
    let on_duckdb = any_order(&duckdb(), &HISTORIES, 1).await;
    let in_lab = any_order(&Engines::RedshiftLab(Postgres::start().await), &HISTORIES, 1).await;
    for (seed, (found, expected)) in in_lab.iter().zip(&on_postgres).enumerate() {
        assert_same(found, expected, &format!("what Redshift is sent, seed {seed}"));
    }
    for (seed, (found, expected)) in on_duckdb.iter().zip(&on_postgres).enumerate() {
        assert_same(found, expected, &format!("engines, seed {seed}"));
        assert!(!expected["lines"].is_empty() && !expected["mart"].is_empty(), "seed {seed} sells something");
    }
}

/// The training data set, where it is there; it may not be copied into this project.
fn retail_db() -> Option<PathBuf> {
    let dir = std::env::var_os("WAYBILL_TEST_RETAIL_DB")
        .map_or_else(|| PathBuf::from("../shared/retail_db"), PathBuf::from);
    dir.join("orders.csv.gz").exists().then_some(dir)
}

fn unpacked(path: &std::path::Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if path.extension().is_some_and(|ending| ending == "gz") {
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut text).expect("gzip");
        return text;
    }
    bytes
}

/// The six files in one of the three forms in circulation.
fn form(dir: &std::path::Path, form: &str) -> Vec<(Dataset, Vec<u8>)> {
    let name = |dataset: Dataset| match (dataset, form) {
        (Dataset::Products, "unquoted") => "products.unquoted.csv".to_owned(),
        (Dataset::Customers, "unquoted") => "customers.unquoted.csv.gz".to_owned(),
        (Dataset::Customers | Dataset::Orders | Dataset::OrderItems, _) => {
            format!("{}.csv.gz", dataset.as_str())
        }
        _ => format!("{}.csv", dataset.as_str()),
    };
    Dataset::ALL
        .into_iter()
        .map(|dataset| {
            let mut text = unpacked(&dir.join(name(dataset)));
            if form == "header" {
                let names: Vec<&str> =
                    dataset.contract().columns.iter().map(|column| column.name.as_str()).collect();
                text = [names.join(",").as_bytes(), b"\n", &text].concat();
            }
            (dataset, text)
        })
        .collect()
}

/// Sums that change when any row of a table does, small enough to compare.
const SUMS: [&str; 6] = [
    "select count(*), sum(order_item_id * (product_id + quantity)), sum(line_amount), sum(quantity), sum(product_key % 1000003),
       sum(customer_key % 1000003), sum(order_status_key % 1000003), count(distinct order_date) from base.fct_order_line",
    "select count(*), sum(order_id * (customer_id % 1009)), sum(order_status_key % 1000003), min(order_date), max(order_date) from base.fct_order",
    "select product_id, product_name, product_description, image_url, list_price, category_name, department_name, is_inferred from base.dim_product order by 1",
    "select count(*), sum(customer_key % 1000003), min(zipcode), count(distinct city) from base.dim_customer",
    "select * from base.customer_pii order by 1 limit 500",
    "select date, product_id, items_sold_to_date, sales_amount_to_date, days_with_sales_60d, has_ceased_selling
       from mart.product_day where date in (date '2013-12-31', date '2014-07-24') order by 1, 2",
];

async fn sums(warehouse: &dyn Warehouse) -> Vec<String> {
    let mut sums = Vec::new();
    for sql in SUMS {
        sums.push(one(warehouse, sql).await);
    }
    sums
}

async fn retail_db_is_loaded(engines: &Engines, dir: &std::path::Path) -> Vec<String> {
    let mut expected: Option<Vec<String>> = None;
    for kind in ["quoted", "header", "unquoted"] {
        let warehouse = engines.fresh(kind).await;
        let warehouse = warehouse.as_ref();
        let mut files = form(dir, kind);
        if kind == "header" {
            // Lines before orders before products.
            files.reverse();
        }
        for (dataset, text) in &files {
            let name = dataset.as_str();
            let outcome = load(
                warehouse,
                &format!("{name}/2014-07-24/{name}.csv"),
                std::str::from_utf8(text).expect("UTF-8"),
            )
            .await;
            let bad = if kind == "unquoted" && *dataset == Dataset::Products { 1 } else { 0 };
            assert_eq!(outcome.rejected, bad, "{kind} {name}");
            assert_eq!(outcome.inserted + outcome.waiting + bad, outcome.lines, "{kind} {name}: {outcome:?}");
        }
        if kind == "unquoted" {
            repair_the_unquoted_line(warehouse).await;
        }
        let money = "select money_total, lines from raw.loaded_file where dataset = 'order_items'";
        assert_eq!(one(warehouse, money).await, "34322619.93|172198");
        let state = warehouse.refresh_marts(false).await.expect("marts");
        assert_eq!(state.as_of.map(|day| day.to_string()).as_deref(), Some("2014-07-24"));
        no_orphans(warehouse).await;
        let found = sums(warehouse).await;
        assert!(found[0].starts_with("172198|"), "{}", found[0]);
        match &expected {
            None => expected = Some(found),
            Some(expected) => assert_eq!(&found, expected, "{kind}"),
        }
        if kind == "quoted" {
            the_defects_of_retail_db_are_named(warehouse).await;
        }
    }
    expected.expect("three forms")
}

async fn repair_the_unquoted_line(warehouse: &dyn Warehouse) {
    let key = "products/2014-07-24/products.csv";
    let found = one(
        warehouse,
        "select line, reason, detail from raw.rejected_row where dataset = 'products' and status = 'open'",
    )
    .await;
    assert_eq!(found, "685|too_many_columns|7 columns instead of 6: a field with a comma must be quoted");
    let text = one(warehouse, "select text from raw.rejected_row where dataset = 'products'").await;
    // The name is what stands between the category and the empty description.
    let (head, tail) = text.split_once(",,").expect("an empty description");
    let mut parts = head.splitn(3, ',');
    let (id, category, name) =
        (parts.next().expect("id"), parts.next().expect("category"), parts.next().expect("name"));
    let repaired = format!("{id},{category},\"{}\",,{tail}", name.replace('"', "\"\""));
    let source = Source { key: key.to_owned(), bytes: 0, modified_at: instant("2026-07-10T03:00:00Z") };
    let file = ShopFile::repaired(Dataset::Products, source, 0, "r1", vec![(685, Bytes::from(repaired))]);
    assert_eq!(load_file(warehouse, file).await.outcome.rejected, 0);
}

/// dataset, rule, column, how often: all that is known to be wrong with it.
const DEFECTS: [&str; 28] = [
    "categories|category_without_products||4",
    "categories|double_space|category_name|1",
    "categories|inferred_member||1",
    "categories|same_name||3",
    "customers|customer_without_orders||30",
    "customers|double_space|customer_street|90",
    "customers|edge_space|customer_street|97",
    "customers|leading_zero|customer_zipcode|5191",
    "customers|masked|customer_email|12435",
    "customers|masked|customer_password|12435",
    "customers|same_but_key||24",
    "departments|inferred_member||1",
    "order_items|product_twice_in_order||20756",
    "orders|day_doubled||1",
    "orders|day_missing||1",
    "orders|key_not_in_date_order||11104",
    "orders|no_time_of_day||1",
    "orders|order_without_lines||11452",
    "products|column_empty|product_description|1",
    "products|double_space|product_name|2",
    "products|edge_space|product_name|48",
    "products|non_ascii|product_name|7",
    "products|product_never_sold||1245",
    "products|quoted_delimiter|product_name|1",
    "products|same_but_key||580",
    "products|text_at_limit|product_name|536",
    "products|text_ellipsis|product_image|174",
    "products|zero_price||7",
];

async fn the_defects_of_retail_db_are_named(warehouse: &dyn Warehouse) {
    let found = rows(
        warehouse,
        "select dataset, rule, coalesce(column_name, ''), occurrences from mart.data_quality order by 1, 2, 3",
    )
    .await;
    assert_eq!(found, DEFECTS);
    let days =
        "select rule, examples from raw.finding where rule in ('day_missing', 'day_doubled') order by 1";
    assert_eq!(
        one(warehouse, days).await,
        "day_doubled|2013-11-03 (347, usually 188)\nday_missing|2014-03-09"
    );
    let inferred = "select department_id, department_name from base.dim_department where is_inferred";
    assert_eq!(one(warehouse, inferred).await, "8|Unknown department 8");
    assert_eq!(one(warehouse, "select category_id from base.dim_category where is_inferred").await, "59");
    // As the reference found by other means: twelve days on which some product had ceased to sell.
    let ceased = "select count(*) from mart.product_day where has_ceased_selling";
    assert_eq!(one(warehouse, ceased).await, "12");
}

#[tokio::test(flavor = "multi_thread")]
async fn retail_db_gives_the_same_tables_in_all_three_forms_on_both_engines() {
    let Some(dir) = retail_db() else {
        // Its licence is unknown, so that a clone has none; the made-up shops above are in every run.
        eprintln!("the training data set is not here: set WAYBILL_TEST_RETAIL_DB to its folder");
        return;
    };
    let started = Timestamp::now();
    let on_duckdb = retail_db_is_loaded(&duckdb(), &dir).await;
    let after_duckdb = Timestamp::now();
    let engines = Engines::Postgres(Postgres::start().await);
    let on_postgres = retail_db_is_loaded(&engines, &dir).await;
    assert_eq!(on_duckdb, on_postgres);
    let seconds = |span: SignedDuration| span.as_secs_f64();
    println!(
        "three forms: DuckDB {:.1} s, PostgreSQL {:.1} s",
        seconds(after_duckdb.duration_since(started)),
        seconds(Timestamp::now().duration_since(after_duckdb))
    );
}
