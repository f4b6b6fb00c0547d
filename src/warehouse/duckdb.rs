//! The warehouse in a DuckDB file.
//!
//! DuckDB lets one process open a file for writing. So the file is open only while this process loads or answers,
//! and other programs can have it in between. Loads and queries of this process share one open instance. Nothing
//! else here touches the file: any other open and close of it in this process would silently drop DuckDB's lock, so
//! a lock file of ours stands beside it, and the file itself is only ever looked at from outside (`stat`).
//!
//! No primary keys and no indexes: see `docs/decisions`. The merge keeps rows unique.

mod answer;
mod erase;
mod open;
mod schema;
mod shop;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use duckdb::types::{TimeUnit, ToSqlOutput, ValueRef};
use duckdb::{Connection, ToSql, appender_params_from_iter};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::failpoint::failpoint;
use crate::retail::read::ShopFile;

use super::dialect::DUCKDB;
use super::plan::{self, Cell, STAGES, Stage};
use super::rows::{FileOutcome, LoadSet};
use super::waiting::WAITING_LINES;
use super::{
    Answer, Erasure, MartState, SCHEMA_VERSION, SchemaState, ShopEntry, ShopOutcome, Told, WaitingLines,
    Warehouse, WarehouseError,
};

use open::{File, Session};
use schema::write_turn;

/// How a file is used.
#[derive(Debug, Clone)]
pub struct DuckDbOptions {
    /// How long another holder of the file is waited for.
    pub busy_max: Duration,
    /// Threads of the engine.
    pub threads: usize,
    /// Memory of the engine, in DuckDB's words, such as `2GB`.
    pub memory: String,
}

impl Default for DuckDbOptions {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        DuckDbOptions { busy_max: Duration::from_secs(60), threads, memory: "2GB".to_owned() }
    }
}

/// The warehouse in a file.
#[derive(Debug, Clone)]
pub struct DuckDbWarehouse {
    file: Arc<File>,
}

impl DuckDbWarehouse {
    /// Uses this file. It is not opened yet, nor made.
    pub fn open(path: PathBuf, options: DuckDbOptions) -> Result<DuckDbWarehouse, WarehouseError> {
        if path.is_dir() {
            return Err(WarehouseError::Refused(format!(
                "{} is a folder, not a DuckDB file",
                path.display()
            )));
        }
        Ok(DuckDbWarehouse { file: Arc::new(File::new(path, options)) })
    }

    /// Size of the file in bytes; 0 before there is one.
    pub fn file_bytes(&self) -> u64 {
        std::fs::metadata(self.file.path()).map_or(0, |meta| meta.len())
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<File>) -> Result<T, WarehouseError> + Send + 'static,
    ) -> Result<T, WarehouseError> {
        let file = Arc::clone(&self.file);
        tokio::task::spawn_blocking(move || work(&file)).await.unwrap_or_else(|_| {
            Err(WarehouseError::Unavailable("the warehouse's worker was interrupted".into()))
        })
    }
}

#[async_trait]
impl Warehouse for DuckDbWarehouse {
    async fn migrate(&self) -> Result<i32, WarehouseError> {
        self.blocking(|file| schema::migrate(&File::session(file)?)).await
    }

    async fn use_time_zone(&self, zone: &TimeZone) -> Result<bool, WarehouseError> {
        let zone = zone.clone();
        self.blocking(move |file| shop::use_time_zone(&File::session(file)?, &zone)).await
    }

    async fn schema_state(&self) -> Result<SchemaState, WarehouseError> {
        self.blocking(|file| {
            if !file.path().exists() {
                return Ok(SchemaState::Missing);
            }
            Ok(match schema::version(File::session(file)?.connection())? {
                0 => SchemaState::Missing,
                found if found < SCHEMA_VERSION => SchemaState::Old(found),
                SCHEMA_VERSION => SchemaState::Current,
                found => SchemaState::Newer(found),
            })
        })
        .await
    }

    async fn unloaded(&self, files: Vec<String>) -> Result<Vec<String>, WarehouseError> {
        if files.is_empty() {
            return Ok(files);
        }
        self.blocking(|file| unloaded(&File::session(file)?, files)).await
    }

    async fn landed_until(&self) -> Result<Option<Timestamp>, WarehouseError> {
        self.blocking(|file| {
            let session = File::session(file)?;
            let micros: Option<i64> = session
                .connection()
                .query_row(
                    "select epoch_us(max(landed_at)) from raw.loaded_file where dataset = 'tracking'",
                    [],
                    |row| row.get(0),
                )
                .map_err(|error| failed("read the ledger", &error))?;
            Ok(micros.and_then(|micros| Timestamp::from_microsecond(micros).ok()))
        })
        .await
    }

