//! Full snapshots: what they do not have is absent, from the first that lacks it to the next file that has it. Nothing is
//! deleted for it. That the order of files does not matter is held by `snapshots_any_order.rs`.

use std::sync::Arc;

use bytes::Bytes;
use waybill::retail::Dataset;
use waybill::retail::read::{ShopFile, Source};
use waybill::warehouse::{Warehouse, question};

use super::shop::{CHECKS, Engines, duckdb, file, load, no_orphans, rows};
use crate::support::process::Postgres;

const DELISTED: &str = include_str!("../../src/warehouse/sql/named/delisted.sql");

/// A line for each of these products.
fn products(ids: &[i32]) -> String {
    ids.iter().map(|id| format!("{id},1,Product {id},,{id}.00,\n")).collect()
}

/// All absences: dataset|id|first day|last day, without it.
pub async fn absences(warehouse: &dyn Warehouse) -> Vec<String> {
    let sql = "select dataset, id, cast(absent_from at time zone 'UTC' as date) as first_day,
          cast(absent_until at time zone 'UTC' as date) as end_day
        from base.absence order by dataset, id, absent_from";
    rows(warehouse, sql).await
}

/// Loads a line of the file's key and generation as it should have been.
pub async fn replay(warehouse: &dyn Warehouse, key: &str, generation: i32, line: u64, text: &str) {
    let dataset = Dataset::named(key.split('/').next().expect("a folder")).expect("a dataset");
    // As the ledger has it: see `file`.
    let source = Source { modified_at: file(key, b"").source.modified_at, key: key.to_owned(), bytes: 0 };
    let lines = vec![(line, Bytes::copy_from_slice(text.as_bytes()))];
    let repaired = ShopFile::repaired(dataset, source, generation, &format!("r{line}"), lines);
    let outcome = warehouse.load_shop(Arc::new(repaired), false).await.expect("replayed");
    assert!(outcome.is_new && outcome.outcome.rejected == 0, "{key}:{line}");
}

/// How often a warning of the audit holds.
async fn warned(warehouse: &dyn Warehouse, name: &str) -> String {
    let checks = question(CHECKS, warehouse.kind());
    let sql =
        format!("select failures from ({checks}) as checks where name = '{name}' and severity = 'warning'");
    rows(warehouse, &sql).await.join(",")
}

async fn what_a_snapshot_lacks_is_absent(warehouse: &dyn Warehouse) {
    // A product that is only named by a line was never there.
    load(warehouse, "order_items/2026-07-01.csv", "1,10,99,2,20.00,10.00\n").await;
    load(warehouse, "products/2026-07-01.csv", &products(&[1, 2, 3])).await;
    assert_eq!(absences(warehouse).await, Vec::<String>::new());
    let versions =
        "select product_id, product_name, valid_from, valid_to from base.dim_product order by 1, 3";
    let before = rows(warehouse, versions).await;

    load(warehouse, "products/2026-07-02.full.csv", &products(&[1, 2])).await;
    assert_eq!(absences(warehouse).await, ["products|3|2026-07-02|9999-01-01"]);
    load(warehouse, "products/2026-07-05.full.csv", &products(&[1, 3, 4])).await;
    assert_eq!(
        absences(warehouse).await,
        ["products|2|2026-07-05|9999-01-01", "products|3|2026-07-02|2026-07-05"]
    );

    // Files that come late: one that has a product, one that lacks it earlier, one that knows it from before.
    load(warehouse, "products/2026-07-03.csv", &products(&[3])).await;
    assert_eq!(
        absences(warehouse).await,
        ["products|2|2026-07-05|9999-01-01", "products|3|2026-07-02|2026-07-03"]
    );
    load(warehouse, "products/2026-07-04.full.csv", &products(&[1, 3])).await;
    load(warehouse, "products/2026-06-30.csv", &products(&[4])).await;
    let all = [
        "products|2|2026-07-04|9999-01-01",
        "products|3|2026-07-02|2026-07-03",
        "products|4|2026-07-02|2026-07-05",
    ];
    assert_eq!(absences(warehouse).await, all);
    no_orphans(warehouse).await;

    // Nothing is deleted, no version begins or ends.
    let now = rows(warehouse, versions).await;
    assert!(before.iter().all(|row| now.contains(row)), "{before:?} {now:?}");
    assert_eq!(now.len(), before.len() + 1, "and product 4");
    assert_eq!(
        rows(
            warehouse,
            "select is_full, count(*) from raw.loaded_file where dataset = 'products' group by 1 order by 1"
        )
        .await,
        ["false|3", "true|3"]
    );

    // The same bytes of the same version, under another name or under this one, add nothing.
    let copy = load(warehouse, "products/2026-07-05-copy.full.csv", &products(&[1, 3, 4])).await;
    assert_eq!(copy.status, "duplicate");
    let again = file("products/2026-07-05.full.csv", products(&[1, 3, 4]).as_bytes());
    assert!(!warehouse.load_shop(Arc::new(again), false).await.expect("known").is_new);
    // A dry run keeps nothing.
    let dry = file("products/2026-07-07.full.csv", products(&[2]).as_bytes());
    assert!(warehouse.load_shop(Arc::new(dry), true).await.expect("a report").is_new);
    assert_eq!(absences(warehouse).await, all);
    no_orphans(warehouse).await;
}

