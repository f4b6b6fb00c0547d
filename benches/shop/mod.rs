//! `make bench-warehouse`: the shop's files into both engines, beside what the engine itself needs for the same bytes in
//! the same run; how the cost grows with the table; and how long the questions take. CPU time is the figure to trust.

mod engine;
mod generate;
mod questions;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Span;

use crate::report::Report;
use engine::Engine;
use generate::{FIRST, LAST, Shop};

/// Lines of a measured file at most.
const FILE_LINES: u64 = 1_000_000;
/// Lines of a batch at most: what a late delivery brings.
const BATCH_LINES: u64 = 100_000;
/// Batches of which the cheapest counts: others use this machine too.
const BATCHES: usize = 3;

/// Runs it all with a history of `lines` order lines, on one engine or on both.
pub async fn run(lines: u64, only: Option<&str>, report: &mut Report) {
    for name in ["duckdb", "postgres"] {
        if only.is_some_and(|only| only != name) {
            continue;
        }
        let engine = if name == "duckdb" { Engine::duckdb().await } else { Engine::postgres().await };
        let started = Instant::now();
        one(&engine, lines, report).await;
        report.add(
            &format!("{}: all of it", engine.name),
            vec![("wall", seconds(started.elapsed())), ("disk", gigabytes(engine.bytes().await))],
        );
    }
}

async fn one(engine: &Engine, lines: u64, report: &mut Report) {
    let mut shop = Shop::new(lines);
    let name = engine.name;
    engine.load("departments", "2023-07-01", shop.departments()).await;
    engine.load("categories", "2023-07-01", shop.categories()).await;
    engine.load("products", "2023-07-01", shop.products(false)).await;
    engine.load("products", "2025-01-01", shop.products(true)).await;
    let customers = engine.load("customers", "2023-07-01", shop.customers()).await;
    report.add(&format!("{name}: customers"), customers.figures());

    // A file against what the engine itself takes for it.
    let size = FILE_LINES.min(lines / 2);
    let recent = LAST.saturating_sub(Span::new().days(59));
    let sales = shop.sell(recent, LAST, size, None);
    let bare = engine.bare(&sales.lines).await;
    engine.load("orders", "2026-06-30-file", sales.orders).await;
    let clean = engine.load("order_items", "2026-06-30-file", sales.lines.clone()).await;
    assert_eq!(clean.inserted, size, "all lines are new");
    let twin = engine.twin().await;
    report.add(&format!("{name}: bare read of the file"), bare.figures());
    if let Some(twin) = &twin {
        report.add(&format!("{name}: COPY of the facts, same keys and indexes"), twin.figures());
    }
    let mut figures = clean.figures();
    figures.push(("of bare", ratio(clean.cpu, bare.cpu)));
    if let Some(twin) = &twin {
        figures.push(("of COPY", ratio(clean.cpu, twin.cpu)));
    }
    report.add(&format!("{name}: the file, checked and merged"), figures);

    let opened = engine.again("order_items", "2026-06-30-file", sales.lines.clone()).await;
    let again = {
        // As a round of the mover keeps it.
        let _held = engine.warehouse.hold().await.expect("open");
        engine.again("order_items", "2026-06-30-file", sales.lines).await
    };
    report.add(
        &format!("{name}: the file again"),
        vec![("wall", milliseconds(again)), ("with opening", milliseconds(opened)), ("rows", "0".to_owned())],
    );

    let sales = shop.sell(recent, LAST, size, Some(100));
    engine.load("orders", "2026-06-30-bad", sales.orders).await;
    let bad = engine.load("order_items", "2026-06-30-bad", sales.lines).await;
    let mut figures = bad.figures();
    figures.push(("of clean", ratio(bad.cpu, clean.cpu)));
    report.add(&format!("{name}: a file with 1 % bad lines"), figures);

    // A tenth of the history over all its months, a batch, the rest, a batch.
    let tenth = history(engine, &mut shop, lines / 10, "a").await;
    report.add(&format!("{name}: a tenth of the history"), tenth.figures());
    let before = batch(engine, &mut shop, lines, "a").await;
    let rest = history(engine, &mut shop, lines - lines / 10, "b").await;
    report.add(&format!("{name}: the rest of it"), rest.figures());
    let after = batch(engine, &mut shop, lines, "b").await;
    report.add(&format!("{name}: a batch of 60 days at a tenth"), before.figures());
    let mut figures = after.figures();
    figures.push(("of tenth", ratio(after.cpu, before.cpu)));
    report.add(&format!("{name}: the same at full size"), figures);

    marts(engine, &mut shop, lines, report).await;
    questions::ask(engine, report).await;
}

