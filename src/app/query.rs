//! `waybill query`: asks the process that has the warehouse open, else opens it; prints the answer.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Map, Value, json};

use crate::cli::{Query, QueryFormat};
use crate::event::format_instant;
use crate::settings::{Need, WarehouseAddress};
use crate::warehouse::{Answer, Cell, question};

use super::served::Served;
use super::{Exit, Sources, places};

/// How long a busy warehouse is waited for.
const BUSY_MAX: Duration = Duration::from_secs(60);

/// A statement that we ship.
struct Named {
    name: &'static str,
    about: &'static str,
    sql: &'static str,
}

const NAMED: &[Named] = &[
    Named {
        name: "status",
        about: "trackings by current status, with the share delivered on time",
        sql: include_str!("../warehouse/sql/named/status.sql"),
    },
    Named {
        name: "stuck",
        about: "parcels without news for three days that are not delivered",
        sql: include_str!("../warehouse/sql/named/stuck.sql"),
    },
    Named {
        name: "waiting-lines",
        about: "order lines that wait for their order, the first 1,000, the longest first",
        sql: include_str!("../warehouse/sql/named/waiting-lines.sql"),
    },
    Named {
        name: "couriers",
        about: "couriers by number of parcels and days from pick-up to delivery",
        sql: include_str!("../warehouse/sql/named/couriers.sql"),
    },
    Named {
        name: "loads",
        about: "what became of the lines of each day's objects",
        sql: include_str!("../warehouse/sql/named/loads.sql"),
    },
    Named {
        name: "ceased-selling",
        about: "products that sold on most days, and have not for a week; straight from the facts",
        sql: include_str!("../warehouse/sql/named/ceased-selling.sql"),
    },
    Named {
        name: "delisted",
        about: "products that full snapshots lack, since when, and whether their sales had ceased",
        sql: include_str!("../warehouse/sql/named/delisted.sql"),
    },
    Named {
        name: "rejects",
        about: "rejected lines by reason",
        sql: include_str!("../warehouse/sql/named/rejects.sql"),
    },
];

pub(super) async fn run(sources: &Sources, arguments: &Query) -> anyhow::Result<Exit> {
    if arguments.list {
        for named in NAMED {
            println!("{:<15} {}", named.name, named.about);
        }
        return Ok(Exit::Done);
    }
    let asked_for = match (&arguments.named, &arguments.sql) {
        (Some(name), _) => match NAMED.iter().find(|named| named.name == name) {
            Some(named) => Asked::Named(named.sql),
            None => bail!("no statement is called {name}: see `waybill query --list`"),
        },
        (None, Some(sql)) => Asked::Plain(sql),
        (None, None) => bail!("no statement given"),
    };
    let settings = sources.gather(&[Need::Warehouse])?;
    let sql = match asked_for {
        Asked::Named(script) => question(script, kind(&settings)).replace("{as_of}", &as_of(arguments)),
        Asked::Plain(sql) => sql.to_owned(),
    };
    let text = answer(&settings, &sql, arguments.format).await?;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // `waybill query … | head` is no fault.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Exit::Done),
        outcome => outcome.map(|()| Exit::Done).context("cannot write the answer"),
    }
}

/// The answer to a statement as text, from whoever has the warehouse open.
pub(super) async fn answer(
    settings: &crate::settings::Settings,
    sql: &str,
    format: QueryFormat,
) -> anyhow::Result<String> {
    if let Some(text) = asked(settings, sql, format).await? {
        return Ok(text);
    }
    let answer = places::warehouse(settings)?.query(sql).await?;
    tokio::task::block_in_place(|| render(&answer, format))
}

/// What is asked for.
enum Asked<'a> {
    /// One of ours, in the words of the engine that is asked.
    Named(&'static str),
    /// As typed.
    Plain(&'a str),
}

/// Which engine is asked.
pub(super) fn kind(settings: &crate::settings::Settings) -> &'static str {
    match &settings.warehouse {
        Some(WarehouseAddress::DuckDb(_)) => "duckdb",
        Some(WarehouseAddress::Redshift(_)) => "redshift",
        _ => "postgres",
    }
}

/// The day a statement is about.
fn as_of(arguments: &Query) -> String {
    match arguments.as_of {
        Some(day) => format!("date '{day}'"),
        None => "(select max(as_of) from mart.published)".to_owned(),
    }
}

