//! Opening a queue's file: its settings, its tables, and what an earlier process left in it.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, params};
use tracing::warn;

use super::DiskOptions;
use super::store::{LEASE_MAX, checkpoint, micros, now};
use crate::failpoint::failpoint;
use crate::queue::QueueError;

/// How long another process may hold the file before we call it busy.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(4);

const PAGE_BYTES: u64 = 8192;
const VERSION: i64 = 1;

/// `fullfsync` is for macOS, where a plain flush ends in the drive's cache; elsewhere it means nothing.
/// `wal_autocheckpoint` is only the net below [`Store::checkpoint_if_due`]: 64 MiB.
pub(super) const SETTINGS: &str = "
    pragma page_size = 8192;
    pragma synchronous = full;
    pragma fullfsync = on;
    pragma checkpoint_fullfsync = on;
    pragma wal_autocheckpoint = 8192;
    pragma journal_size_limit = 67108864;
    pragma cache_size = -8192;
    pragma temp_store = memory;
";

/// The index holds the id too, so that it finds the next message in order of arrival.
pub(super) const SCHEMA: &str = "
    create table message (
        id integer primary key,
        sent_at integer not null,
        text text not null
    );
    create table lease (
        id integer primary key,
        visible_at integer not null,
        receive_count integer not null
    );
    create index lease_visible on lease (visible_at);
    create table mark (id integer primary key check (id = 1), taken_up_to integer not null);
    insert into mark values (1, 0);
    create table probe (id integer primary key check (id = 1), at integer not null);
    pragma user_version = 1;
";

/// Why a file was not opened.
pub(super) enum OpenError {
    Sqlite(rusqlite::Error),
    Refused(String),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        OpenError::Sqlite(error)
    }
}

/// Opens the file, and makes the tables when it is new.
pub(super) fn open(file: &Path, options: &DiskOptions) -> Result<Connection, OpenError> {
    let mut conn = connect(file)?;
    conn.execute_batch(SETTINGS)?;
    conn.query_row("pragma journal_mode = wal", [], |_| Ok(()))?;
    // Asked again: the switch is written when its statement ends, and an error then is told to nobody. Without the
    // log, a power cut could bring an old journal back, over what was acknowledged.
    let mode: String = conn.query_row("pragma journal_mode", [], |row| row.get(0))?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(OpenError::Refused(format!(
            "it is in mode {mode} instead of wal: its file system cannot share memory between processes, or failed"
        )));
    }
    if let Some(bytes) = options.file_bytes_max {
        let pages = i64::try_from((bytes / PAGE_BYTES).max(16)).unwrap_or(i64::MAX);
        conn.query_row(&format!("pragma max_page_count = {pages}"), [], |row| row.get::<_, i64>(0))?;
    }

    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = transaction.query_row("pragma user_version", [], |row| row.get(0))?;
    match version {
        0 => transaction.execute_batch(SCHEMA)?,
        VERSION => {}
        newer => {
            return Err(OpenError::Refused(format!("its version is {newer}, this program knows {VERSION}")));
        }
    }
    transaction.commit()?;
    let settled = settle(&conn);
    // A full disk must be emptied, and who empties it must be able to open it.
    match settled {
        Err(error) if version == VERSION && is_full(&error) => {
            warn!(%error, "the disk is full: the queue gives out what it holds, and takes nothing new");
        }
        outcome => outcome?,
    }
    failpoint!("queue.disk.open.after_checkpoint");
    Ok(conn)
}

/// What an earlier process left behind, set right.
fn settle(conn: &Connection) -> rusqlite::Result<()> {
    // A clock that was far ahead would otherwise have hidden its messages for good.
    let now = now();
    conn.execute(
        "update lease set visible_at = ?1 where visible_at > ?2",
        params![now, now.saturating_add(micros(LEASE_MAX))],
    )?;
    // What a process that died of a failed flush left in the log may be in memory only: it is written again, to the
    // main file, before anything is built on it.
    failpoint!("queue.disk.open.before_checkpoint");
    checkpoint(conn).map(|_| ())
}

fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

/// A second connection, for looking without waiting for the writer.
pub(super) fn open_reader(file: &Path) -> Result<Connection, QueueError> {
    connect(file)
        .and_then(|conn| {
            conn.execute_batch(
                "pragma query_only = on; pragma cache_size = -2048; pragma checkpoint_fullfsync = on;",
            )
            .map(|()| conn)
        })
        .map_err(|error| open_error(file, &error))
}

fn connect(file: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(file, flags)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    Ok(conn)
}

/// Whether somebody else holds the file.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Tells what may heal from what will not.
pub(super) fn open_error(file: &Path, error: &rusqlite::Error) -> QueueError {
    let reason = format!("cannot open queue file {}: {error}", file.display());
    match error.sqlite_error_code() {
        Some(
            ErrorCode::NotADatabase
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::ReadOnly
            | ErrorCode::Unknown,
        ) => QueueError::Refused(reason),
        _ => QueueError::Unavailable(reason),
    }
}
