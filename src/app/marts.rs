//! `waybill refresh-marts`, `rebuild-marts` and `audit`: the marts by themselves, and whether the tables hold what they
//! promise.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;
use indicatif::ProgressStyle;
use serde_json::json;

use crate::cli::{Audit, ListFormat, QueryFormat};
use crate::settings::{Need, Settings, WarehouseAddress};
use crate::warehouse::{Answer, Cell, question_parts};

use super::served::Served;
use super::status::progress_bar;
use super::{Exit, Sources, places, query};

/// What each check answers with, in one row.
const COLUMNS: [&str; 4] = ["name", "severity", "failures", "meaning"];

/// The checks, put together as one statement.
const CHECKS: &str = include_str!("../warehouse/sql/audit/checks.sql");

pub(super) async fn refresh(sources: &Sources) -> anyhow::Result<Exit> {
    let settings = sources.gather(&[Need::Warehouse])?;
    let warehouse = places::warehouse(&settings)?;
    places::prepare(&settings, warehouse.as_ref()).await?;
    let state = warehouse.refresh_marts(false).await?;
    let as_of = state.as_of.map(|day| day.to_string());
    println!("{}", json!({ "as_of": as_of, "is_changed": state.is_changed }));
    Ok(Exit::Done)
}

pub(super) async fn rebuild(sources: &Sources) -> anyhow::Result<Exit> {
    let settings = sources.gather(&[Need::Warehouse])?;
    let warehouse = places::warehouse(&settings)?;
    places::prepare(&settings, warehouse.as_ref()).await?;
    match warehouse.refresh_marts(true).await?.as_of {
        Some(day) => println!("made the marts anew, up to {day}"),
        None => println!("there is no complete day yet: load orders and their lines first"),
    }
    Ok(Exit::Done)
}

pub(super) async fn audit(sources: &Sources, arguments: &Audit) -> anyhow::Result<Exit> {
    let settings = sources.gather(&[Need::Warehouse])?;
    let mut parts = question_parts(CHECKS, query::kind(&settings));
    if let Some(day) = arguments.day {
        parts.push(format!(
            "select 'published_day', 'error', \
             case when coalesce((select max(as_of) from mart.published), date '1900-01-01') < date '{day}' \
             then 1 else 0 end, 'the marts are not at {day} yet: a file of orders or of their lines is missing'"
        ));
    }
    let answer = if is_served(&settings) {
        // Who has the file open takes one statement at a time, and what is asked is to be seen at one moment.
        query::answer(&settings, &parts.join("\nunion all\n"), QueryFormat::Json).await?
    } else {
        query::render(&ask(&settings, parts).await?, QueryFormat::Json)?
    };
    let checks: Vec<Check> = serde_json::from_str(&answer)?;
    match arguments.format {
        ListFormat::Json => print!("{answer}"),
        ListFormat::Table => println!("{}", table(&checks)),
    }
    let failed: Vec<&str> = checks
        .iter()
        .filter(|check| check.is_failed() || (arguments.strict && check.has_failures()))
        .map(|check| check.name.as_str())
        .collect();
    if failed.is_empty() {
        return Ok(Exit::Done);
    }
    eprintln!("audit: {} of {} checks failed: {}", failed.len(), checks.len(), failed.join(", "));
    Ok(Exit::Rejected)
}

/// Whether another process of ours has the warehouse's file, and is to be asked.
fn is_served(settings: &Settings) -> bool {
    match &settings.warehouse {
        Some(WarehouseAddress::DuckDb(file)) => Served::find(file).is_some_and(|served| served.is_alive()),
        _ => false,
    }
}

