//! The schema in a DuckDB file: which version it is, how it is made, and who may write into it.

use std::sync::MutexGuard;

use duckdb::Connection;

use crate::failpoint::failpoint;
use crate::warehouse::dialect::DUCKDB;
use crate::warehouse::shop;
use crate::warehouse::{SCHEMA_VERSION, WarehouseError, check_version};

use super::open::Session;
use super::{failed, in_transaction};

const SCHEMA: &str = include_str!("../sql/schema/duckdb.sql");

/// The right to write rows, in a schema of this program's version: another program may have had the file in between.
pub(super) fn write_turn(session: &Session) -> Result<MutexGuard<'_, ()>, WarehouseError> {
    let turn = session.write_turn();
    check_version(version(session.connection())?)?;
    Ok(turn)
}

/// 0 when there is no schema of ours.
pub(super) fn version(connection: &Connection) -> Result<i32, WarehouseError> {
    let is_there: bool = connection
        .query_row(
            "select count(*) > 0 from information_schema.tables where table_schema = 'raw' and table_name = 'schema_version'",
            [],
            |row| row.get(0),
        )
        .map_err(|error| failed("read the schema's version", &error))?;
    if !is_there {
        return Ok(0);
    }
    connection
        .query_row("select coalesce(max(version), 0) from raw.schema_version", [], |row| row.get(0))
        .map_err(|error| failed("read the schema's version", &error))
}

pub(super) fn migrate(session: &Session) -> Result<i32, WarehouseError> {
    let connection = session.connection();
    // Writers of one process may meet here; those of others wait for our lock file.
    let _turn = session.write_turn();
    let found = version(connection)?;
    if found > SCHEMA_VERSION {
        return Err(WarehouseError::Refused(format!(
            "the schema is at version {found}, newer than this program's {SCHEMA_VERSION}: use a newer waybill"
        )));
    }
    if found < SCHEMA_VERSION {
        let make = |connection: &Connection| -> duckdb::Result<()> {
            connection.execute_batch("begin")?;
            if found < 1 {
                connection.execute_batch(SCHEMA)?;
            }
            for statement in shop::upgrade(found.max(1), &DUCKDB) {
                connection.execute_batch(&statement)?;
            }
            connection
                .execute_batch(&format!("insert into raw.schema_version values ({SCHEMA_VERSION}, now())"))?;
            failpoint!("warehouse.duckdb.migrate");
            connection.execute_batch("commit")
        };
        in_transaction(connection, make).map_err(|error| failed("make the schema", &error))?;
    }
    Ok(found)
}
