//! What a disk queue's file holds, and the statements on it.
//!
//! A message's state is apart from its text, so that leasing and giving back rewrite few bytes. A message that was
//! never received is visible at 0, which no clock can be before: a clock set back hides no new message.

use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, params};
use tracing::{debug, warn};

use super::DiskOptions;
use crate::queue::{Delivery, Depth, Lease, QueueError};

/// No lease is longer, as on SQS.
const LEASE_MAX: Duration = Duration::from_secs(12 * 60 * 60);

/// How long another process may hold the file before we call it busy.
const BUSY_TIMEOUT: Duration = Duration::from_secs(4);

const PAGE_BYTES: u64 = 8192;
const VERSION: i64 = 1;

/// What is written before a checkpoint is due. It runs between two groups, when nobody waits for it.
const CHECKPOINT_BYTES: usize = 8 * 1024 * 1024;

/// `wal_autocheckpoint` is only the net below [`Store::checkpoint_if_due`]: 64 MiB.
const SETTINGS: &str = "
    pragma page_size = 8192;
    pragma synchronous = full;
    pragma wal_autocheckpoint = 8192;
    pragma journal_size_limit = 67108864;
    pragma cache_size = -8192;
    pragma temp_store = memory;
";

/// The index holds the id too, so that it finds the next message in order of arrival.
const SCHEMA: &str = "
    create table message (
        id integer primary key autoincrement,
        sent_at integer not null,
        visible_at integer not null,
        receive_count integer not null
    );
    create index message_visible on message (visible_at);
    create table body (id integer primary key, text text not null);
    create table probe (id integer primary key check (id = 1), at integer not null);
    pragma user_version = 1;
";

const NEVER_RECEIVED: &str = "
    select m.id, m.receive_count, m.sent_at, b.text from message m cross join body b on b.id = m.id
    where m.visible_at = 0 and m.visible_at <= ?1 order by m.id limit ?2";

const COME_BACK: &str = "
    select m.id, m.receive_count, m.sent_at, b.text from message m cross join body b on b.id = m.id
    where m.visible_at > 0 and m.visible_at <= ?1 order by m.visible_at, m.id limit ?2";

/// An open queue file.
pub(super) struct Store {
    conn: Connection,
    /// Bytes written since the last checkpoint, roughly.
    written: usize,
}

impl Store {
    /// Opens the file, and makes the tables when it is new.
    pub(super) fn open(file: &Path, options: &DiskOptions) -> Result<Store, QueueError> {
        let deadline = Instant::now() + BUSY_TIMEOUT;
        loop {
            match open(file, options) {
                Ok(conn) => return Ok(Store { conn, written: 0 }),
                // Turning WAL on does not wait for others by itself.
                Err(OpenError::Sqlite(error)) if is_busy(&error) && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(OpenError::Sqlite(error)) => return Err(open_error(file, &error)),
                Err(OpenError::Refused(reason)) => {
                    return Err(QueueError::Refused(format!("queue file {}: {reason}", file.display())));
                }
            }
        }
    }

    /// Does `work` in one transaction. `Ok` means that it is on disk.
    pub(super) fn transact(
        &mut self,
        bytes: usize,
        work: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let transaction = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        work(&transaction)?;
        transaction.commit()?;
        self.written += bytes;
        Ok(())
    }

    /// Whether a receive would find something.
    pub(super) fn any_ready(&self) -> rusqlite::Result<bool> {
        self.conn.prepare_cached("select 1 from message where visible_at <= ?1 limit 1")?.exists([now()])
    }