/// The answer of the process that serves the warehouse; `None` when there is none.
async fn asked(
    settings: &crate::settings::Settings,
    sql: &str,
    format: QueryFormat,
) -> anyhow::Result<Option<String>> {
    let Some(WarehouseAddress::DuckDb(file)) = &settings.warehouse else { return Ok(None) };
    let started = Instant::now();
    loop {
        let Some(served) = Served::find(file) else { return Ok(None) };
        match ask(&served, sql, format).await {
            Ok(Reply::Answer(text)) => return Ok(Some(text)),
            Ok(Reply::Fault(message)) => bail!(message),
            // Starting or ending at this moment; or it ended without clearing up.
            Ok(Reply::Busy) | Err(_) if started.elapsed() < BUSY_MAX && served.is_alive() => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Ok(Reply::Busy) => bail!("the warehouse stayed busy for {BUSY_MAX:?}"),
            Err(_) => return Ok(None),
        }
    }
}

enum Reply {
    Answer(String),
    Fault(String),
    Busy,
}

async fn ask(served: &Served, sql: &str, format: QueryFormat) -> anyhow::Result<Reply> {
    let format = match format {
        QueryFormat::Table => "table",
        QueryFormat::Csv => "csv",
        QueryFormat::Json => "json",
    };
    let body = json!({ "sql": sql, "format": format }).to_string();
    let request = axum::http::Request::post(format!("http://{}/api/v1/query", served.ops))
        .header("authorization", format!("Bearer {}", served.token))
        .header("content-type", "application/json")
        .body(Full::new(bytes::Bytes::from(body)))?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request).await?;
    let status = response.status();
    let text = String::from_utf8(response.into_body().collect().await?.to_bytes().to_vec())?;
    if status.is_success() {
        return Ok(Reply::Answer(text));
    }
    if status == 503 {
        return Ok(Reply::Busy);
    }
    let message = serde_json::from_str::<Value>(&text)
        .ok()
        .and_then(|body| body["error"]["message"].as_str().map(str::to_owned))
        .unwrap_or_else(|| format!("the running process answered {status}"));
    Ok(Reply::Fault(message))
}

/// An answer as text, ready to print.
pub(super) fn render(answer: &Answer, format: QueryFormat) -> anyhow::Result<String> {
    match format {
        QueryFormat::Json => json_text(answer),
        QueryFormat::Csv => {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(&answer.columns)?;
            for row in &answer.rows {
                writer.write_record(row.iter().map(text))?;
            }
            Ok(String::from_utf8(writer.into_inner()?)?)
        }
        QueryFormat::Table => {
            let mut table = comfy_table::Table::new();
            table.load_preset(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
            table.set_header(&answer.columns);
            for row in &answer.rows {
                table.add_row(row.iter().map(text));
            }
            for (index, column) in table.column_iter_mut().enumerate() {
                let is_number = answer.rows.iter().all(|row| {
                    matches!(
                        row.get(index),
                        Some(Cell::Int(_) | Cell::Exact(_) | Cell::Float(_) | Cell::Null)
                    )
                });
                if is_number {
                    column.set_cell_alignment(comfy_table::CellAlignment::Right);
                }
            }
            let rows = answer.rows.len();
            Ok(format!("{table}\n{rows} {}\n", if rows == 1 { "row" } else { "rows" }))
        }
    }
}

/// One array of objects, a row a line.
fn json_text(answer: &Answer) -> anyhow::Result<String> {
    let mut text = String::from("[");
    for (index, row) in answer.rows.iter().enumerate() {
        let object: Map<String, Value> =
            answer.columns.iter().cloned().zip(row.iter().map(Cell::to_json)).collect();
        text.push_str(if index == 0 { "\n" } else { ",\n" });
        text.push_str(&serde_json::to_string(&object)?);
    }
    text.push_str(if answer.rows.is_empty() { "]\n" } else { "\n]\n" });
    Ok(text)
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Bool(value) => value.to_string(),
        Cell::Int(value) => value.to_string(),
        Cell::Float(value) => value.to_string(),
        Cell::Exact(value) | Cell::Text(value) => value.clone(),
        Cell::Instant(value) => format_instant(*value),
        Cell::Day(value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_numbers_exact_and_instants_uniform() {
        let answer = Answer {
            columns: vec!["a".into(), "b".into(), "c".into(), "d".into(), "e".into()],
            rows: vec![vec![
                Cell::Int(9_007_199_254_740_993),
                Cell::Exact("12.50".into()),
                Cell::Instant("2026-07-09T12:00:00Z".parse().expect("instant")),
                Cell::Day("2026-07-09".parse().expect("day")),
                Cell::Null,
            ]],
        };

        let value: Value =
            serde_json::from_str(&render(&answer, QueryFormat::Json).expect("JSON")).expect("JSON");

        assert_eq!(
            value,
            json!([{ "a": "9007199254740993", "b": "12.50", "c": "2026-07-09T12:00:00.000000Z", "d": "2026-07-09", "e": null }])
        );
    }

    #[test]
    fn no_rows_are_an_empty_array() {
        assert_eq!(render(&Answer::default(), QueryFormat::Json).expect("JSON"), "[]\n");
    }
}
