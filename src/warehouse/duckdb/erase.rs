//! Erasing in a DuckDB file.

use duckdb::{Connection, appender_params_from_iter};

use super::super::WarehouseError;
use super::super::dialect::DUCKDB;
use super::super::erase::{self, ERASED, Erasure, WORD};
use super::super::plan::{Cell, Stage};
use super::open::Session;
use super::schema::write_turn;
use super::{Bound, failed, in_transaction};

pub(super) fn known_as(
    session: &Session,
    ids: &[String],
    number: Option<&str>,
) -> Result<Vec<String>, WarehouseError> {
    let read = || -> duckdb::Result<Vec<String>> {
        let connection = session.connection();
        connection
            .execute_batch("create or replace temp table wanted_name (name text, is_number boolean)")?;
        let mut appender = connection.appender_to_catalog_and_db("wanted_name", "temp", "main")?;
        let ids = ids.iter().map(|id| (id.as_str(), false)).chain(number.map(|number| (number, true)));
        for (name, is_number) in ids {
            let name = crate::warehouse::rows::clean(name);
            let cells = [Cell::Text(&name), Cell::Bool(is_number)];
            appender.append_row(appender_params_from_iter(cells.iter().map(Bound)))?;
        }
        appender.flush()?;
        drop(appender);
        let mut statement =
            connection.prepare(&erase::known_as("select name, is_number from wanted_name"))?;
        statement.query_map([], |row| row.get(0))?.collect()
    };
    read().map_err(|error| failed("look for trackings", &error))
}

pub(super) fn erase(session: &Session, erasure: &Erasure) -> Result<(), WarehouseError> {
    let connection = session.connection();
    let _turn = write_turn(session)?;
    let work = |connection: &Connection| -> duckdb::Result<()> {
        connection.execute_batch("begin")?;
        fill(connection, &ERASED, &erase::tracking_cells(erasure))?;
        fill(connection, &WORD, &erase::word_cells(erasure))?;
        for statement in erase::statements(&DUCKDB, key_part, key) {
            connection.execute_batch(&statement)?;
        }
        connection.execute_batch("commit")
    };
    in_transaction(connection, work).map_err(|error| failed("erase", &error))?;
    leave_no_copy(connection);
    Ok(())
}

pub(super) fn erase_customer(
    session: &Session,
    customer_id: i32,
    reason: &str,
) -> Result<(), WarehouseError> {
    let connection = session.connection();
    let _turn = write_turn(session)?;
    let work = |connection: &Connection| -> duckdb::Result<()> {
        connection.execute_batch("begin")?;
        for statement in erase::customer_statements(customer_id, reason, &DUCKDB) {
            connection.execute_batch(&statement)?;
        }
        connection.execute_batch("commit")
    };
    in_transaction(connection, work).map_err(|error| failed("erase a customer", &error))?;
    leave_no_copy(connection);
    Ok(())
}

/// In the log beside the file; who else uses the file now checkpoints later.
fn leave_no_copy(connection: &Connection) {
    let _ = connection.execute_batch("checkpoint");
}

fn fill(connection: &Connection, stage: &Stage, rows: &[Vec<Cell<'_>>]) -> duckdb::Result<()> {
    connection.execute_batch(&stage.ddl("text"))?;
    let mut appender = connection.appender_to_catalog_and_db(stage.table, "temp", "main")?;
    for cells in rows {
        appender.append_row(appender_params_from_iter(cells.iter().map(Bound)))?;
    }
    appender.flush()
}

fn key_part(column: &str) -> String {
    format!(
        "case when {column} is null then unhex('00') \
         else unhex('01' || printf('%016x', octet_length(encode({column})))) || encode({column}) end"
    )
}

/// Two parts more are null: the words.
fn key(parts: &str) -> String {
    format!("sha256({parts} || unhex('0000'))")
}
