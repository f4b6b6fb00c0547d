//! One read-only statement, and its answer as cells.

use jiff::Timestamp;
use jiff::civil::Date;
use tokio_postgres::types::{FromSql, Type};
use tokio_postgres::{Client, IsolationLevel, Transaction};

use crate::warehouse::{Answer, Cell, WarehouseError};

/// Microseconds from 1970-01-01 to PostgreSQL's own epoch, 2000-01-01.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Runs one statement that reads, in a transaction that cannot write.
pub(super) async fn query(client: &mut Client, sql: &str) -> Result<Answer, WarehouseError> {
    let transaction =
        client.build_transaction().read_only(true).start().await.map_err(|error| said(&error))?;
    ask(&transaction, sql).await
}

/// Runs statements that read, in one transaction that cannot write and sees one moment. `told` gets the index of each
/// before it runs.
pub(super) async fn query_together(
    client: &mut Client,
    statements: &[String],
    told: &(dyn Fn(usize) + Send + Sync),
) -> Result<Vec<Answer>, WarehouseError> {
    let builder = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
    let transaction = builder.start().await.map_err(|error| said(&error))?;
    let mut answers = Vec::with_capacity(statements.len());
    for (index, sql) in statements.iter().enumerate() {
        told(index);
        answers.push(ask(&transaction, sql).await?);
    }
    Ok(answers)
}

async fn ask(transaction: &Transaction<'_>, sql: &str) -> Result<Answer, WarehouseError> {
    let sql = sql.trim().trim_end_matches(';').trim();
    if sql.is_empty() {
        return Err(WarehouseError::Query("no statement given".into()));
    }
    // Preparing takes one statement only.
    let asked = transaction.prepare(sql).await.map_err(|error| said(&error))?;
    let columns: Vec<String> = asked.columns().iter().map(|column| column.name().to_owned()).collect();
    let all_plain = asked.columns().iter().all(|column| is_plain(column.type_()));
    let statement = if all_plain {
        asked
    } else {
        // What we cannot decode comes as PostgreSQL's own text, numerics among it.
        let names: Vec<String> = (0..columns.len()).map(|index| format!("c{index}")).collect();
        let list: Vec<String> = asked
            .columns()
            .iter()
            .zip(&names)
            .map(
                |(column, name)| {
                    if is_plain(column.type_()) { name.clone() } else { format!("cast({name} as text)") }
                },
            )
            .collect();
        let wrapped = format!("select {} from ({sql}\n) as asked ({})", list.join(", "), names.join(", "));
        let numeric: Vec<bool> =
            asked.columns().iter().map(|column| *column.type_() == Type::NUMERIC).collect();
        return read(transaction, &wrapped, columns, &numeric).await;
    };
    let rows = transaction.query(&statement, &[]).await.map_err(|error| said(&error))?;
    let numeric = vec![false; columns.len()];
    Ok(answer(columns, &rows, &numeric))
}

async fn read(
    transaction: &Transaction<'_>,
    sql: &str,
    columns: Vec<String>,
    numeric: &[bool],
) -> Result<Answer, WarehouseError> {
    let rows = transaction.query(sql, &[]).await.map_err(|error| said(&error))?;
    Ok(answer(columns, &rows, numeric))
}

fn answer(columns: Vec<String>, rows: &[tokio_postgres::Row], numeric: &[bool]) -> Answer {
    let rows = rows
        .iter()
        .map(|row| {
            numeric
                .iter()
                .enumerate()
                .map(|(index, is_numeric)| match row.try_get::<_, Option<AnyCell>>(index) {
                    Ok(None) => Cell::Null,
                    Ok(Some(AnyCell(Cell::Text(text)))) if *is_numeric => Cell::Exact(text),
                    Ok(Some(AnyCell(cell))) => cell,
                    Err(error) => Cell::Text(format!("({error})")),
                })
                .collect()
        })
        .collect();
    Answer { columns, rows }
}

fn is_plain(kind: &Type) -> bool {
    AnyCell::accepts(kind)
}

/// A value of any type that we decode ourselves.
struct AnyCell(Cell);

impl<'a> FromSql<'a> for AnyCell {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(AnyCell(match *kind {
            Type::BOOL => Cell::Bool(bool::from_sql(kind, raw)?),
            Type::INT2 => Cell::Int(i16::from_sql(kind, raw)?.into()),
            Type::INT4 => Cell::Int(i32::from_sql(kind, raw)?.into()),
            Type::INT8 => Cell::Int(i64::from_sql(kind, raw)?),
            Type::FLOAT4 => Cell::Float(f32::from_sql(kind, raw)?.into()),
            Type::FLOAT8 => Cell::Float(f64::from_sql(kind, raw)?),
            Type::DATE => day(i32::from_be_bytes(raw.try_into()?)),
            Type::TIMESTAMPTZ => instant(i64::from_be_bytes(raw.try_into()?), true),
            Type::TIMESTAMP => instant(i64::from_be_bytes(raw.try_into()?), false),
            _ => Cell::Text(String::from_sql(kind, raw)?),
        }))
    }

    fn accepts(kind: &Type) -> bool {
        [
            Type::BOOL,
            Type::INT2,
            Type::INT4,
            Type::INT8,
            Type::FLOAT4,
            Type::FLOAT8,
            Type::DATE,
            Type::TIMESTAMPTZ,
            Type::TIMESTAMP,
            Type::TEXT,
            Type::VARCHAR,
            Type::BPCHAR,
            Type::NAME,
            Type::UNKNOWN,
        ]
        .contains(kind)
    }
}

fn day(days: i32) -> Cell {
    let epoch: Date = jiff::civil::date(2000, 1, 1);
    epoch
        .checked_add(jiff::SignedDuration::from_hours(i64::from(days) * 24))
        .map_or_else(|_| Cell::Text(format!("{days} days from 2000-01-01")), Cell::Day)
}

fn instant(micros: i64, is_instant: bool) -> Cell {
    match micros.checked_add(EPOCH_MICROS).and_then(|micros| Timestamp::from_microsecond(micros).ok()) {
        Some(instant) if is_instant => Cell::Instant(instant),
        Some(instant) => Cell::Text(instant.strftime("%Y-%m-%dT%H:%M:%S.%6f").to_string()),
        None => Cell::Text(format!("{micros} µs from 2000-01-01")),
    }
}

fn said(error: &tokio_postgres::Error) -> WarehouseError {
    match error.as_db_error() {
        Some(said) => WarehouseError::Query(said.message().to_owned()),
        None => WarehouseError::Unavailable(format!("cannot ask PostgreSQL: {error}")),
    }
}
