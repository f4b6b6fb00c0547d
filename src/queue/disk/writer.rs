//! The one thread that writes a disk queue: everything that waits is done in one transaction, one flush for many.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::salvage;
use super::store::{Fatal, Store, Writing};

/// Limits of one transaction.
const GROUP_JOBS_MAX: usize = 4096;
const GROUP_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A flush costs the same for one job as for hundreds. When several came together the last time, more are on their
/// way: waiting this long for them makes few large groups of many small ones. A lone sender never waits.
const LINGER: Duration = Duration::from_millis(4);
const LINGER_FROM_JOBS: usize = 3;

/// What the file grows by for a job beside its text, roughly.
const JOB_BYTES: usize = 4096;

/// What sets jobs apart in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Adds messages: the first to be refused when a disk is full.
    Send,
    /// Leases messages: not worth a transaction while there is nothing to lease.
    Receive,
    /// Anything else that writes.
    Other,
}

/// Something to write, and somebody who waits for its fate.
pub(super) struct Job {
    kind: Kind,
    bytes: usize,
    step: Box<dyn Step>,
    /// Given back when the job is settled.
    _room: Option<OwnedSemaphorePermit>,
}

impl Job {
    /// `bytes`: size of the text it adds. `work` may be run again when its group failed for another's fault.
    pub(super) fn new<T, F>(
        kind: Kind,
        bytes: usize,
        room: Option<OwnedSemaphorePermit>,
        work: F,
    ) -> (Job, oneshot::Receiver<Result<T, String>>)
    where
        T: Default + Send + 'static,
        F: FnMut(&Writing<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let step = Box::new(Task { work, answer: T::default(), reply });
        (Job { kind, bytes, step, _room: room }, answer)
    }
}

trait Step: Send {
    fn apply(&mut self, writing: &Writing<'_>) -> rusqlite::Result<()>;
    fn settle(self: Box<Self>, fate: Result<(), String>);
    fn is_abandoned(&self) -> bool;
}

struct Task<T, F> {
    work: F,
    answer: T,
    reply: oneshot::Sender<Result<T, String>>,
}

impl<T, F> Step for Task<T, F>
where
    T: Send,
    F: FnMut(&Writing<'_>) -> rusqlite::Result<T> + Send,
{
    fn apply(&mut self, writing: &Writing<'_>) -> rusqlite::Result<()> {
        self.answer = (self.work)(writing)?;
        Ok(())
    }

    fn settle(self: Box<Self>, fate: Result<(), String>) {
        let Task { answer, reply, .. } = *self;
        // A caller that has left wants no answer.
        let _ = reply.send(fate.map(|()| answer));
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }
}

/// Set once a flush has failed or the file is found damaged: nothing is written any more, and the process must end
/// and start anew, from what is on the disk.
#[derive(Debug)]
pub(super) struct Poison {
    file: PathBuf,
    reason: OnceLock<String>,
    told: CancellationToken,
}

impl Poison {
    pub(super) fn new(file: &Path) -> Poison {
        Poison { file: file.to_owned(), reason: OnceLock::new(), told: CancellationToken::new() }
    }

    fn look_at(&self, error: &rusqlite::Error) {
        let what = match Fatal::of(error) {
            None => return,
            Some(Fatal::NotFlushed) => "the disk failed to flush",
            Some(Fatal::Damaged) => {
                salvage::mark(&self.file);
                "the file is damaged"
            }
        };
        let reason = format!("{what}: {error}; the queue in {} takes nothing more", self.file.display());
        let _ = self.reason.set(reason);
        self.told.cancel();
    }

    fn reason(&self) -> Option<&str> {
        self.reason.get().map(String::as_str)
    }

    /// Waits until it is set; gives why.
    pub(super) async fn set(&self) -> String {
        self.told.cancelled().await;
        self.reason().unwrap_or_default().to_owned()
    }
}

/// A writer that died must not look like a queue that is only slow.
struct OnPanic(Arc<Poison>);

impl Drop for OnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.0.reason.set("the queue's writer died".to_owned());
            self.0.told.cancel();
        }
    }
}

/// Works until every sender of jobs is gone and every job is settled.
pub(super) fn run(
    mut store: Store,
    mut jobs: mpsc::Receiver<Job>,
    arrivals: Arc<Notify>,
    poison: Arc<Poison>,
) {
    let _on_panic = OnPanic(Arc::clone(&poison));
    let mut is_busy = false;
    while let Some(first) = jobs.blocking_recv() {
        if is_busy {
            std::thread::sleep(LINGER);
        }
        let group = gather(first, &mut jobs);
        is_busy = group.len() >= LINGER_FROM_JOBS;
        if let Some(reason) = poison.reason() {
            settle(group, Err(reason.to_owned()));
            continue;
        }
        settle_group(&mut store, group, &arrivals, &poison);
        if let Err(error) = store.checkpoint_if_due() {
            poison.look_at(&error);
        }
    }
    debug!("the disk queue's writer has written everything");
    arrivals.notify_waiters();
}

/// Everything that waits now: while one group is flushed, the next one gathers by itself.
fn gather(first: Job, jobs: &mut mpsc::Receiver<Job>) -> Vec<Job> {
    let mut bytes = first.bytes;
    let mut group = vec![first];
    while group.len() < GROUP_JOBS_MAX && bytes < GROUP_BYTES_MAX {
        let Ok(job) = jobs.try_recv() else { break };
        bytes += job.bytes;
        group.push(job);
    }
    group
}

fn settle_group(store: &mut Store, mut group: Vec<Job>, arrivals: &Notify, poison: &Poison) {
    // What nobody would take must not be leased. Anything else is done all the same: it was asked for.
    group.retain(|job| job.kind != Kind::Receive || !job.step.is_abandoned());
    if group.iter().all(|job| job.kind == Kind::Receive) && matches!(store.any_ready(), Ok(false)) {
        settle(group, Ok(()));
        return;
    }
    let Err(reason) = write(store, &mut group, poison) else {
        let may_be_received = group.iter().any(|job| job.kind != Kind::Receive);
        settle(group, Ok(()));
        if may_be_received {
            arrivals.notify_waiters();
        }
        return;
    };
    let (sends, mut others): (Vec<Job>, Vec<Job>) = group.into_iter().partition(|job| job.kind == Kind::Send);
    let is_mixed = !others.is_empty() && !sends.is_empty();
    settle(sends, Err(reason.clone()));
    // A disk with no room for new messages must still let go of old ones.
    let fate =
        if is_mixed && poison.reason().is_none() { write(store, &mut others, poison) } else { Err(reason) };
    settle(others, fate);
}

/// A failure leaves it open whether anything was kept: the callers say "unavailable", and what was kept is a
/// duplicate at worst.
fn write(store: &mut Store, group: &mut [Job], poison: &Poison) -> Result<(), String> {
    let bytes = group.iter().map(|job| job.bytes + JOB_BYTES).sum();
    store.transact(bytes, |writing| group.iter_mut().try_for_each(|job| job.step.apply(writing))).map_err(
        |error| {
            poison.look_at(&error);
            format!("cannot write to the queue file: {error}")
        },
    )
}

fn settle(group: Vec<Job>, fate: Result<(), String>) {
    for job in group {
        job.step.settle(fate.clone());
    }
}
