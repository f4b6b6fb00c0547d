//! What happens to a queue file that is damaged: everything that can still be read moves to a new file, the damaged
//! one is kept beside it, and the queue goes on. A damaged page must not stop every start for ever.
//!
//! The steps survive a crash at any point: the new file gets a name that says that it is complete before the old one is
//! touched, and whoever finds that name goes on from there.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};
use tracing::{error, warn};

use super::{open, place};
use crate::ops::metrics;
use crate::queue::QueueError;

/// Says that somebody found damage: salvage before anything else.
const MARK: &str = "queue.damaged";
/// The new file while it is filled.
const FRESH: &str = "queue.sqlite.fresh";
/// The new file once it is complete: from then on it is what counts, whatever is left of the old one.
const SAVED: &str = "queue.sqlite.saved";
/// Ids that are looked at one by one before the steps become long: the rest of the file is gone.
const HOLE_MAX: i64 = 1_000_000;
/// Messages of one transaction.
const ROWS_MAX: usize = 1_000;

/// Leaves word that the file is damaged; the next open salvages it.
pub(super) fn mark(file: &Path) {
    let mark = beside(file, MARK);
    let written = fs::write(&mark, b"").and_then(|()| File::open(&mark)?.sync_all());
    if let Err(error) = written {
        error!(%error, "cannot leave word that the queue file is damaged");
    }
}

/// Whether somebody left word.
pub(super) fn is_due(file: &Path) -> bool {
    beside(file, MARK).exists()
}

/// Goes on where a crash interrupted the exchange of the files. To be called before the queue file is made.
pub(super) fn finish(dir: &Path) -> io::Result<()> {
    if dir.join(SAVED).exists() {
        exchange(&dir.join(place::FILE))?;
    }
    Ok(())
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Salvaged {
    /// Messages in the new file.
    pub(super) messages: u64,
    /// Stretches of the old file that cannot be read; each may have held several messages, or none.
    pub(super) holes: u64,
}

/// Moves what can be read to a new file. Nobody else may have the queue open.
pub(super) fn salvage(file: &Path) -> Result<Salvaged, QueueError> {
    error!(file = %file.display(), "the queue file is damaged: moving what can be read to a new one");
    let found = copy(file).map_err(|error| failed(file, error.as_ref()))?;
    let kept = replace(file).map_err(|error| failed(file, &error))?;
    metrics::queue_salvaged(found.messages, found.holes);
    error!(
        messages = found.messages, holes = found.holes, kept = %kept.display(),
        "saved {} messages of a damaged queue file; the damaged file is kept in {}", found.messages, kept.display()
    );
    Ok(found)
}

fn failed(file: &Path, error: &dyn std::fmt::Display) -> QueueError {
    QueueError::Refused(format!(
        "queue file {} is damaged, and what can be read of it cannot be saved: {error}; free some disk space or move \
         the folder away, nothing in it is deleted",
        file.display()
    ))
}

/// Fills the new file.
fn copy(file: &Path) -> Result<Salvaged, Box<dyn std::error::Error>> {
    let fresh = beside(file, FRESH);
    for leftover in [fresh.clone(), side(&fresh, "-wal"), side(&fresh, "-shm"), side(&fresh, "-journal")] {
        // One of an earlier, interrupted try.
        let _ = fs::remove_file(leftover);
    }
    // SQLite gives its side files the permissions of this one.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    // Never written to: not even its log is moved into it.
    let old = Connection::open_with_flags(
        file,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    let mut new = Connection::open(&fresh)?;
    new.execute_batch(open::SETTINGS)?;
    new.execute_batch(open::SCHEMA)?;
    let mut found = Salvaged::default();
    let mut walk = Walk { after: i64::MIN, holes: 0 };
    let mut is_done = false;
    while !is_done {
        let transaction = new.transaction()?;
        for _ in 0..ROWS_MAX {
            let Some((sent_at, text)) = walk.next(&old) else {
                is_done = true;
                break;
            };
            found.messages += 1;
            let id = i64::try_from(found.messages).unwrap_or(i64::MAX);
            transaction.execute(
                "insert into message (id, sent_at, text) values (?1, ?2, ?3)",
                params![id, sent_at, text],
            )?;
        }
        transaction.commit()?;
    }
    found.holes = walk.holes;
    Ok(found)
}

/// Says durably that the new file is complete, and puts it in the old one's place; gives the folder that the old one is
/// kept in.
fn replace(file: &Path) -> io::Result<PathBuf> {
    let fresh = beside(file, FRESH);
    File::open(&fresh)?.sync_all()?;
    fs::rename(&fresh, beside(file, SAVED))?;
    place::sync(file.parent().unwrap_or(Path::new(".")))?;
    exchange(file)
}

/// The old files go to a folder of their own, and the complete new one gets its name.
fn exchange(file: &Path) -> io::Result<PathBuf> {
    let dir = file.parent().unwrap_or(Path::new("."));
    let kept = dir.join(format!("damaged-{}", Timestamp::now().strftime("%Y%m%dT%H%M%S%.6fZ")));
    fs::create_dir(&kept)?;
    for name in ["-wal", "-shm", ""] {
        let from = side(file, name);
        if let Some(name) = from.file_name()
            && from.exists()
        {
            fs::rename(&from, kept.join(name))?;
        }
    }
    place::sync(&kept)?;
    fs::rename(beside(file, SAVED), file)?;
    place::sync(dir)?;
    // Last: whoever comes after a crash before this salvages a sound file, and finds no damage in it.
    fs::remove_file(beside(file, MARK)).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;
    Ok(kept)
}

/// Goes through the messages in order of their ids, around what cannot be read.
struct Walk {
    after: i64,
    holes: u64,
}

/// Another row, none any more, or damage.
enum Step {
    Row(i64, i64, String),
    End,
    Damage,
}

impl Walk {
    fn next(&mut self, old: &Connection) -> Option<(i64, String)> {
        let mut step = first_after(old, self.after);
        if matches!(step, Step::Damage) {
            self.holes += 1;
            // Ids are positive, but for those of a probe, and have hardly any gaps: one after the other, so that what
            // is sound between two stretches is not jumped over.
            let first = self.after.max(0);
            let mut unreadable = first;
            while matches!(step, Step::Damage) {
                let far = unreadable - first >= HOLE_MAX;
                unreadable = unreadable.checked_add(if far { HOLE_MAX } else { 1 })?;
                step = first_after(old, unreadable);
            }
            warn!(from = first + 1, to = unreadable, "a stretch of the queue file cannot be read");
        }
        match step {
            Step::Row(id, sent_at, text) => {
                self.after = id;
                Some((sent_at, text))
            }
            Step::End | Step::Damage => None,
        }
    }
}

fn first_after(old: &Connection, after: i64) -> Step {
    let row = old
        .prepare_cached("select id, sent_at, text from message where id > ?1 and id > 0 order by id limit 1")
        .and_then(|mut select| {
            select.query_row([after], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()
        });
    match row {
        Ok(Some((id, sent_at, text))) => Step::Row(id, sent_at, text),
        Ok(None) => Step::End,
        Err(_) => Step::Damage,
    }
}

/// Whether an error says that the file's content is not what SQLite wrote.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt)
}

fn beside(file: &Path, name: &str) -> PathBuf {
    file.with_file_name(name)
}

fn side(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
