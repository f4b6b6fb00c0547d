//! Sending: concurrent sends share calls of up to ten messages, and each sender learns the fate of its own.
//!
//! A task of its own does the grouping, so that a caller that is dropped neither loses what it handed over nor
//! holds up others. A call is under way as soon as it is full or its oldest message has waited for the linger.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::task::TaskTracker;

use super::BATCH_BYTES_MAX;
use super::batch::{ENTRIES_MAX, Fate, fates};
use super::failure::{Failure, is_throttle, short};
use super::pace::Slot;
use super::place::Place;
use crate::failpoint::failpoint;
use crate::ops::retry::Backoff;
use crate::queue::{Enqueued, SendError};

const CALL: &str = "SendMessageBatch";

/// Messages that wait to be grouped; more callers wait in line.
const WAITING_MAX: usize = 4096;

/// How room is counted, since a semaphore counts in 32 bits.
const ROOM_UNIT_BYTES: usize = 1024;

const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// The same for a call that was throttled.
const THROTTLED_FIRST: Duration = Duration::from_millis(20);
const THROTTLED_MAX: Duration = Duration::from_millis(30);

/// One message on its way.
struct Entry {
    body: String,
    queued_at: Instant,
    /// When its sender must have been told.
    deadline: Instant,
    fate: oneshot::Sender<Result<Enqueued, SendError>>,
    /// Given back when the entry is settled.
    _room: OwnedSemaphorePermit,
}

impl Entry {
    fn settle(self, fate: Result<Enqueued, SendError>) {
        // A sender that has left wants no answer.
        let _ = self.fate.send(fate);
    }
}

type Answer = oneshot::Receiver<Result<Enqueued, SendError>>;

/// Takes messages from all senders.
#[derive(Debug)]
pub(super) struct Grouper {
    /// `None` once closed.
    entries: Mutex<Option<mpsc::Sender<Entry>>>,
    room: Arc<Semaphore>,
    room_max: u32,
    tasks: TaskTracker,
}

impl Grouper {
    pub(super) fn start(place: Arc<Place>) -> Grouper {
        let (entries, waiting) = mpsc::channel(WAITING_MAX);
        let room_max = room_of(place.options.waiting_bytes_max.max(BATCH_BYTES_MAX));
        let tasks = TaskTracker::new();
        tasks.spawn(group(place, waiting, tasks.clone()));
        Grouper {
            entries: Mutex::new(Some(entries)),
            room: Arc::new(Semaphore::new(room_max as usize)),
            room_max,
            tasks,
        }
    }

    /// One fate per message, in order.
    pub(super) async fn send(&self, place: &Place, bodies: Vec<String>) -> Vec<Result<Enqueued, SendError>> {
        let deadline = Instant::now() + place.options.deadline;
        let mut handed_over = Vec::with_capacity(bodies.len());
        for body in bodies {
            handed_over.push(self.hand_over(place, body, deadline).await);
        }
        let mut fates = Vec::with_capacity(handed_over.len());
        for outcome in handed_over {
            fates.push(match outcome {
                Ok(fate) => fate.await.unwrap_or_else(|_| Err(closed())),
                Err(error) => Err(error),
            });
        }
        fates
    }

    async fn hand_over(&self, place: &Place, body: String, deadline: Instant) -> Result<Answer, SendError> {
        if body.len() > place.message_bytes_max {
            return Err(SendError::TooLarge { bytes: body.len(), limit: place.message_bytes_max });
        }
        let entries =
            self.entries.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(closed)?;
        let now = Instant::now();
        match WAITING_MAX - entries.capacity() {
            0 => place.pace.line_begins(now),
            line if place.pace.is_too_long(line, now) => return Err(slow()),
            _ => {}
        }
        let room = room_of(body.len()).clamp(1, self.room_max);
        let room = timeout_at(deadline, Arc::clone(&self.room).acquire_many_owned(room))
            .await
            .map_err(|_| full())?
            .map_err(|_| closed())?;
        let (fate, answer) = oneshot::channel();
        let entry = Entry { body, queued_at: Instant::now(), deadline, fate, _room: room };
        timeout_at(deadline, entries.send(entry)).await.map_err(|_| full())?.map_err(|_| closed())?;
        Ok(answer)
    }

