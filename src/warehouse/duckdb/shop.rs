//! Files of the shop in a DuckDB file.

use duckdb::{Connection, OptionalExt, appender_params_from_iter};
use jiff::tz::TimeZone;

use crate::failpoint::failpoint;
use crate::retail::read::ShopFile;
use crate::warehouse::dialect::DUCKDB;
use crate::warehouse::plan::{Cell, Stage};
use crate::warehouse::shop::{self, Decision, Known, Status};
use crate::warehouse::{MartState, ShopEntry, ShopOutcome, WarehouseError};

use super::open::Session;
use super::schema::write_turn;
use super::{Bound, failed, instant, outcome};

pub(super) fn ledger(session: &Session) -> Result<Vec<ShopEntry>, WarehouseError> {
    let read = || -> duckdb::Result<Vec<ShopEntry>> {
        let mut statement = session.connection().prepare(shop::LEDGER)?;
        let rows = statement.query_map([], |row| {
            Ok(ShopEntry {
                file: row.get(0)?,
                dataset: row.get(1)?,
                sha256: row.get(2)?,
                bytes: row.get::<_, i64>(3)?.unsigned_abs(),
                modified_at: instant(row, 4)?,
                status: row.get(5)?,
            })
        })?;
        rows.collect()
    };
    read().map_err(|error| failed("read the ledger", &error))
}

/// Makes what depends on the zone anew, if it is another.
pub(super) fn use_time_zone(session: &Session, zone: &TimeZone) -> Result<bool, WarehouseError> {
    let connection = session.connection();
    let _turn = write_turn(session)?;
    let work = |connection: &Connection| -> duckdb::Result<bool> {
        let known: Option<String> = connection.query_row(shop::ZONE, [], |row| row.get(0)).optional()?;
        if known.as_deref() == Some(shop::zone_name(zone)) {
            return Ok(false);
        }
        connection.execute_batch("begin")?;
        for statement in shop::zone_statements(zone, &DUCKDB) {
            connection.execute_batch(&statement)?;
        }
        connection.execute_batch("commit")?;
        Ok(true)
    };
    super::in_transaction(connection, work).map_err(|error| failed("set the time zone", &error))
}

pub(super) fn load(session: &Session, file: &ShopFile, is_dry: bool) -> Result<ShopOutcome, WarehouseError> {
    let connection = session.connection();
    let _turn = write_turn(session)?;
    let outcome = merge(connection, file, is_dry);
    if outcome.is_err() {
        // Fails only when no transaction is open any more, which is as good.
        let _ = connection.execute_batch("rollback");
    }
    outcome
}

fn merge(connection: &Connection, file: &ShopFile, is_dry: bool) -> Result<ShopOutcome, WarehouseError> {
    let load = |error: duckdb::Error| failed(&format!("load {}", file.ledger_name), &error);
    connection.execute_batch("begin").map_err(load)?;
    failpoint!("shop.after_begin");
    let (status, generation) = match shop::decide(file, known(connection, file).map_err(load)?) {
        Decision::Nothing(outcome) => {
            connection.execute_batch("rollback").map_err(load)?;
            return Ok(ShopOutcome { outcome, is_new: false });
        }
        Decision::Enter(status, generation) => (status, generation),
    };
    let stage = |stage: &Stage, rows: &mut dyn Iterator<Item = Vec<Cell<'_>>>| -> duckdb::Result<()> {
        connection.execute_batch(&stage.ddl(DUCKDB.text))?;
        let mut appender = connection.appender_to_catalog_and_db(stage.table, "temp", "main")?;
        for cells in rows {
            appender.append_row(appender_params_from_iter(cells.iter().map(Bound)))?;
        }
        appender.flush()
    };
    stage(&shop::FILE, &mut std::iter::once(shop::file_row(file, status, generation))).map_err(load)?;
    let rejects = if status == Status::Duplicate { Vec::new() } else { shop::reject_rows(file) };
    stage(&shop::REJECT, &mut rejects.iter().map(shop::RejectRow::cells)).map_err(load)?;
    let findings = if status == Status::Loaded { shop::finding_rows(file) } else { Vec::new() };
    stage(&shop::FINDING, &mut findings.iter().map(shop::FindingRow::cells)).map_err(load)?;
    if status == Status::Loaded {
        let staged = stage_rows(connection, file).map_err(load)?;
        shop::check_staged(file, staged)?;
        failpoint!("shop.after_stage");
        for statement in shop::merge(file.dataset, &DUCKDB) {
            connection.execute_batch(&statement).map_err(load)?;
            failpoint!("shop.in_merge");
        }
        if let Some(sql) = shop::orphans(file.dataset) {
            shop::check_orphans(file, connection.query_row(sql, [], |row| row.get(0)).map_err(load)?)?;
        }
        if file.is_repair() {
            connection.execute_batch(&shop::resolve(file.dataset, &DUCKDB)).map_err(load)?;
        }
    } else {
        connection.execute_batch(&shop::no_merge(file, status, &DUCKDB)).map_err(load)?;
    }
    for statement in shop::closing_statements(&DUCKDB) {
        connection.execute_batch(&statement).map_err(load)?;
    }
    if status == Status::Loaded
        && let Some(sql) = shop::snapshots(file.dataset, &DUCKDB)
        && connection.query_row(&sql, [], |row| row.get::<_, i64>(0)).map_err(load)? > 0
    {
        for statement in shop::absences(file.dataset, &DUCKDB) {
            connection.execute_batch(&statement).map_err(load)?;
        }
    }
    let outcome = connection.query_row(shop::OUTCOME, [], |row| outcome(row, 0)).map_err(load)?;
    failpoint!("shop.before_commit");
    connection.execute_batch(if is_dry { "rollback" } else { "commit" }).map_err(load)?;
    failpoint!("shop.after_commit");
    Ok(ShopOutcome { outcome, is_new: true })
}