    /// Moves what was written into the main file when there is enough of it, without holding up other processes.
    pub(super) fn checkpoint_if_due(&mut self) {
        if self.written < CHECKPOINT_BYTES {
            return;
        }
        self.written = 0;
        let outcome = self.conn.query_row("pragma wal_checkpoint(passive)", [], |row| row.get::<_, i64>(1));
        match outcome {
            Ok(pages) => debug!(pages, "checkpointed the disk queue"),
            Err(error) => warn!(%error, "cannot checkpoint the disk queue, its log grows until the next try"),
        }
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
    let mode: String = conn.query_row("pragma journal_mode = wal", [], |row| row.get(0))?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(OpenError::Refused("its file system cannot share memory between processes".to_owned()));
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
    // A clock that was far ahead would otherwise have hidden its messages for good.
    let now = now();
    transaction.execute(
        "update message set visible_at = ?1 where visible_at > ?2",
        params![now, now.saturating_add(micros(LEASE_MAX))],
    )?;
    transaction.commit()?;
    Ok(conn)
}

/// A second connection, for looking without waiting for the writer.
pub(super) fn open_reader(file: &Path) -> Result<Connection, QueueError> {
    connect(file)
        .and_then(|conn| {
            conn.execute_batch("pragma query_only = on; pragma cache_size = -2048;").map(|()| conn)
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
pub(super) fn insert(conn: &Connection, texts: &[String]) -> rusqlite::Result<()> {
    let now = now();
    let mut message =
        conn.prepare_cached("insert into message (sent_at, visible_at, receive_count) values (?1, 0, 0)")?;
    let mut body = conn.prepare_cached("insert into body (id, text) values (?1, ?2)")?;
    for text in texts {
        let id = message.insert([now])?;
        body.insert(params![id, text])?;
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
pub(super) fn take(conn: &Connection, take: Take) -> rusqlite::Result<Vec<Delivery>> {
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
        let mut select = conn.prepare_cached(pick)?;
        let mut rows = select.query(params![now, i64::try_from(room).unwrap_or(i64::MAX)])?;
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            let receive_count = row.get::<_, i64>(1)?.saturating_add(1);
            let body: String = row.get(3)?;
            bytes += body.len();
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
        let mut update = conn.prepare_cached(
            "update message set visible_at = ?1, receive_count = receive_count + 1 where id = ?2",
        )?;
        for delivery in &taken[from..] {
            if let Some((id, _)) = parts(&delivery.lease) {
                update.execute([hidden_until, id])?;
            }
        }
    }
    Ok(taken)
}

/// Moves the ends of leases.
pub(super) fn extend(conn: &Connection, leases: &[Lease], lease: Duration) -> rusqlite::Result<Fates> {
    let until = now().saturating_add(micros(lease));
    let mut update =
        conn.prepare_cached("update message set visible_at = ?1 where id = ?2 and receive_count = ?3")?;
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
pub(super) fn delete(conn: &Connection, leases: &[Lease]) -> rusqlite::Result<Fates> {
    let mut message = conn.prepare_cached("delete from message where id = ?1 and receive_count = ?2")?;
    let mut body = conn.prepare_cached("delete from body where id = ?1")?;
    let mut still_there = conn.prepare_cached("select 1 from message where id = ?1")?;
    let mut fates = Vec::with_capacity(leases.len());
    for lease in leases {
        let gone = match parts(lease) {
            Some((id, count)) if message.execute([id, count])? == 1 => body.execute([id])? == 1,
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
pub(super) fn probe(conn: &Connection) -> rusqlite::Result<()> {
    // Ids of messages are positive, and only they are counted.
    conn.execute("insert into body (id, text) values (-1, printf('%.*c', 16384, '.'))", [])?;
    conn.execute("delete from body where id = -1", [])?;
    conn.execute("insert or replace into probe (id, at) values (1, ?1)", [now()])?;
    Ok(())
}

/// Counts messages.
pub(super) fn depth(conn: &Connection) -> rusqlite::Result<Depth> {
    let now = now();
    let mut count =
        conn.prepare_cached("select count(*), count(*) filter (where visible_at > ?1) from message")?;
    let (all, leased): (i64, i64) = count.query_row([now], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut first = conn.prepare_cached("select sent_at from message order by id limit 1")?;
    let mut rows = first.query([])?;
    let oldest = match rows.next()? {
        Some(row) => {
            let age = now.saturating_sub(row.get::<_, i64>(0)?);
            Some(Duration::from_micros(u64::try_from(age).unwrap_or(0)))
        }
        None => None,
    };
    let leased = u64::try_from(leased).unwrap_or(0);
    Ok(Depth { ready: u64::try_from(all).unwrap_or(0).saturating_sub(leased), leased, oldest })
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
