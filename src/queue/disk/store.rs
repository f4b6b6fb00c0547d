//! What a disk queue's file holds, and the statements on it.
//!
//! A message is one row, written once. Ids are handed out without gaps, and new messages are taken in their order:
//! all above the mark `taken_up_to` were never received, so that sending writes no index, counting reads no text, and
//! a clock set back hides no new message. A row in `lease` comes with the first receive; leasing again and giving
//! back rewrite only that.

use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, params};
use tracing::{debug, warn};

use super::{DiskOptions, salvage};
use crate::failpoint::failpoint;
use crate::queue::{Delivery, Depth, Lease, QueueError};

/// No lease is longer, as on SQS.
const LEASE_MAX: Duration = Duration::from_secs(12 * 60 * 60);

/// How long another process may hold the file before we call it busy.
const BUSY_TIMEOUT: Duration = Duration::from_secs(4);

const PAGE_BYTES: u64 = 8192;
const VERSION: i64 = 1;

/// What is written before a checkpoint is due. It runs between two groups, when nobody waits for it.
const CHECKPOINT_BYTES: usize = 8 * 1024 * 1024;

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

const NEVER_RECEIVED: &str = "
    select id, 0, sent_at, text from message
    where id > (select taken_up_to from mark) order by id limit ?2";

const COME_BACK: &str = "
    select l.id, l.receive_count, m.sent_at, m.text from lease l cross join message m on m.id = l.id
    where l.visible_at <= ?1 order by l.visible_at, l.id limit ?2";

/// An open queue file.
pub(super) struct Store {
    conn: Connection,
    /// Bytes written since the last checkpoint, roughly.
    written: usize,
}

impl Store {
    /// Opens the file, and makes the tables when it is new.
    pub(super) fn open(file: &Path, options: &DiskOptions) -> Result<Store, NoStore> {
        let deadline = Instant::now() + BUSY_TIMEOUT;
        loop {
            match open(file, options) {
                Ok(conn) => return Ok(Store { conn, written: 0 }),
                // Turning WAL on does not wait for others by itself.
                Err(OpenError::Sqlite(error)) if is_busy(&error) && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(OpenError::Sqlite(error)) if salvage::is_damage(&error) => return Err(NoStore::Damaged),
                Err(OpenError::Sqlite(error)) => return Err(NoStore::Other(open_error(file, &error))),
                Err(OpenError::Refused(reason)) => {
                    let reason = format!("queue file {}: {reason}", file.display());
                    return Err(NoStore::Other(QueueError::Refused(reason)));
                }
            }
        }
    }

    /// Does `work` in one transaction. `Ok` means that it is on disk.
    pub(super) fn transact(
        &mut self,
        bytes: usize,
        work: impl FnOnce(&Writing<'_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        failpoint!("queue.disk.before_transaction");
        let transaction = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        work(&Writing { conn: &transaction, last_id: Cell::new(None) })?;
        failpoint!("queue.disk.before_commit");
        transaction.commit()?;
        failpoint!("queue.disk.after_commit");
        self.written += bytes;
        Ok(())
    }

    /// Whether a receive would find something.
    pub(super) fn any_ready(&self) -> rusqlite::Result<bool> {
        let mut any = self.conn.prepare_cached(
            "select exists (select 1 from message where id > (select taken_up_to from mark))
                 or exists (select 1 from lease where visible_at <= ?1)",
        )?;
        any.query_row([now()], |row| row.get(0))
    }

    /// Moves what was written into the main file when there is enough of it, without holding up other processes.
    pub(super) fn checkpoint_if_due(&mut self) -> rusqlite::Result<()> {
        if self.written < CHECKPOINT_BYTES {
            return Ok(());
        }
        self.written = 0;
        let outcome = checkpoint(&self.conn);
        match &outcome {
            Ok(pages) => debug!(pages, "checkpointed the disk queue"),
            Err(error) => warn!(%error, "cannot checkpoint the disk queue, its log grows until the next try"),
        }
        outcome.map(|_| ())
    }
}

/// Moves what the log holds into the main file, as far as others let us; gives the pages of the log.
fn checkpoint(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("pragma wal_checkpoint(passive)", [], |row| row.get(1))
}

/// Why a file was not opened.
pub(super) enum NoStore {
    /// Its content is not what SQLite wrote.
    Damaged,
    /// Anything else.
    Other(QueueError),
}

/// An error after which nothing more may be acknowledged by this process.
pub(super) enum Fatal {
    /// A flush failed. What the system still shows of the file may never reach the disk, and flushing again would say
    /// `Ok` all the same ("Can Applications Recover from fsync Failures?", USENIX ATC 2020).
    NotFlushed,
    /// The file's content is not what SQLite wrote.
    Damaged,
}

impl Fatal {
    /// Whether `error` is one.
    pub(super) fn of(error: &rusqlite::Error) -> Option<Fatal> {
        use rusqlite::ffi::{SQLITE_IOERR_DIR_FSYNC, SQLITE_IOERR_FSYNC};
        if salvage::is_damage(error) {
            return Some(Fatal::Damaged);
        }
        let code = error.sqlite_error()?.extended_code;
        matches!(code, SQLITE_IOERR_FSYNC | SQLITE_IOERR_DIR_FSYNC).then_some(Fatal::NotFlushed)
    }
}

/// A transaction under way. No other process writes until it ends.
pub(super) struct Writing<'a> {
    conn: &'a Connection,
    /// The greatest id handed out; read when the first is wanted.
    last_id: Cell<Option<i64>>,
}

