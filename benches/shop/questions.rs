//! How long the questions take that the marts are made for.

use std::time::{Duration, Instant};

use super::engine::Engine;
use super::{milliseconds, seconds};
use crate::report::Report;

/// What is asked, how often, and how.
const QUESTIONS: [(&str, usize, &str); 6] = [
    ("ceased selling, from the mart", 60, "select * from mart.ceased_selling order by product_id"),
    ("ceased selling, from the facts", 3, include_str!("../../src/warehouse/sql/named/ceased-selling.sql")),
    ("revenue of a product", 5, "select * from mart.revenue_by_product where product_id = 42"),
    (
        "revenue of a customer, by month",
        5,
        "select * from mart.customer_month where customer_id = 42 order by month_start",
    ),
    ("revenue of a month", 3, "select * from mart.revenue_by_month where month_start = date '2026-05-01'"),
    (
        "all customers by revenue",
        1,
        "select * from mart.revenue_by_customer order by revenue_amount desc, customer_id limit 100",
    ),
];

pub async fn ask(engine: &Engine, report: &mut Report) {
    // As an analyst does, who opens a file once and asks many times.
    let _held = engine.warehouse.hold().await.expect("open");
    for (what, times, sql) in QUESTIONS {
        let sql = sql.replace("{as_of}", "date '2026-06-30'");
        let mut took: Vec<Duration> = Vec::new();
        let mut rows = 0;
        // The first one warms up and does not count, unless it is the only one.
        for nth in 0..=times {
            let started = Instant::now();
            rows = engine.warehouse.query(&sql).await.expect("an answer").rows.len();
            if nth > 0 || times == 1 {
                took.push(started.elapsed());
            }
            if times == 1 {
                break;
            }
        }
        took.sort_unstable();
        let at = |share: f64| took[((took.len() - 1) as f64 * share).round() as usize];
        let mut figures = if took.len() > 10 {
            vec![("median", milliseconds(at(0.5))), ("p95", milliseconds(at(0.95)))]
        } else {
            vec![("median", seconds(at(0.5))), ("worst", seconds(at(1.0)))]
        };
        figures.push(("rows", rows.to_string()));
        report.add(&format!("{}: {what}", engine.name), figures);
    }
}