/// Which of the two comes first must not decide whether the declaration counts.
async fn the_same_bytes_as_a_delta_and_as_a_snapshot_are_no_duplicates(warehouse: &dyn Warehouse) {
    for (day, names) in [(1, [".csv", ".full.csv"]), (2, [".full.csv", ".csv"])] {
        let id = 10 + day;
        load(warehouse, &format!("departments/2026-07-0{day}-a.csv"), &format!("{id},Gone {day}\n")).await;
        for name in names {
            let outcome =
                load(warehouse, &format!("departments/2026-07-0{day}-b{name}"), "1,Here\n2,Too\n").await;
            assert_eq!(outcome.status, "loaded", "{day}{name}");
        }
    }
    assert_eq!(
        absences(warehouse).await,
        ["departments|11|2026-07-01|9999-01-01", "departments|12|2026-07-02|9999-01-01"]
    );
    no_orphans(warehouse).await;
}

/// Of one version the greater name counts, as with rows.
async fn files_of_one_day_count_by_their_name(warehouse: &dyn Warehouse) {
    load(warehouse, "categories/2026-07-01.csv", "1,1,A\n2,1,B\n3,1,C\n").await;
    load(warehouse, "categories/2026-07-02-a.csv", "2,1,Before\n").await;
    load(warehouse, "categories/2026-07-02-b.full.csv", "1,1,A\n").await;
    load(warehouse, "categories/2026-07-02-c.csv", "3,1,After\n").await;

    assert_eq!(absences(warehouse).await, ["categories|2|2026-07-02|9999-01-01"]);
    no_orphans(warehouse).await;
    // One snapshot in two files lacks in each what is in the other: this is seen, and not guessed.
    assert_eq!(warned(warehouse, "snapshot_doubtful").await, "0");
    load(warehouse, "categories/2026-07-02-d.full.csv", "2,1,B\n3,1,C\n").await;
    assert_eq!(
        absences(warehouse).await,
        ["categories|1|2026-07-02|9999-01-01"],
        "the greater name is all there is"
    );
    assert_eq!(warned(warehouse, "snapshot_doubtful").await, "1");
    no_orphans(warehouse).await;
}

