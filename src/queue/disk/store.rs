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
use rusqlite::{Connection, TransactionBehavior, params};
use tracing::{debug, warn};

use super::open::{self, BUSY_TIMEOUT, OpenError};
use super::{DiskOptions, salvage};
use crate::failpoint::failpoint;
use crate::queue::{Delivery, Depth, Lease, QueueError};

/// No lease is longer, as on SQS.
pub(super) const LEASE_MAX: Duration = Duration::from_secs(12 * 60 * 60);

/// What is written before a checkpoint is due. It runs between two groups, when nobody waits for it.
const CHECKPOINT_BYTES: usize = 8 * 1024 * 1024;

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
            match open::open(file, options) {
                Ok(conn) => return Ok(Store { conn, written: 0 }),
                // Turning WAL on does not wait for others by itself.
                Err(OpenError::Sqlite(error)) if open::is_busy(&error) && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(OpenError::Sqlite(error)) if salvage::is_damage(&error) => return Err(NoStore::Damaged),
                Err(OpenError::Sqlite(error)) => return Err(NoStore::Other(open::open_error(file, &error))),
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
pub(super) fn checkpoint(conn: &Connection) -> rusqlite::Result<i64> {
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

pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.min(LEASE_MAX).as_micros()).unwrap_or(i64::MAX)
}

pub(super) fn now() -> i64 {
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