    async fn load(&self, set: LoadSet) -> Result<Vec<FileOutcome>, WarehouseError> {
        self.blocking(move |file| load(&File::session(file)?, &set)).await
    }

    async fn hold(&self) -> Result<Box<dyn Send>, WarehouseError> {
        self.blocking(|file| Ok(Box::new(File::session(file)?) as Box<dyn Send>)).await
    }

    async fn shop_ledger(&self) -> Result<Vec<ShopEntry>, WarehouseError> {
        self.blocking(|file| shop::ledger(&File::session(file)?)).await
    }

    async fn load_shop(&self, shop_file: Arc<ShopFile>, is_dry: bool) -> Result<ShopOutcome, WarehouseError> {
        self.blocking(move |file| shop::load(&File::session(file)?, &shop_file, is_dry)).await
    }

    async fn waiting_lines(&self) -> Result<WaitingLines, WarehouseError> {
        self.blocking(|file| {
            WaitingLines::of(&answer::query(File::session(file)?.connection(), WAITING_LINES)?)
        })
        .await
    }

    async fn refresh_marts(&self, is_rebuild: bool) -> Result<MartState, WarehouseError> {
        self.blocking(move |file| shop::refresh_marts(&File::session(file)?, is_rebuild)).await
    }

    async fn known_as(
        &self,
        ids: Vec<String>,
        number: Option<String>,
    ) -> Result<Vec<String>, WarehouseError> {
        self.blocking(move |file| erase::known_as(&File::session(file)?, &ids, number.as_deref())).await
    }

    async fn erase(&self, erasure: Erasure) -> Result<(), WarehouseError> {
        self.blocking(move |file| erase::erase(&File::session(file)?, &erasure.clean())).await
    }

    async fn erase_customer(&self, customer_id: i32, reason: &str) -> Result<(), WarehouseError> {
        let reason = reason.to_owned();
        self.blocking(move |file| erase::erase_customer(&File::session(file)?, customer_id, &reason)).await
    }

    async fn query(&self, sql: &str) -> Result<Answer, WarehouseError> {
        let sql = sql.to_owned();
        self.blocking(move |file| answer::query(existing(file)?.connection(), &sql)).await
    }

    async fn query_together(
        &self,
        statements: Vec<String>,
        told: Told,
    ) -> Result<Vec<Answer>, WarehouseError> {
        self.blocking(move |file| answer::query_together(existing(file)?.connection(), &statements, &*told))
            .await
    }

    async fn probe(&self) -> Result<(), WarehouseError> {
        self.blocking(|file| File::session(file).map(|_| ())).await
    }

    fn kind(&self) -> &'static str {
        "duckdb"
    }
}

/// A session on a file that is there: to ask must not make one.
fn existing(file: &Arc<File>) -> Result<Session, WarehouseError> {
    if !file.path().exists() {
        return Err(WarehouseError::Refused(format!(
            "there is no warehouse at {} yet: start waybill, or run `waybill migrate`",
            file.path().display()
        )));
    }
    File::session(file)
}

/// Runs a script or closure that begins a transaction; rolls back if it fails.
fn in_transaction<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> duckdb::Result<T>,
) -> duckdb::Result<T> {
    work(connection).inspect_err(|_| {
        // Fails only when no transaction is open any more, which is as good.
        let _ = connection.execute_batch("rollback");
    })
}

fn unloaded(session: &Session, files: Vec<String>) -> Result<Vec<String>, WarehouseError> {
    let read = || -> duckdb::Result<std::collections::HashSet<String>> {
        let connection = session.connection();
        connection.execute_batch("create or replace temp table wanted_file (file text)")?;
        let mut appender = connection.appender_to_catalog_and_db("wanted_file", "temp", "main")?;
        for file in &files {
            appender.append_row([file])?;
        }
        appender.flush()?;
        drop(appender);
        let mut statement = connection
            .prepare("select l.file from raw.loaded_file l join wanted_file w on w.file = l.file")?;
        statement.query_map([], |row| row.get(0))?.collect()
    };
    let known = read().map_err(|error| failed("read the ledger", &error))?;
    Ok(files.into_iter().filter(|file| !known.contains(file)).collect())
}

