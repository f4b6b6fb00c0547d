//! A durable queue in one folder of this machine, on SQLite.
//!
//! - `Ok` means flushed to disk: write-ahead log with `synchronous = FULL`.
//! - One thread writes. What waits is written in one transaction, so that one flush serves many senders, and each
//!   caller learns the fate of its own messages after the commit.
//! - Several processes of one host may share the folder; what another one sends is seen within about 100 ms. Network
//!   file systems are refused: their locks and flushes cannot be relied on.
//! - Leases end by the wall clock. A clock that jumps forward ends them early (a message comes twice), one that
//!   jumps back lets them last longer by the jump; messages that were never received do not depend on it.
//! - A flush that fails ends the queue for this process ([`DiskQueue::failed`]). A file that is damaged is replaced at
//!   the next open by what can be read of it, and kept beside the new one.
//! - The file keeps its size after a backlog, and its free pages are used again.

mod open;
mod place;
mod salvage;
mod store;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::Instant;

use self::place::Hold;
use self::store::{NoStore, Store, Take, Writing};
use self::writer::{Job, Kind, Poison};
use super::{Delivery, Depth, Enqueued, Lease, Queue, QueueError, SendError};

/// The same as on SQS, so that what fits here fits there.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// Jobs that wait for the writer; more callers wait in line.
const JOBS_MAX: usize = 8192;

/// How often a waiting receive looks for what other processes sent, and for leases that ended.
const POLL: Duration = Duration::from_millis(100);

/// How room is counted, since a semaphore counts in 32 bits.
const ROOM_UNIT_BYTES: usize = 1024;

/// Limits of a disk queue.
#[derive(Debug, Clone)]
pub struct DiskOptions {
    /// Bytes of message text that may wait to be written; senders beyond it wait in line.
    pub waiting_bytes_max: usize,
    /// Bytes of message text that one receive takes; the message that reaches them is the last one.
    pub receive_bytes_max: usize,
    /// How far the file may grow; a send beyond it fails. Unlimited by default.
    pub file_bytes_max: Option<u64>,
    /// Takes network and pass-through file systems too; durability and sharing are then at their mercy.
    pub any_file_system: bool,
}

impl Default for DiskOptions {
    fn default() -> Self {
        DiskOptions {
            waiting_bytes_max: 64 * 1024 * 1024,
            receive_bytes_max: 16 * 1024 * 1024,
            file_bytes_max: None,
            any_file_system: false,
        }
    }
}

/// The queue in a folder.
#[derive(Debug)]
pub struct DiskQueue {
    options: DiskOptions,
    file: PathBuf,
    /// `None` once closed.
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    reader: Arc<Mutex<Connection>>,
    room: Arc<Semaphore>,
    room_max: u32,
    /// Rung when something may have become ready.
    arrivals: Arc<Notify>,
    turns: AtomicUsize,
    poison: Arc<Poison>,
    _hold: Hold,
}

impl DiskQueue {
    /// Opens the queue in `dir`, which is made if it is missing. Blocks while it does.
    ///
    /// Errors: [`QueueError::Refused`] for a folder that cannot be made or written, a network file system, or a file
    /// that is no queue of ours; [`QueueError::Unavailable`] when another process holds it for too long.
    pub fn open(dir: &Path, options: DiskOptions) -> Result<DiskQueue, QueueError> {
        let file = place::prepare(dir, options.any_file_system)?;
        let hold = Hold::shared(dir)?;
        let store = open_sound(&file, &hold, &options)?;
        // SQLite has made its log by now: its name must be on the disk before anything in it is acknowledged.
        place::sync(dir).map_err(|error| {
            QueueError::Unavailable(format!("cannot flush the queue folder {}: {error}", dir.display()))
        })?;
        let reader = open::open_reader(&file)?;
        let (jobs, waiting) = mpsc::channel(JOBS_MAX);
        let arrivals = Arc::new(Notify::new());
        let poison = Arc::new(Poison::new(&file));
        let (bell, told) = (Arc::clone(&arrivals), Arc::clone(&poison));
        let writer = std::thread::Builder::new()
            .name("queue-writer".to_owned())
            .spawn(move || writer::run(store, waiting, bell, told))
            .map_err(|error| QueueError::Unavailable(format!("cannot start the queue's writer: {error}")))?;
        let room_max = room_of(options.waiting_bytes_max.max(MESSAGE_BYTES_MAX));
        Ok(DiskQueue {
            options,
            file,
            jobs: Mutex::new(Some(jobs)),
            writer: Mutex::new(Some(writer)),
            reader: Arc::new(Mutex::new(reader)),
            room: Arc::new(Semaphore::new(room_max as usize)),
            room_max,
            arrivals,
            turns: AtomicUsize::new(0),
            poison,
            _hold: hold,
        })
    }

    /// Waits until this queue can take nothing more because a flush failed or its file is damaged; gives the reason.
    /// The process should end then: the next start goes on from what is on the disk, or saves what can be read.
    pub async fn failed(&self) -> String {
        self.poison.set().await
    }

    /// The file that holds the messages.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Hands work to the writer and waits for its fate.
    async fn write<T, F>(&self, kind: Kind, bytes: usize, work: F) -> Result<T, String>
    where
        T: Default + Send + 'static,
        F: FnMut(&Writing<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let ended = || "the queue is closed".to_owned();
        let room = if bytes > 0 {
            let room = room_of(bytes).min(self.room_max);
            Some(Arc::clone(&self.room).acquire_many_owned(room).await.map_err(|_| ended())?)
        } else {
            None
        };
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(ended)?;
        let (job, answer) = Job::new(kind, bytes, room, work);
        jobs.send(job).await.map_err(|_| ended())?;
        // The writer ends with the last sender: who only waits for an answer must not keep it.
        drop(jobs);
        answer.await.map_err(|_| ended())?
    }