async fn a_replaced_snapshot_counts_as_it_was_last(warehouse: &dyn Warehouse) {
    let key = "products/2026-07-02.full.csv";
    load(warehouse, "products/2026-07-01.csv", &products(&[1, 2, 3, 4, 5, 6])).await;
    load(warehouse, key, &products(&[1, 2])).await;
    assert_eq!(absences(warehouse).await.len(), 4);
    // Cut on its way: half of the rows is a reason to look.
    assert_eq!(warned(warehouse, "snapshot_doubtful").await, "0", "there is none before it");
    load(warehouse, key, &products(&[1, 2, 3, 4, 5])).await;
    assert_eq!(absences(warehouse).await, ["products|6|2026-07-02|9999-01-01"]);
    load(warehouse, key, &products(&[1, 3, 4, 5, 6])).await;
    assert_eq!(absences(warehouse).await, ["products|2|2026-07-02|9999-01-01"]);
    // An upload that is rejected leaves in effect what was there.
    assert_eq!(load(warehouse, key, "a;b\nc;d\n").await.status, "rejected");
    assert_eq!(absences(warehouse).await, ["products|2|2026-07-02|9999-01-01"]);
    load(warehouse, "products/2026-07-03.full.csv", &products(&[1, 2])).await;
    assert_eq!(warned(warehouse, "snapshot_doubtful").await, "1");
    no_orphans(warehouse).await;

    // Bytes that another name has already take the place of those that were here.
    load(warehouse, "departments/2026-07-01.csv", "1,A\n2,B\n").await;
    load(warehouse, "departments/2026-07-02-a.full.csv", "1,A\n2,C\n").await;
    load(warehouse, "departments/2026-07-02-b.full.csv", "2,B\n").await;
    assert_eq!(
        absences(warehouse).await.first().map(String::as_str),
        Some("departments|1|2026-07-02|9999-01-01")
    );
    let back = load(warehouse, "departments/2026-07-02-b.full.csv", "1,A\n2,C\n").await;
    assert_eq!(back.status, "loaded");
    assert!(absences(warehouse).await.iter().all(|row| !row.starts_with("departments")));
    let name = "select department_name from base.dim_department where department_id = 2";
    assert_eq!(rows(warehouse, name).await, ["C"]);
    no_orphans(warehouse).await;
}

async fn a_snapshot_with_rejected_lines_says_nothing_until_they_are_replayed(warehouse: &dyn Warehouse) {
    let ids: Vec<i32> = (1..=25).collect();
    load(warehouse, "products/2026-07-01.csv", &products(&ids)).await;
    let key = "products/2026-07-02.full.csv";
    // Two lines of 22 are bad: any product that seems to be gone may stand on them.
    let text = format!("{}x,1,Product 21,,21.00,\n22,1,Product 22,,free,\n", products(&ids[..20]));
    let outcome = load(warehouse, key, &text).await;
    assert_eq!((outcome.status.as_str(), outcome.rejected), ("loaded", 2));
    let nothing = Vec::<String>::new();
    assert_eq!(absences(warehouse).await, nothing);
    assert_eq!(
        rows(
            warehouse,
            "select severity, occurrences, examples from raw.finding where rule = 'snapshot_incomplete'"
        )
        .await,
        ["warn|2|nothing counts as absent until all are replayed: line 21, line 22"]
    );
    assert_eq!(warned(warehouse, "snapshot_incomplete").await, "1");
    no_orphans(warehouse).await;

    replay(warehouse, key, 0, 22, "22,1,Product 22,,22.00,").await;
    assert_eq!(absences(warehouse).await, nothing);
    replay(warehouse, key, 0, 21, "21,1,Product 21,,21.00,").await;

    let all = [
        "products|23|2026-07-02|9999-01-01",
        "products|24|2026-07-02|9999-01-01",
        "products|25|2026-07-02|9999-01-01",
    ];
    assert_eq!(absences(warehouse).await, all);
    assert_eq!(warned(warehouse, "snapshot_incomplete").await, "0");
    // Repaired lines are no snapshot of their own.
    let full = "select file from raw.loaded_file where is_full";
    assert_eq!(rows(warehouse, full).await, [key]);
    no_orphans(warehouse).await;

    // New bytes with a bad line: the old ones count no more, the new ones not yet.
    load(warehouse, key, &format!("{}x,1,Product 21,,21.00,\n", products(&ids[..20]))).await;
    assert_eq!(absences(warehouse).await, nothing);
    load(warehouse, key, &products(&ids[..22])).await;
    assert_eq!(absences(warehouse).await, all);
    no_orphans(warehouse).await;
}