impl Writing<'_> {
    fn next_id(&self) -> rusqlite::Result<i64> {
        let last = match self.last_id.get() {
            Some(last) => last,
            // Taken messages may be gone; their ids are never used again.
            None => self
                .conn
                .prepare_cached(
                    "select max(taken_up_to, coalesce((select max(id) from message), 0)) from mark",
                )?
                .query_row([], |row| row.get(0))?,
        };
        self.last_id.set(Some(last + 1));
        Ok(last + 1)
    }
}

enum OpenError {
    Sqlite(rusqlite::Error),
    Refused(String),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        OpenError::Sqlite(error)
    }
}

fn open(file: &Path, options: &DiskOptions) -> Result<Connection, OpenError> {
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

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn open_error(file: &Path, error: &rusqlite::Error) -> QueueError {
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

/// Adds messages, ready at once.
pub(super) fn insert(writing: &Writing<'_>, texts: &[String]) -> rusqlite::Result<()> {
    let now = now();
    let mut message =
        writing.conn.prepare_cached("insert into message (id, sent_at, text) values (?1, ?2, ?3)")?;
    for text in texts {
        message.execute(params![writing.next_id()?, now, text])?;
    }
    Ok(())
}

/// How much one receive may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Take {
    /// Messages.
    pub(super) max: usize,
    /// Of them, those that came back are taken before new ones: neither kind may starve the other.
    pub(super) come_back_first: usize,
    /// Bytes of text; the message that reaches them is the last one.
    pub(super) bytes_max: usize,
    /// How long they are hidden.
    pub(super) lease: Duration,
}

/// Leases messages.
pub(super) fn take(writing: &Writing<'_>, take: Take) -> rusqlite::Result<Vec<Delivery>> {
    let conn = writing.conn;
    let now = now();
    // Later than now in any case: what this call has taken it must not see again.
    let hidden_until = now.saturating_add(micros(take.lease).max(1));
    let mut taken = Vec::new();
    let mut bytes = 0;
    for (pick, most) in [(COME_BACK, take.come_back_first), (NEVER_RECEIVED, take.max), (COME_BACK, take.max)]
    {
        let room = most.min(take.max).saturating_sub(taken.len());
        if room == 0 || bytes >= take.bytes_max {
            continue;
        }
        let from = taken.len();
        let mut last_id = None;
        let mut select = conn.prepare_cached(pick)?;
        let mut rows = select.query(params![now, i64::try_from(room).unwrap_or(i64::MAX)])?;
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            let receive_count = row.get::<_, i64>(1)?.saturating_add(1);
            let body: String = row.get(3)?;
            bytes += body.len();
            last_id = Some(id);
            taken.push(Delivery {
                body,
                lease: Lease(format!("{id}:{receive_count}")),
                message_id: id.to_string(),
                receive_count: u32::try_from(receive_count).unwrap_or(u32::MAX),
                sent_at: Timestamp::from_microsecond(row.get(2)?).ok(),
            });
            if bytes >= take.bytes_max {
                break;
            }
        }
        drop(rows);
        if pick == NEVER_RECEIVED
            && let Some(last_id) = last_id
        {
            conn.prepare_cached("update mark set taken_up_to = ?1")?.execute([last_id])?;
        }
        let mut lease = conn.prepare_cached(
            "insert into lease (id, visible_at, receive_count) values (?1, ?2, ?3)
             on conflict (id) do update set visible_at = excluded.visible_at, receive_count = excluded.receive_count",
        )?;
        for delivery in &taken[from..] {
            if let Some((id, count)) = parts(&delivery.lease) {
                lease.execute([id, hidden_until, count])?;
            }
        }
    }
    Ok(taken)
}

