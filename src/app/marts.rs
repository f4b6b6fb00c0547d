//! `waybill refresh-marts`, `rebuild-marts` and `audit`: the marts by themselves, and whether the tables hold what they
//! promise.

use serde_json::json;

use crate::cli::{Audit, ListFormat, QueryFormat};
use crate::settings::Need;
use crate::warehouse::question;

use super::{Exit, Sources, places, query};

/// One statement: name, severity, failures and meaning of each check.
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
    let mut sql = question(CHECKS, query::kind(&settings));
    if let Some(day) = arguments.day {
        sql.push_str(&format!(
            "\nunion all\nselect 'published_day', 'error', \
             case when coalesce((select max(as_of) from mart.published), date '1900-01-01') < date '{day}' \
             then 1 else 0 end, 'the marts are not at {day} yet: a file of orders or of their lines is missing'"
        ));
    }
    let answer = query::answer(&settings, &sql, QueryFormat::Json).await?;
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