/// Asks each by itself, at one moment all of them, and says on a terminal which one is at work.
async fn ask(settings: &Settings, parts: Vec<String>) -> anyhow::Result<Answer> {
    let warehouse = places::warehouse(settings)?;
    let bar = progress_bar("checks");
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} checks  {msg}") {
        bar.set_style(style);
    }
    bar.set_length(parts.len() as u64);
    let names: Arc<[String]> = parts.iter().map(|part| name(part).to_owned()).collect();
    let at = Arc::new(AtomicUsize::new(0));
    let (shown, known, seen) = (bar.clone(), Arc::clone(&names), Arc::clone(&at));
    let told = move |index: usize| {
        seen.store(index, Ordering::Relaxed);
        shown.set_position(index as u64);
        shown.set_message(known.get(index).cloned().unwrap_or_default());
    };
    let answers = warehouse.query_together(parts, Arc::new(told)).await;
    bar.finish_and_clear();
    let at = names.get(at.load(Ordering::Relaxed)).cloned().unwrap_or_default();
    Ok(together(answers.with_context(|| format!("cannot ask the check {at}"))?))
}

/// The name of a check: the first text in it.
fn name(part: &str) -> &str {
    part.split('\'').nth(1).unwrap_or_default()
}

/// The answers as that of one statement: where an engine counts one check in decimals, it does so with all of them.
fn together(answers: Vec<Answer>) -> Answer {
    let mut rows: Vec<Vec<Cell>> = answers.into_iter().flat_map(|answer| answer.rows).collect();
    if rows.iter().any(|row| matches!(row.get(2), Some(Cell::Exact(_)))) {
        for cell in rows.iter_mut().filter_map(|row| row.get_mut(2)) {
            if let Cell::Int(whole) = cell {
                *cell = Cell::Exact(whole.to_string());
            }
        }
    }
    Answer { columns: COLUMNS.map(str::to_owned).into(), rows }
}

/// A row of [`CHECKS`].
#[derive(Debug, serde::Deserialize)]
struct Check {
    name: String,
    severity: String,
    failures: serde_json::Value,
    meaning: String,
}

impl Check {
    /// A number that JSON cannot hold comes as text.
    fn has_failures(&self) -> bool {
        self.failures.as_i64() != Some(0) && self.failures.as_str() != Some("0")
    }

    fn is_failed(&self) -> bool {
        self.severity == "error" && self.has_failures()
    }
}

fn table(checks: &[Check]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["", "check", "failures", "which are"]);
    for check in checks {
        let mark = match (check.has_failures(), check.is_failed()) {
            (_, true) => "FAILED",
            (true, false) => "note",
            (false, false) => "ok",
        };
        let failures = check.failures.as_str().map_or_else(|| check.failures.to_string(), str::to_owned);
        table.add_row([mark, &check.name, &failures, &check.meaning]);
    }
    if let Some(column) = table.column_mut(2) {
        column.set_cell_alignment(comfy_table::CellAlignment::Right);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_is_a_statement_of_its_own_and_has_a_name() {
        for (kind, expected) in [("duckdb", 25), ("postgres", 26), ("redshift", 25)] {
            let parts = question_parts(CHECKS, kind);
            let names: std::collections::BTreeSet<&str> = parts.iter().map(|part| name(part)).collect();

            assert!(parts.len() >= expected, "{kind}: {}", parts.len());
            assert_eq!(names.len(), parts.len(), "{kind}: {names:?}");
            for part in &parts {
                assert!(part.starts_with("select '") && !name(part).contains(' '), "{part}");
                let quotes = part.matches('\'').count();
                let is_balanced = part.matches('(').count() == part.matches(')').count();
                assert!(quotes % 2 == 0 && is_balanced, "{part}");
            }
        }
    }

    #[test]
    fn answers_of_many_statements_look_like_that_of_one() {
        let row = |name: &str, failures: Cell| Answer {
            columns: vec!["?column?".to_owned(); 4],
            rows: vec![vec![
                Cell::Text(name.to_owned()),
                Cell::Text("error".to_owned()),
                failures,
                Cell::Text("odd rows".to_owned()),
            ]],
        };

        let whole = together(vec![row("a", Cell::Int(1)), row("b", Cell::Int(0))]);
        let exact = together(vec![row("a", Cell::Int(1)), row("b", Cell::Exact("0".to_owned()))]);

        assert_eq!(whole.columns, COLUMNS);
        assert_eq!(whole.rows[0][2], Cell::Int(1));
        assert_eq!(
            exact.rows.iter().map(|row| row[2].clone()).collect::<Vec<_>>(),
            [Cell::Exact("1".to_owned()), Cell::Exact("0".to_owned())]
        );
    }
}