    /// Takes no more, and returns when every message has its fate.
    pub(super) async fn close(&self) {
        drop(self.entries.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn closed() -> SendError {
    SendError::Unavailable("the queue is closed".to_owned())
}

fn full() -> SendError {
    SendError::Unavailable("too many messages wait to be sent".to_owned())
}

fn slow() -> SendError {
    SendError::Unavailable("the queue takes messages more slowly than they come".to_owned())
}

fn room_of(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(ROOM_UNIT_BYTES)).unwrap_or(u32::MAX)
}

/// Forms batches until every sender is gone.
async fn group(place: Arc<Place>, mut waiting: mpsc::Receiver<Entry>, tasks: TaskTracker) {
    let mut next: Option<Entry> = None;
    loop {
        // The slot first: while all are taken, more messages come together for the next batch.
        let slot = place.pace.slot().await;
        let first = match next.take() {
            Some(entry) => entry,
            None => match waiting.recv().await {
                Some(entry) => entry,
                None => return,
            },
        };
        place.pace.taken(first.queued_at, Instant::now());
        let (batch, left_over) = gather(first, &mut waiting, place.options.linger).await;
        place.pace.drained(batch.len(), Instant::now());
        next = left_over;
        let place = Arc::clone(&place);
        tasks.spawn(async move {
            deliver(&place, batch, slot).await;
        });
    }
}

/// A batch that begins with `first`, and the message that no longer fitted.
async fn gather(
    first: Entry,
    waiting: &mut mpsc::Receiver<Entry>,
    linger: Duration,
) -> (Vec<Entry>, Option<Entry>) {
    let close_at = Instant::now() + linger;
    let mut bytes = first.body.len();
    let mut batch = vec![first];
    while batch.len() < ENTRIES_MAX && bytes < BATCH_BYTES_MAX {
        let entry = match waiting.try_recv() {
            Ok(entry) => entry,
            Err(_) => match timeout_at(close_at, waiting.recv()).await {
                Ok(Some(entry)) => entry,
                Ok(None) | Err(_) => break,
            },
        };
        if bytes + entry.body.len() > BATCH_BYTES_MAX {
            return (batch, Some(entry));
        }
        bytes += entry.body.len();
        batch.push(entry);
    }
    (batch, None)
}

/// Sends a batch until each of its messages has its fate: stored, refused, or out of time.
async fn deliver(place: &Place, mut batch: Vec<Entry>, mut slot: Slot) {
    let mut backoff = Backoff::new(BACKOFF_FIRST, BACKOFF_MAX);
    let mut throttled = Backoff::new(THROTTLED_FIRST, THROTTLED_MAX);
    let mut reason = "no answer in time".to_owned();
    loop {
        batch = without_late(place, batch, &reason);
        let Some(deadline) = batch.iter().map(|entry| entry.deadline).min() else {
            return;
        };
        let mut is_throttled = false;
        let outcome = timeout_at(deadline, attempt(place, &batch)).await;
        match outcome {
            Ok(Ok(fates)) => {
                let mut again = Vec::new();
                for (entry, fate) in batch.into_iter().zip(fates) {
                    match fate {
                        Fate::Done => {
                            place.outage.sent();
                            entry.settle(Ok(Enqueued(())));
                        }
                        Fate::Failed { code, is_ours: true } => {
                            let error = refusal(short(&code), entry.body.len(), place.message_bytes_max);
                            entry.settle(Err(error));
                        }
                        Fate::Failed { code, is_ours: false } => {
                            is_throttled |= is_throttle(short(&code));
                            reason = format!("{CALL} failed for one entry: {}", short(&code));
                            again.push(entry);
                        }
                        Fate::Missing => {
                            reason = format!("{CALL} said nothing of one entry");
                            again.push(entry);
                        }
                    }
                }
                if again.is_empty() {
                    place.pace.went_well();
                }
                batch = again;
            }
            Ok(Err(failure)) if failure.is_too_long && batch.len() > 1 => {
                let second = batch.split_off(batch.len() / 2);
                Box::pin(deliver(place, batch, slot)).await;
                slot = place.pace.slot().await;
                batch = second;
                continue;
            }
            Ok(Err(failure)) if failure.is_refused => {
                place.outage.failed(&failure.reason, Instant::now());
                for entry in batch {
                    entry.settle(Err(SendError::Unavailable(failure.reason.clone())));
                }
                return;
            }
            Ok(Err(failure)) => {
                is_throttled = failure.is_throttled;
                reason = failure.reason;
            }
            Err(_) => reason = Failure::no_answer(CALL).reason,
        }
        if !batch.is_empty() {
            place.pace.pushed_back(Instant::now());
            // Who is throttled is early, not unwelcome: fewer calls at once are the answer, and short waits keep the
            // order in which messages came.
            let wait = if is_throttled { throttled.next() } else { backoff.next() };
            sleep_until(deadline.min(Instant::now() + wait)).await;
            match timeout_at(deadline, place.pace.slot_again(slot)).await {
                Ok(again) => slot = again,
                // Others may have more time, but not without a slot: they are told as well, and come again.
                Err(_) => {
                    place.outage.failed(&reason, Instant::now());
                    for entry in batch {
                        entry.settle(Err(SendError::Unavailable(reason.clone())));
                    }
                    return;
                }
            }
            if is_throttled {
                batch = without_old(batch, place.options.throttled_max, &reason);
            }
        }
    }
}

/// Tells those whose time is over, and keeps the others.
fn without_late(place: &Place, batch: Vec<Entry>, reason: &str) -> Vec<Entry> {
    let now = Instant::now();
    let (late, in_time): (Vec<Entry>, Vec<Entry>) =
        batch.into_iter().partition(|entry| entry.deadline <= now);
    if !late.is_empty() {
        // Before anybody is told: who asks for readiness then must hear of it.
        place.outage.failed(reason, now);
    }
    for entry in late {
        entry.settle(Err(SendError::Unavailable(reason.to_owned())));
    }
    in_time
}

/// While SQS takes fewer messages than come, those that waited long make room, and are told.
fn without_old(batch: Vec<Entry>, age_max: Duration, reason: &str) -> Vec<Entry> {
    let now = Instant::now();
    let is_old = |entry: &Entry| now.saturating_duration_since(entry.queued_at) > age_max;
    let (old, young): (Vec<Entry>, Vec<Entry>) = batch.into_iter().partition(is_old);
    for entry in old {
        entry.settle(Err(SendError::Unavailable(reason.to_owned())));
    }
    young
}

async fn attempt(place: &Place, batch: &[Entry]) -> Result<Vec<Fate>, Failure> {
    let mut request = place.writing.send_message_batch().queue_url(&place.url);
    for (id, entry) in batch.iter().enumerate() {
        let message = SendMessageBatchRequestEntry::builder().id(id.to_string()).message_body(&entry.body);
        request = request.entries(message.build().map_err(|error| Failure::of_entry(CALL, &error))?);
    }
    failpoint!("queue.sqs.before_send");
    let answer = Box::pin(request.send()).await.map_err(|error| Failure::of(CALL, &error))?;
    failpoint!("queue.sqs.after_send");
    Ok(fates(batch.len(), answer.successful().iter().map(|entry| entry.id()), answer.failed()))
}

/// SQS found fault with a message itself.
fn refusal(code: &str, bytes: usize, limit: usize) -> SendError {
    match code {
        "MessageTooLong" | "InvalidMessageSize" => SendError::TooLarge { bytes, limit },
        _ => SendError::Unavailable(format!("the queue refused the message: {code}")),
    }
}
