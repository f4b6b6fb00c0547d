//! The stopped-selling question on hand-made cases: from the facts and from the mart, on both engines, also after what
//! a later load makes of some lines.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::Span;
use jiff::civil::Date;
use serde_json::Value;
use waybill::warehouse::Warehouse;

use super::shop::{Engines, duckdb, load, rows};
use crate::support::process::Postgres;

const CASES: &str = include_str!("../fixtures/ceased_selling.json");

/// A line of an order, and what a later load makes of it.
struct Line {
    item: u32,
    order: u32,
    product: i64,
    day: Date,
    quantity: i64,
    status: String,
    cents: i64,
    label: Option<String>,
}

fn back(as_of: Date, days: i64) -> Date {
    as_of.checked_sub(Span::new().days(days)).expect("a day")
}

/// A price as cents, without a float's rounding.
fn cents(price: Option<&Value>) -> i64 {
    let text = price.map_or_else(|| "10.00".to_owned(), |price| price.to_string().replace('"', ""));
    let (whole, decimals) = text.split_once('.').unwrap_or((&text, ""));
    let decimals = format!("{decimals:0<2}");
    whole.parse::<i64>().expect("whole") * 100 + decimals[..2].parse::<i64>().expect("decimals")
}

fn lines(cases: &Value, as_of: Date) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut orders: BTreeMap<(i64, i64, Date), u32> = BTreeMap::new();
    let mut next_order = 0;
    for case in cases["cases"].as_array().expect("cases") {
        let product = case["product_id"].as_i64().expect("an id");
        for sale in case["sales"].as_array().expect("sales") {
            let days = |name: &str| sale[name].as_i64().or_else(|| sale["days_back"].as_i64()).expect("days");
            let (from, to) = (days("from"), days("to"));
            for day in (to.min(from)..=to.max(from)).map(|days| back(as_of, days)) {
                let order = match sale["order"].as_i64() {
                    Some(number) => *orders.entry((product, number, day)).or_insert_with(|| {
                        next_order += 1;
                        next_order
                    }),
                    None => {
                        next_order += 1;
                        next_order
                    }
                };
                lines.push(Line {
                    item: u32::try_from(lines.len()).expect("few") + 1,
                    order,
                    product,
                    day,
                    quantity: sale["quantity"].as_i64().unwrap_or(1),
                    status: sale["status"].as_str().unwrap_or("COMPLETE").to_owned(),
                    cents: cents(sale.get("unit_price")),
                    label: sale["label"].as_str().map(str::to_owned),
                });
            }
        }
    }
    lines
}

fn texts<'a>(lines: impl Iterator<Item = &'a Line>) -> (String, String) {
    let (mut orders, mut items) = (BTreeMap::new(), String::new());
    for line in lines {
        orders.insert(line.order, format!("{},{} 12:00:00.0,1,{}\n", line.order, line.day, line.status));
        let total = line.cents * line.quantity;
        let sign = if total < 0 { "-" } else { "" };
        // Writing to a string cannot fail.
        let _ = writeln!(
            items,
            "{},{},{},{},{sign}{}.{:02},{}.{:02}",
            line.item,
            line.order,
            line.product,
            line.quantity,
            total.abs() / 100,
            total.abs() % 100,
            line.cents / 100,
            line.cents % 100
        );
    }
    (orders.into_values().collect(), items)
}

async fn every_case(warehouse: &dyn Warehouse) {
    let cases: Value = serde_json::from_str(CASES).expect("JSON");
    let as_of: Date = cases["as_of"].as_str().expect("a day").parse().expect("a day");
    let mut all = lines(&cases, as_of);
    let (orders, items) = texts(all.iter());
    // Dated by the day that is the last complete one; some orders are dated after it.
    load(warehouse, &format!("orders/{as_of}.csv"), &orders).await;
    load(warehouse, &format!("order_items/{as_of}.csv"), &items).await;
    warehouse.refresh_marts(false).await.expect("marts");
    agree(warehouse, as_of).await;

    // A feed of lines has no deletions: a deleted line is one of a cancelled order.
    let mut is_changed = vec![false; all.len()];
    for case in cases["cases"].as_array().expect("cases") {
        let product = case["product_id"].as_i64().expect("an id");
        for then in case["then"].as_array().into_iter().flatten() {
            for (line, is_changed) in all.iter_mut().zip(&mut is_changed) {
                if line.product == product && line.label.as_deref() == then["label"].as_str() {
                    *is_changed = true;
                    if let Some(status) = then["status"].as_str() {
                        line.status = status.to_owned();
                    }
                    if let Some(days) = then["days_back"].as_i64() {
                        line.day = back(as_of, days);
                    }
                    if then["deleted"].as_bool() == Some(true) {
                        line.status = "CANCELED".to_owned();
                    }
                }
            }
        }
    }
    let (orders, _) =
        texts(all.iter().zip(&is_changed).filter(|(_, is_changed)| **is_changed).map(|(line, _)| line));
    let later = back(as_of, -1);
    load(warehouse, &format!("orders/{later}.csv"), &orders).await;
    warehouse.refresh_marts(false).await.expect("marts");
    let found = agree(warehouse, as_of).await;

    let mut expected = Vec::new();
    for case in cases["cases"].as_array().expect("cases") {
        if let Some(values) = case["expected"].as_object() {
            expected.push(format!(
                "{as_of}|{}|{}|{}|{}",
                case["product_id"],
                values["items_sold_to_date"],
                values["days_with_sales_60d"],
                values["days_since_last_sale"]
            ));
        }
    }
    expected.sort_by_key(|row| row.split('|').nth(1).and_then(|id| id.parse::<i64>().ok()));
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    assert!(expected.len() >= 20);
}

/// The answer from the facts, which is that of the mart.
async fn agree(warehouse: &dyn Warehouse, as_of: Date) -> Vec<String> {
    let question = include_str!("../../src/warehouse/sql/named/ceased-selling.sql");
    let from_facts = rows(warehouse, &question.replace("{as_of}", &format!("date '{as_of}'"))).await;
    let from_mart = rows(warehouse, "select * from mart.ceased_selling order by product_id").await;
    assert_eq!(from_mart, from_facts);
    let published = rows(warehouse, "select as_of from mart.published").await;
    assert_eq!(published, [as_of.to_string()]);
    from_facts
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_is_answered_right_on_duckdb() {
    every_case(duckdb().fresh("cases").await.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_is_answered_right_on_postgres() {
    let engines = Engines::Postgres(Postgres::start().await);
    every_case(engines.fresh("cases").await.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_is_answered_right_by_what_redshift_is_sent() {
    let engines = Engines::RedshiftLab(Postgres::start().await);
    every_case(engines.fresh("cases").await.as_ref()).await;
}