fn known(connection: &Connection, file: &ShopFile) -> duckdb::Result<Vec<Known>> {
    let mut statement = connection.prepare(&shop::known(file, &DUCKDB))?;
    let rows = statement.query_map([], |row| {
        Ok(Known {
            generation: row.get(0)?,
            sha256: row.get(1)?,
            is_same_version: row.get(2)?,
            outcome: outcome(row, 3)?,
        })
    })?;
    rows.collect()
}

fn stage_rows(connection: &Connection, file: &ShopFile) -> duckdb::Result<u64> {
    let stage = shop::rows_stage(file.dataset);
    connection.execute_batch(&stage.ddl(DUCKDB.text))?;
    let mut appender = connection.appender_to_catalog_and_db(stage.table, "temp", "main")?;
    let mut staged = 0;
    file.for_each_row(|line, values| {
        let mut cells = Vec::with_capacity(values.len() + 1);
        shop::row_cells(file.dataset, line, values, &mut cells);
        staged += 1;
        appender.append_row(appender_params_from_iter(cells.iter().map(Bound)))
    })?;
    appender.flush()?;
    Ok(staged)
}

pub(super) fn refresh_marts(session: &Session, is_rebuild: bool) -> Result<MartState, WarehouseError> {
    let connection = session.connection();
    let _turn = write_turn(session)?;
    let work = || -> duckdb::Result<MartState> {
        connection.execute_batch("begin")?;
        let as_of: Option<i32> = connection.query_row(
            &format!(
                "select cast(as_of - date '1970-01-01' as integer) from ({}) as complete (as_of)",
                shop::AS_OF.trim().trim_end_matches(';')
            ),
            [],
            |row| row.get(0),
        )?;
        let state = connection.query_row(shop::MART_STATE, [], |row| {
            let published: Option<i32> = row.get(1)?;
            Ok((row.get::<_, i64>(0)? > 0, published))
        })?;
        let Some(as_of) = as_of else {
            connection.execute_batch("rollback")?;
            return Ok(MartState { as_of: None, is_changed: false });
        };
        let day = day_of(as_of);
        if !is_rebuild && !state.0 && state.1 == Some(as_of) {
            connection.execute_batch("rollback")?;
            return Ok(MartState { as_of: Some(day), is_changed: false });
        }
        for statement in shop::mart_statements(is_rebuild, day, &DUCKDB) {
            connection.execute_batch(&statement)?;
            failpoint!("shop.in_mart");
        }
        connection.execute_batch("commit")?;
        Ok(MartState { as_of: Some(day), is_changed: true })
    };
    work().map_err(|error| {
        let _ = connection.execute_batch("rollback");
        failed("bring the marts up to date", &error)
    })
}

fn day_of(days: i32) -> jiff::civil::Date {
    jiff::civil::date(1970, 1, 1).saturating_add(jiff::Span::new().days(days))
}
