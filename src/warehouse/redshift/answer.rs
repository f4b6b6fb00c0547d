//! One read-only statement, and its answer as cells.
//!
//! Values come as Redshift's own text, in the order of its rows; their types from preparing the statement, which also
//! refuses more than one.

use jiff::Timestamp;
use jiff::civil::DateTime;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, IsolationLevel, SimpleQueryMessage, Transaction};

use crate::warehouse::dialect::REDSHIFT;
use crate::warehouse::{Answer, Cell, WarehouseError};

/// Runs one statement that reads.
pub(super) async fn query(client: &mut Client, sql: &str, is_lab: bool) -> Result<Answer, WarehouseError> {
    let transaction =
        client.build_transaction().read_only(true).start().await.map_err(|error| said(&error))?;
    ask(&transaction, sql, is_lab).await
}

/// Runs statements that read, in one transaction: all see the moment of its first, as Redshift has it by itself and a
/// lab has to be told. `told` gets the index of each before it runs.
pub(super) async fn query_together(
    client: &mut Client,
    statements: &[String],
    told: &(dyn Fn(usize) + Send + Sync),
    is_lab: bool,
) -> Result<Vec<Answer>, WarehouseError> {
    let mut builder = client.build_transaction().read_only(true);
    if is_lab {
        builder = builder.isolation_level(IsolationLevel::RepeatableRead);
    }
    let transaction = builder.start().await.map_err(|error| said(&error))?;
    let mut answers = Vec::with_capacity(statements.len());
    for (index, sql) in statements.iter().enumerate() {
        told(index);
        answers.push(ask(&transaction, sql, is_lab).await?);
    }
    Ok(answers)
}

async fn ask(transaction: &Transaction<'_>, sql: &str, is_lab: bool) -> Result<Answer, WarehouseError> {
    let sql = sql.trim().trim_end_matches(';').trim();
    if sql.is_empty() {
        return Err(WarehouseError::Query("no statement given".into()));
    }
    let sql = REDSHIFT.quoted(sql);
    let sql = if is_lab { super::lab::translate(&sql) } else { sql };
    let asked = transaction.prepare(&sql).await.map_err(|error| said(&error))?;
    let kinds: Vec<Type> = asked.columns().iter().map(|column| column.type_().clone()).collect();
    let columns: Vec<String> = asked.columns().iter().map(|column| column.name().to_owned()).collect();
    // Not only the transaction says that nothing is written: what writes has no columns.
    if columns.is_empty() {
        return Err(WarehouseError::Query("the statement answers nothing: only reading is allowed".into()));
    }
    let messages = transaction.simple_query(&sql).await.map_err(|error| said(&error))?;
    let rows = messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(
                kinds.iter().enumerate().map(|(index, kind)| cell(kind, row.get(index))).collect::<Vec<_>>(),
            ),
            _ => None,
        })
        .collect();
    Ok(Answer { columns, rows })
}

fn cell(kind: &Type, text: Option<&str>) -> Cell {
    let Some(text) = text else { return Cell::Null };
    let read = match *kind {
        Type::BOOL => Some(Cell::Bool(text == "t")),
        Type::INT2 | Type::INT4 | Type::INT8 => text.parse().ok().map(Cell::Int),
        Type::FLOAT4 | Type::FLOAT8 => text.parse().ok().map(Cell::Float),
        Type::NUMERIC => Some(Cell::Exact(text.to_owned())),
        Type::DATE => text.parse().ok().map(Cell::Day),
        Type::TIMESTAMPTZ => instant(text).map(Cell::Instant),
        Type::TIMESTAMP => text
            .parse::<DateTime>()
            .ok()
            .map(|time| Cell::Text(time.strftime("%Y-%m-%dT%H:%M:%S.%6f").to_string())),
        _ => None,
    };
    read.unwrap_or_else(|| Cell::Text(text.to_owned()))
}

/// `2026-07-09 12:00:00.5+00`: the session's zone is UTC.
pub(super) fn instant(text: &str) -> Option<Timestamp> {
    format!("{}Z", text.strip_suffix("+00")?.replacen(' ', "T", 1)).parse().ok()
}

fn said(error: &tokio_postgres::Error) -> WarehouseError {
    match error.as_db_error() {
        Some(said) => WarehouseError::Query(said.message().to_owned()),
        None => WarehouseError::Unavailable(format!("cannot ask Redshift: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_as_text() {
        assert_eq!(cell(&Type::BOOL, Some("f")), Cell::Bool(false));
        assert_eq!(cell(&Type::NUMERIC, Some("12.50")), Cell::Exact("12.50".into()));
        assert_eq!(
            cell(&Type::TIMESTAMPTZ, Some("2026-07-09 12:00:00.5+00")),
            Cell::Instant("2026-07-09T12:00:00.5Z".parse().expect("instant"))
        );
        assert_eq!(
            cell(&Type::TIMESTAMP, Some("2026-07-09 12:00:00")),
            Cell::Text("2026-07-09T12:00:00.000000".into())
        );
        assert_eq!(cell(&Type::TEXT, None), Cell::Null);
    }
}