/// What loading has cost.
#[derive(Clone, Copy, Default)]
pub struct Cost {
    pub lines: u64,
    pub inserted: u64,
    pub wall: Duration,
    pub cpu: Duration,
}

impl Cost {
    fn add(&mut self, other: Cost) {
        self.lines += other.lines;
        self.inserted += other.inserted;
        self.wall += other.wall;
        self.cpu += other.cpu;
    }

    fn figures(&self) -> Vec<(&'static str, String)> {
        let rate = self.lines as f64 / self.cpu.as_secs_f64().max(0.001);
        vec![
            ("lines", self.lines.to_string()),
            ("wall", seconds(self.wall)),
            ("CPU", seconds(self.cpu)),
            ("lines/CPU s", format!("{rate:.0}")),
        ]
    }
}

/// All months, a file of orders and one of lines for each.
async fn history(engine: &Engine, shop: &mut Shop, lines: u64, part: &str) -> Cost {
    let mut cost = Cost::default();
    let months = 36;
    // As a round of the mover keeps it.
    let _held = engine.warehouse.hold().await.expect("open");
    for month in 0..months {
        let first = FIRST.saturating_add(Span::new().months(month));
        let last = first.saturating_add(Span::new().months(1)).saturating_sub(Span::new().days(1));
        let sales = shop.sell(first, last, lines / months as u64, None);
        let file = format!("{last}-{part}");
        cost.add(engine.load("orders", &file, sales.orders).await);
        cost.add(engine.load("order_items", &file, sales.lines).await);
        eprint!(
            "\r  {}: {part} {}/{months} months, {:.0} s",
            engine.name,
            month + 1,
            cost.wall.as_secs_f64()
        );
    }
    eprintln!();
    cost
}

/// The cheapest of a few batches of lines of the last 60 days, with their orders.
async fn batch(engine: &Engine, shop: &mut Shop, lines: u64, part: &str) -> Cost {
    let size = BATCH_LINES.min(lines / 20);
    let mut best: Option<Cost> = None;
    for number in 0..BATCHES {
        let sales = shop.sell(LAST.saturating_sub(Span::new().days(59)), LAST, size, None);
        let file = format!("2026-06-30-batch-{part}{number}");
        let mut cost = engine.load("orders", &file, sales.orders).await;
        cost.add(engine.load("order_items", &file, sales.lines).await);
        if best.is_none_or(|best| cost.cpu < best.cpu) {
            best = Some(cost);
        }
    }
    best.expect("there are batches")
}

/// The marts: made, patched, and a day further.
async fn marts(engine: &Engine, shop: &mut Shop, lines: u64, report: &mut Report) {
    let name = engine.name;
    let made = engine.refresh().await;
    report.add(&format!("{name}: the marts, for the first time"), wall_and_cpu(made));
    let size = BATCH_LINES.min(lines / 20);
    let sales = shop.sell(LAST.saturating_sub(Span::new().days(6)), LAST, size, None);
    let mut late = engine.load("orders", "2026-06-30-late", sales.orders).await;
    late.add(engine.load("order_items", "2026-06-30-late", sales.lines).await);
    let patched = engine.refresh().await;
    report.add(
        &format!("{name}: {size} late lines of 7 days, marts too"),
        wall_and_cpu((late.wall + patched.0, late.cpu + patched.1)),
    );
    let day = LAST.saturating_add(Span::new().days(1));
    let sales = shop.sell(day, day, (lines / 1_096).max(100), None);
    let mut roll = engine.load("orders", &day.to_string(), sales.orders).await;
    roll.add(engine.load("order_items", &day.to_string(), sales.lines).await);
    let rolled = engine.refresh().await;
    report.add(
        &format!("{name}: a new day of {} lines, marts too", roll.lines),
        wall_and_cpu((roll.wall + rolled.0, roll.cpu + rolled.1)),
    );
}

fn wall_and_cpu((wall, cpu): (Duration, Duration)) -> Vec<(&'static str, String)> {
    vec![("wall", seconds(wall)), ("CPU", seconds(cpu))]
}

fn ratio(of: Duration, to: Duration) -> String {
    format!("{:.2}x", of.as_secs_f64() / to.as_secs_f64().max(0.001))
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.2} GB", bytes as f64 / 1e9)
}

/// Kept together with what it needs to live.
pub type Place = Arc<dyn waybill::warehouse::Warehouse>;
