//! One read-only statement, and its answer as cells.

use duckdb::Connection;
use duckdb::types::{TimeUnit, ValueRef};
use jiff::Timestamp;

use crate::warehouse::{Answer, Cell, WarehouseError};

/// Runs one statement that reads, in a transaction that cannot write.
pub(super) fn query(connection: &Connection, sql: &str) -> Result<Answer, WarehouseError> {
    let mut answers = query_together(connection, &[sql.to_owned()], &|_: usize| {})?;
    Ok(answers.pop().unwrap_or_default())
}

/// Runs statements that read, in one transaction that cannot write and sees one moment. `told` gets the index of each
/// before it runs.
pub(super) fn query_together(
    connection: &Connection,
    statements: &[String],
    told: &dyn Fn(usize),
) -> Result<Vec<Answer>, WarehouseError> {
    let statements: Vec<&str> =
        statements.iter().map(|sql| sql.trim().trim_end_matches(';').trim()).collect();
    for sql in &statements {
        check(connection, sql)?;
    }
    connection.execute_batch("begin transaction read only").map_err(|error| said(&error))?;
    let answers = statements.iter().enumerate().map(|(index, sql)| {
        told(index);
        read(connection, sql)
    });
    let answers = answers.collect();
    // Nothing to keep either way.
    let _ = connection.execute_batch("rollback");
    answers
}

/// One statement, and one that reads: DuckDB's own parser decides. It serializes nothing but selects, which include
/// `with`, `from`, `describe` and `show`.
fn check(connection: &Connection, sql: &str) -> Result<(), WarehouseError> {
    let serialized: String = connection
        .query_row("select cast(json_serialize_sql(cast(? as varchar)) as varchar)", [sql], |row| row.get(0))
        .map_err(|error| said(&error))?;
    let parsed: serde_json::Value = serde_json::from_str(&serialized).unwrap_or_default();
    if parsed["error"] == true {
        let message = parsed["error_message"].as_str().unwrap_or("not a statement that reads");
        return Err(WarehouseError::Query(format!("only one statement that reads is run: {message}")));
    }
    match parsed["statements"].as_array().map(Vec::len) {
        Some(1) => Ok(()),
        _ => Err(WarehouseError::Query("only one statement is run at a time".into())),
    }
}

fn read(connection: &Connection, sql: &str) -> Result<Answer, WarehouseError> {
    let columns = describe(connection, sql)?;
    // Lists, structs and the like have no better form here than DuckDB's own text.
    let is_plain = columns.iter().all(|(_, kind)| is_plain_type(kind));
    let sql = if is_plain {
        sql.to_owned()
    } else {
        let list: Vec<String> = columns
            .iter()
            .enumerate()
            .map(|(index, (_, kind))| {
                let position = index + 1;
                if is_plain_type(kind) {
                    format!("#{position}")
                } else {
                    format!("cast(#{position} as varchar)")
                }
            })
            .collect();
        format!("select {} from ({sql}\n) as asked", list.join(", "))
    };
    let mut statement = connection.prepare(&sql).map_err(|error| said(&error))?;
    let mut rows = statement.query([]).map_err(|error| said(&error))?;
    let mut answer =
        Answer { columns: columns.iter().map(|(name, _)| name.clone()).collect(), rows: Vec::new() };
    while let Some(row) = rows.next().map_err(|error| said(&error))? {
        let mut cells = Vec::with_capacity(columns.len());
        for (index, (_, kind)) in columns.iter().enumerate() {
            let value = row.get_ref(index).map_err(|error| said(&error))?;
            cells.push(cell(value, kind == "TIMESTAMP WITH TIME ZONE"));
        }
        answer.rows.push(cells);
    }
    Ok(answer)
}

/// Names and types of the answer's columns.
fn describe(connection: &Connection, sql: &str) -> Result<Vec<(String, String)>, WarehouseError> {
    let mut statement = connection.prepare(&format!("describe {sql}")).map_err(|error| said(&error))?;
    let columns = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .and_then(|rows| rows.collect::<duckdb::Result<Vec<_>>>());
    columns.map_err(|error| said(&error))
}

fn is_plain_type(kind: &str) -> bool {
    const PLAIN: &[&str] = &[
        "BOOLEAN",
        "TINYINT",
        "SMALLINT",
        "INTEGER",
        "BIGINT",
        "HUGEINT",
        "UTINYINT",
        "USMALLINT",
        "UINTEGER",
        "UBIGINT",
        "UHUGEINT",
        "FLOAT",
        "DOUBLE",
        "VARCHAR",
        "DATE",
        "TIMESTAMP",
        "TIMESTAMP WITH TIME ZONE",
        "\"NULL\"",
    ];
    PLAIN.contains(&kind) || (kind.starts_with("DECIMAL(") && kind.ends_with(')'))
}

fn cell(value: ValueRef<'_>, is_instant: bool) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Boolean(value) => Cell::Bool(value),
        ValueRef::TinyInt(value) => Cell::Int(value.into()),
        ValueRef::SmallInt(value) => Cell::Int(value.into()),
        ValueRef::Int(value) => Cell::Int(value.into()),
        ValueRef::BigInt(value) => Cell::Int(value),
        ValueRef::UTinyInt(value) => Cell::Int(value.into()),
        ValueRef::USmallInt(value) => Cell::Int(value.into()),
        ValueRef::UInt(value) => Cell::Int(value.into()),
        ValueRef::UBigInt(value) => {
            i64::try_from(value).map_or_else(|_| Cell::Exact(value.to_string()), Cell::Int)
        }
        ValueRef::HugeInt(value) => {
            i64::try_from(value).map_or_else(|_| Cell::Exact(value.to_string()), Cell::Int)
        }
        ValueRef::UHugeInt(value) => Cell::Exact(value.to_string()),
        ValueRef::Float(value) => Cell::Float(value.into()),
        ValueRef::Double(value) => Cell::Float(value),
        ValueRef::Decimal(value) => Cell::Exact(value.to_string()),
        ValueRef::Text(bytes) => Cell::Text(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Date32(days) => day(days),
        ValueRef::Timestamp(unit, count) => timestamp(unit, count, is_instant),
        other => Cell::Text(format!("{other:?}")),
    }
}

fn day(days: i32) -> Cell {
    let epoch = jiff::civil::date(1970, 1, 1);
    epoch
        .checked_add(jiff::SignedDuration::from_hours(i64::from(days) * 24))
        .map_or_else(|_| Cell::Text(format!("{days} days from 1970-01-01")), Cell::Day)
}

fn timestamp(unit: TimeUnit, count: i64, is_instant: bool) -> Cell {
    let micros = unit.to_micros(count);
    match Timestamp::from_microsecond(micros) {
        Ok(instant) if is_instant => Cell::Instant(instant),
        Ok(instant) => Cell::Text(instant.strftime("%Y-%m-%dT%H:%M:%S.%6f").to_string()),
        Err(_) => Cell::Text(format!("{micros} µs from 1970-01-01")),
    }
}

fn said(error: &duckdb::Error) -> WarehouseError {
    let text = error.to_string();
    // DuckDB shows the statement and a caret beneath; the first line says it.
    WarehouseError::Query(text.lines().next().unwrap_or_default().to_owned())
}