    async fn take(&self, max: usize, lease: Duration) -> Result<Vec<Delivery>, QueueError> {
        // Half and half, and with an odd number the odd one in turn.
        let turn = self.turns.fetch_add(1, Ordering::Relaxed) % 2;
        let take = Take {
            max,
            come_back_first: max.div_ceil(2) - (max % 2) * turn,
            bytes_max: self.options.receive_bytes_max,
            lease,
        };
        self.write(Kind::Receive, 0, move |writing| store::take(writing, take))
            .await
            .map_err(QueueError::Unavailable)
    }

    /// The same fate for all when the writer could not even try.
    fn all_unavailable(count: usize, reason: &str) -> Vec<Result<(), QueueError>> {
        (0..count).map(|_| Err(QueueError::Unavailable(reason.to_owned()))).collect()
    }
}

#[async_trait]
impl Queue for DiskQueue {
    async fn send(&self, messages: Vec<String>) -> Vec<Result<Enqueued, SendError>> {
        let too_large: Vec<Option<usize>> =
            messages.iter().map(|text| (text.len() > MESSAGE_BYTES_MAX).then_some(text.len())).collect();
        let texts: Vec<String> =
            messages.into_iter().filter(|text| text.len() <= MESSAGE_BYTES_MAX).collect();
        let fate = if texts.is_empty() {
            Ok(())
        } else {
            let bytes = texts.iter().map(String::len).sum::<usize>().max(1);
            self.write(Kind::Send, bytes, move |writing| store::insert(writing, &texts)).await
        };
        too_large
            .into_iter()
            .map(|too_large| match (too_large, &fate) {
                (Some(bytes), _) => Err(SendError::TooLarge { bytes, limit: MESSAGE_BYTES_MAX }),
                (None, Ok(())) => Ok(Enqueued(())),
                (None, Err(reason)) => Err(SendError::Unavailable(reason.clone())),
            })
            .collect()
    }

    async fn receive(
        &self,
        max: usize,
        wait: Duration,
        lease: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let deadline = Instant::now() + wait;
        loop {
            let arrival = self.arrivals.notified();
            tokio::pin!(arrival);
            // Listen before looking, so that what arrives in between is not missed.
            arrival.as_mut().enable();
            let taken = self.take(max, lease).await?;
            if !taken.is_empty() || Instant::now() >= deadline {
                return Ok(taken);
            }
            tokio::select! {
                () = arrival => {}
                () = tokio::time::sleep_until(deadline.min(Instant::now() + POLL)) => {}
            }
        }
    }

    async fn extend(&self, leases: &[Lease], lease: Duration) -> Vec<Result<(), QueueError>> {
        if leases.is_empty() {
            return Vec::new();
        }
        let asked = leases.to_vec();
        self.write(Kind::Other, 0, move |writing| store::extend(writing, &asked, lease))
            .await
            .unwrap_or_else(|reason| Self::all_unavailable(leases.len(), &reason))
    }

    async fn delete(&self, leases: &[Lease]) -> Vec<Result<(), QueueError>> {
        if leases.is_empty() {
            return Vec::new();
        }
        let asked = leases.to_vec();
        self.write(Kind::Other, 0, move |writing| store::delete(writing, &asked))
            .await
            .unwrap_or_else(|reason| Self::all_unavailable(leases.len(), &reason))
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let reader = Arc::clone(&self.reader);
        let counted = tokio::task::spawn_blocking(move || {
            let conn = reader.lock().unwrap_or_else(PoisonError::into_inner);
            store::depth(&conn).map_err(|error| error.to_string())
        });
        match counted.await {
            Ok(Ok(depth)) => Ok(depth),
            Ok(Err(reason)) => Err(QueueError::Unavailable(format!("cannot count the queue: {reason}"))),
            Err(error) => Err(QueueError::Unavailable(format!("cannot count the queue: {error}"))),
        }
    }

    async fn probe(&self) -> Result<(), QueueError> {
        self.write(Kind::Send, 1, store::probe).await.map_err(QueueError::Unavailable)
    }

    fn message_bytes_max(&self) -> usize {
        MESSAGE_BYTES_MAX
    }

    fn kind(&self) -> &'static str {
        "disk"
    }

    async fn close(&self) {
        // The writer ends when the last sender is gone, and that is after the last job is settled.
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.arrivals.notify_waiters();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            let joined = tokio::task::spawn_blocking(move || writer.join().is_ok()).await;
            if !matches!(joined, Ok(true)) {
                tracing::error!("the disk queue's writer ended by a panic");
            }
        }
    }
}

/// Opens the file; a damaged one is replaced by what can be read of it.
fn open_sound(file: &Path, hold: &Hold, options: &DiskOptions) -> Result<Store, QueueError> {
    if !salvage::is_due(file) {
        match Store::open(file, options) {
            Ok(store) => return Ok(store),
            Err(NoStore::Other(error)) => return Err(error),
            Err(NoStore::Damaged) => {}
        }
    }
    match hold.alone(|| salvage::salvage(file)) {
        Ok(Some(saved)) => saved.map(|_| ())?,
        Ok(None) => {
            return Err(QueueError::Refused(format!(
                "queue file {} is damaged, and another process has it open: end that one first",
                file.display()
            )));
        }
        Err(error) => return Err(QueueError::Refused(format!("cannot use the queue's lock file: {error}"))),
    }
    Store::open(file, options).map_err(|error| match error {
        NoStore::Other(error) => error,
        NoStore::Damaged => QueueError::Refused(format!("queue file {} is damaged", file.display())),
    })
}

fn room_of(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(ROOM_UNIT_BYTES)).unwrap_or(u32::MAX)
}