/// Moves the ends of leases.
pub(super) fn extend(writing: &Writing<'_>, leases: &[Lease], lease: Duration) -> rusqlite::Result<Fates> {
    let until = now().saturating_add(micros(lease));
    let mut update = writing
        .conn
        .prepare_cached("update lease set visible_at = ?1 where id = ?2 and receive_count = ?3")?;
    let mut fates = Vec::with_capacity(leases.len());
    for lease in leases {
        let held = match parts(lease) {
            Some((id, count)) => update.execute([until, id, count])? == 1,
            None => false,
        };
        fates.push(if held { Ok(()) } else { Err(QueueError::LeaseOver) });
    }
    Ok(fates)
}

/// Deletes leased messages.
pub(super) fn delete(writing: &Writing<'_>, leases: &[Lease]) -> rusqlite::Result<Fates> {
    let conn = writing.conn;
    let mut lease = conn.prepare_cached("delete from lease where id = ?1 and receive_count = ?2")?;
    let mut message = conn.prepare_cached("delete from message where id = ?1")?;
    let mut still_there = conn.prepare_cached("select 1 from message where id = ?1")?;
    let mut fates = Vec::with_capacity(leases.len());
    for held in leases {
        let gone = match parts(held) {
            Some((id, count)) if lease.execute([id, count])? == 1 => message.execute([id])? == 1,
            Some((id, _)) => !still_there.exists([id])?,
            None => false,
        };
        fates.push(if gone { Ok(()) } else { Err(QueueError::LeaseOver) });
    }
    Ok(fates)
}

/// One fate per lease.
pub(super) type Fates = Vec<Result<(), QueueError>>;

/// Writes what a message would need, and takes it away again.
pub(super) fn probe(writing: &Writing<'_>) -> rusqlite::Result<()> {
    let conn = writing.conn;
    // Ids of messages are positive: nobody can ever see this one.
    conn.execute("insert into message (id, sent_at, text) values (-1, 0, printf('%.*c', 16384, '.'))", [])?;
    conn.execute("delete from message where id = -1", [])?;
    conn.execute("insert or replace into probe (id, at) values (1, ?1)", [now()])?;
    Ok(())
}

/// Counts messages, without reading any.
pub(super) fn depth(conn: &Connection) -> rusqlite::Result<Depth> {
    let now = now();
    // One statement, so that all of it is of one moment.
    let mut count = conn.prepare_cached(
        "select (select max(m.taken_up_to, coalesce((select max(id) from message), 0)) - m.taken_up_to from mark m),
                count(*) filter (where visible_at <= ?1), count(*) filter (where visible_at > ?1),
                (select sent_at from message order by id limit 1)
         from lease",
    )?;
    let (new, come_back, leased, oldest): (i64, i64, i64, Option<i64>) =
        count.query_row([now], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    let oldest = oldest.map(|sent_at| {
        let age = now.saturating_sub(sent_at);
        Duration::from_micros(u64::try_from(age).unwrap_or(0))
    });
    let count = |rows: i64| u64::try_from(rows).unwrap_or(0);
    Ok(Depth { ready: count(new) + count(come_back), leased: count(leased), oldest })
}

/// A lease is the message and how often it had been received: the next receive makes it outdated.
fn parts(lease: &Lease) -> Option<(i64, i64)> {
    let (id, count) = lease.0.split_once(':')?;
    Some((id.parse().ok()?, count.parse().ok()?))
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.min(LEASE_MAX).as_micros()).unwrap_or(i64::MAX)
}

fn now() -> i64 {
    Timestamp::now().as_microsecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// kill -9 shows none of this: only a power cut does.
    #[test]
    fn a_commit_is_flushed_before_it_is_told() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("queue.sqlite");
        let Ok(store) = Store::open(&file, &DiskOptions::default()) else { panic!("it opens") };
        let pragma = |name: &str| -> String {
            let sql = format!("select cast({name} as text) from pragma_{name}");
            store.conn.query_row(&sql, [], |row| row.get(0)).expect("a setting")
        };

        // 2 is FULL: the log is flushed with each commit.
        assert_eq!(pragma("synchronous"), "2");
        assert_eq!(pragma("journal_mode"), "wal");
        assert_eq!((pragma("fullfsync"), pragma("checkpoint_fullfsync")), ("1".to_owned(), "1".to_owned()));
        assert_eq!(pragma("locking_mode"), "normal", "several processes may share it");
    }
}