fn load(session: &Session, set: &LoadSet) -> Result<Vec<FileOutcome>, WarehouseError> {
    let connection = session.connection();
    let _turn = write_turn(session)?;
    let merge = |connection: &Connection| -> duckdb::Result<Vec<FileOutcome>> {
        connection.execute_batch("begin")?;
        failpoint!("warehouse.duckdb.after_begin");
        for stage in STAGES {
            connection.execute_batch(&stage.ddl("text"))?;
        }
        append(connection, set)?;
        failpoint!("warehouse.duckdb.after_stage");
        for statement in plan::merge_statements(&DUCKDB, plan::TRACKING_WRITE) {
            connection.execute_batch(&statement)?;
            failpoint!("warehouse.duckdb.in_merge");
        }
        let outcomes = {
            let mut statement = connection.prepare(plan::OUTCOMES)?;
            let rows = statement.query_map([], |row| outcome(row, 0))?;
            rows.collect::<duckdb::Result<Vec<_>>>()?
        };
        failpoint!("warehouse.duckdb.before_commit");
        connection.execute_batch("commit")?;
        failpoint!("warehouse.duckdb.after_commit");
        Ok(outcomes)
    };
    // The session ends with the load, and its temporary tables with it.
    in_transaction(connection, merge).map_err(|error| failed("load", &error))
}

/// The ten columns of an outcome, from `first` on.
fn outcome(row: &duckdb::Row<'_>, first: usize) -> duckdb::Result<FileOutcome> {
    Ok(FileOutcome {
        file: row.get(first)?,
        status: row.get(first + 1)?,
        lines: row.get(first + 2)?,
        inserted: row.get(first + 3)?,
        updated: row.get(first + 4)?,
        unchanged: row.get(first + 5)?,
        duplicate: row.get(first + 6)?,
        conflict: row.get(first + 7)?,
        waiting: row.get(first + 8)?,
        rejected: row.get(first + 9)?,
    })
}

fn append(connection: &Connection, set: &LoadSet) -> duckdb::Result<()> {
    let mut current: Option<(&'static Stage, duckdb::Appender<'_>)> = None;
    plan::stage_rows(set, |stage, cells| {
        if current.as_ref().is_none_or(|(known, _)| known.table != stage.table) {
            if let Some((_, mut appender)) = current.take() {
                appender.flush()?;
            }
            current = Some((stage, connection.appender_to_catalog_and_db(stage.table, "temp", "main")?));
        }
        match &mut current {
            Some((_, appender)) => appender.append_row(appender_params_from_iter(cells.iter().map(Bound))),
            None => Ok(()),
        }
    })?;
    if let Some((_, mut appender)) = current {
        appender.flush()?;
    }
    Ok(())
}

/// A cell as DuckDB's appender takes it.
struct Bound<'a>(&'a Cell<'a>);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> duckdb::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Cell::Null => ValueRef::Null,
            Cell::Text(text) => ValueRef::Text(text.as_bytes()),
            Cell::Int(value) => ValueRef::BigInt(*value),
            Cell::Bool(value) => ValueRef::Boolean(*value),
            Cell::Instant(value) => ValueRef::Timestamp(TimeUnit::Microsecond, value.as_microsecond()),
            Cell::Day(value) => ValueRef::Date32(days_since_epoch(*value)),
        }))
    }
}

/// The instant in a column.
fn instant(row: &duckdb::Row<'_>, index: usize) -> duckdb::Result<Timestamp> {
    Ok(match row.get_ref(index)? {
        ValueRef::Timestamp(TimeUnit::Microsecond, micros) => {
            Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH)
        }
        _ => Timestamp::UNIX_EPOCH,
    })
}

fn days_since_epoch(day: jiff::civil::Date) -> i32 {
    let epoch = jiff::civil::date(1970, 1, 1);
    day.since(epoch).map_or(0, |span| span.get_days())
}

/// Tells what may heal from what will not.
fn failed(what: &str, error: &duckdb::Error) -> WarehouseError {
    let text = format!("cannot {what}: {error}");
    if ["Corrupt database file", "Could not read enough bytes"].iter().any(|word| text.contains(word)) {
        return WarehouseError::Refused(format!(
            "{text}; the file is damaged: move it and its .wal away and start again, everything is loaded from the lake"
        ));
    }
    let is_passing =
        ["IO Error", "Out of Memory", "No space left", "Could not set lock", "Conflict", "INTERRUPT"]
            .iter()
            .any(|word| text.contains(word));
    if is_passing { WarehouseError::Unavailable(text) } else { WarehouseError::Refused(text) }
}