async fn orders_are_never_sent_whole(warehouse: &dyn Warehouse) {
    load(warehouse, "orders/2026-07-01.csv", "10,2026-07-01 09:00:00,7,COMPLETE\n").await;
    for (key, text) in [
        ("orders/2026-07-02.full.csv", "11,2026-07-02 09:00:00,7,COMPLETE\n"),
        ("order_items/2026-07-02.full.csv", "1,10,100,2,20.00,10.00\n"),
    ] {
        let outcome = load(warehouse, key, text).await;

        assert_eq!((outcome.status.as_str(), outcome.lines), ("rejected", 0), "{key}");
        let said = format!("select line, reason, detail from raw.rejected_row where file = '{key}'");
        let said = rows(warehouse, &said).await.join("\n");
        assert!(said.starts_with("0|file_full_snapshot|") && said.contains("without .full"), "{said}");
    }
    assert_eq!(rows(warehouse, "select order_id from base.fct_order").await, ["10"]);
    assert_eq!(rows(warehouse, "select count(*) from base.fct_order_line").await, ["0"]);
    assert_eq!(absences(warehouse).await, Vec::<String>::new());
}

/// Stock out, or de-listing? Both stop a product's sales.
async fn the_shipped_question_says_what_was_delisted_and_what_it_sold(warehouse: &dyn Warehouse) {
    load(warehouse, "products/2026-03-01.csv", &products(&[1, 2, 3])).await;
    // Product 1 sells on 40 days in a row and stops; 2 sells to the end; 3 never.
    let (mut orders, mut lines) = (String::new(), String::new());
    let mut sell = |order: u32, date: &str, product: u32| {
        orders.push_str(&format!("{order},{date} 10:00:00,7,COMPLETE\n"));
        lines.push_str(&format!("{order},{order},{product},1,{product}.00,{product}.00\n"));
    };
    let first = jiff::civil::date(2026, 3, 1);
    for (nth, date) in first.series(jiff::Span::new().days(1)).take(50).enumerate() {
        let nth = u32::try_from(nth).expect("few");
        if nth < 40 {
            sell(2 * nth + 1, &date.to_string(), 1);
        }
        sell(2 * nth + 2, &date.to_string(), 2);
    }
    load(warehouse, "orders/2026-04-19.csv", &orders).await;
    load(warehouse, "order_items/2026-04-19.csv", &lines).await;
    load(warehouse, "products/2026-04-10.full.csv", &products(&[2, 3])).await;
    load(warehouse, "products/2026-04-11.full.csv", &products(&[2])).await;
    load(warehouse, "products/2026-04-15.csv", &products(&[3])).await;
    warehouse.refresh_marts(false).await.expect("marts");

    let asked = question(DELISTED, warehouse.kind());
    let published = asked.replace("{as_of}", "(select max(as_of) from mart.published)");
    assert_eq!(
        rows(warehouse, &published).await,
        [
            "1|Product 1|2026-04-10|-|2026-04-09|2026-04-16|products/2026-04-10.full.csv",
            "3|Product 3|2026-04-11|2026-04-15|-|-|products/2026-04-11.full.csv",
        ]
    );
    // On a day on which it had not ceased yet.
    let earlier = asked.replace("{as_of}", "date '2026-04-12'");
    assert_eq!(
        rows(warehouse, &earlier).await[0],
        "1|Product 1|2026-04-10|-|2026-04-09|-|products/2026-04-10.full.csv"
    );
}

async fn all_of_it(engines: &Engines) {
    what_a_snapshot_lacks_is_absent(engines.fresh("lacks").await.as_ref()).await;
    the_same_bytes_as_a_delta_and_as_a_snapshot_are_no_duplicates(engines.fresh("twins").await.as_ref())
        .await;
    files_of_one_day_count_by_their_name(engines.fresh("names").await.as_ref()).await;
    a_replaced_snapshot_counts_as_it_was_last(engines.fresh("replaced").await.as_ref()).await;
    a_snapshot_with_rejected_lines_says_nothing_until_they_are_replayed(
        engines.fresh("rejects").await.as_ref(),
    )
    .await;
    orders_are_never_sent_whole(engines.fresh("orders").await.as_ref()).await;
    the_shipped_question_says_what_was_delisted_and_what_it_sold(engines.fresh("delisted").await.as_ref())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_say_what_is_absent_on_duckdb() {
    all_of_it(&duckdb()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_say_what_is_absent_on_postgres() {
    all_of_it(&Engines::Postgres(Postgres::start().await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_say_what_is_absent_by_what_redshift_is_sent() {
    all_of_it(&Engines::RedshiftLab(Postgres::start().await)).await;
}
