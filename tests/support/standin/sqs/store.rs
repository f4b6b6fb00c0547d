//! One queue in memory: what is ready, what is leased until when, and who waits.
//!
//! Nothing scans: ready messages are a line, hidden ones are ordered by when they come back, and both only hold
//! numbers of messages. Time is looked at when somebody asks, and by receivers that wait.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::error::Error;
use super::queue_arn;
use super::settings::Settings;

/// Leased messages of one queue, as on AWS.
const LEASED_MAX: usize = 120_000;

/// A message as it was sent.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) body: String,
    /// Of the body, in hex.
    pub(super) md5: String,
    pub(super) sent_at_millis: i64,
}

/// A message as it is received.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) message: Arc<Message>,
    pub(super) handle: String,
    /// This time included.
    pub(super) receives: u32,
}

/// A queue.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) name: String,
    pub(super) settings: Settings,
    /// Begins each of its receipt handles, so that those of other queues are not taken for its own.
    token: String,
    made_at_seconds: i64,
    held: Mutex<Held>,
    /// Something is ready, or will be earlier than a waiting receiver knows.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Held {
    next_number: u64,
    entries: HashMap<u64, Entry>,
    /// May name entries that are gone.
    ready: VecDeque<u64>,
    /// Exactly the entries that are not ready.
    hidden: BTreeSet<(Instant, u64)>,
    leased: usize,
}

#[derive(Debug)]
struct Entry {
    message: Arc<Message>,
    receives: u32,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Ready,
    Delayed(Instant),
    Leased(Instant),
}

impl Queue {
    pub(super) fn new(name: &str, settings: Settings) -> Queue {
        Queue {
            name: name.to_owned(),
            settings,
            token: uuid::Uuid::new_v4().simple().to_string(),
            made_at_seconds: jiff::Timestamp::now().as_second(),
            held: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Takes a message. Call [`Queue::announce`] when all of a call are in.
    pub(super) fn store(&self, message: Arc<Message>, delay: Duration) {
        self.lock().add(message, 0, delay);
    }

    /// Wakes those who wait for messages.
    pub(super) fn announce(&self) {
        self.changed.notify_waiters();
    }

    /// Leases up to `max` messages, waiting up to `wait` for the first.
    pub(super) async fn receive(
        &self,
        max: usize,
        lease: Duration,
        wait: Duration,
    ) -> Result<Vec<Received>, Error> {
        let until = Instant::now() + wait;
        loop {
            // Before looking, so that what comes between looking and waiting is not missed.
            let changed = self.changed.notified();
            let now = Instant::now();
            let (received, back_at) = self.lease_some(now, max, lease)?;
            if !received.is_empty() || now >= until {
                return Ok(received);
            }
            let wake_at = back_at.map_or(until, |back_at| back_at.min(until));
            tokio::select! {
                () = changed => {}
                () = sleep_until(wake_at) => {}
            }
        }
    }

    /// What is ready now, and when the next hidden message comes back.
    fn lease_some(
        &self,
        now: Instant,
        max: usize,
        lease: Duration,
    ) -> Result<(Vec<Received>, Option<Instant>), Error> {
        let mut held = self.lock();
        held.settle(now);
        if held.leased >= LEASED_MAX {
            return Err(Error::OverLimit);
        }
        let max = max.min(LEASED_MAX - held.leased);
        let back_first = held.hidden.first().copied();
        let mut received = Vec::new();
        while received.len() < max {
            let Some(number) = held.ready.pop_front() else {
                break;
            };
            let Some(entry) = held.entries.get_mut(&number) else {
                continue;
            };
            if let Some(redrive) = &self.settings.redrive
                && entry.receives >= redrive.receives_max
            {
                if let Some(entry) = held.entries.remove(&number) {
                    redrive.dead_letters.take_over(entry);
                }
                continue;
            }
            entry.receives += 1;
            entry.place = Place::Leased(now + lease);
            received.push(Received {
                message: Arc::clone(&entry.message),
                handle: format!("{}-{number:x}-{:x}", self.token, entry.receives),
                receives: entry.receives,
            });
            held.hidden.insert((now + lease, number));
            held.leased += 1;
        }
        let back_next = held.hidden.first().copied();
        drop(held);
        if !received.is_empty() && back_next != back_first {
            self.announce();
        }
        Ok((received, back_next.map(|(at, _)| at)))
    }

    /// A queue's dead-letter queue is older than itself, so that locking one within the other cannot go in circles.
    fn take_over(&self, entry: Entry) {
        self.lock().add(entry.message, entry.receives, Duration::ZERO);
        self.announce();
    }

    /// Deletes what the handle leased. An outdated handle deletes nothing, which on AWS is a success too.
    pub(super) fn delete(&self, handle: &str) -> Result<(), Error> {
        let mut held = self.lock();
        let (number, receives) = self.parse(handle, &held)?;
        if held.entries.get(&number).is_some_and(|entry| entry.receives == receives)
            && let Some(entry) = held.entries.remove(&number)
        {
            held.unhide(number, entry.place);
        }
        Ok(())
    }

    /// Lets a lease end `timeout` from now.
    pub(super) fn change_visibility(&self, handle: &str, timeout: Duration) -> Result<(), Error> {
        let now = Instant::now();
        let mut held = self.lock();
        held.settle(now);
        let (number, receives) = self.parse(handle, &held)?;
        let entry = held.entries.get_mut(&number).ok_or(Error::MessageGone)?;
        let place = entry.place;
        if entry.receives != receives || !matches!(place, Place::Leased(_)) {
            return Err(Error::MessageNotInflight);
        }
        entry.place = if timeout.is_zero() { Place::Ready } else { Place::Leased(now + timeout) };
        held.unhide(number, place);
        if timeout.is_zero() {
            held.ready.push_back(number);
        } else {
            held.hidden.insert((now + timeout, number));
            held.leased += 1;
        }
        drop(held);
        self.announce();
        Ok(())
    }

    /// Forgets all messages, leased ones too.
    pub(super) fn purge(&self) {
        let mut held = self.lock();
        *held = Held { next_number: held.next_number, ..Held::default() };
    }

    /// All attributes, as text.
    pub(super) fn attributes(&self) -> BTreeMap<String, String> {
        let (ready, leased, delayed) = {
            let mut held = self.lock();
            held.settle(Instant::now());
            let delayed = held.hidden.len() - held.leased;
            (held.entries.len() - held.hidden.len(), held.leased, delayed)
        };
        let told = [
            ("ApproximateNumberOfMessages", ready.to_string()),
            ("ApproximateNumberOfMessagesDelayed", delayed.to_string()),
            ("ApproximateNumberOfMessagesNotVisible", leased.to_string()),
            ("CreatedTimestamp", self.made_at_seconds.to_string()),
            ("LastModifiedTimestamp", self.made_at_seconds.to_string()),
            ("QueueArn", queue_arn(&self.name)),
        ];
        let mut attributes = self.settings.attributes();
        attributes.extend(told.map(|(name, value)| (name.to_owned(), value)));
        attributes
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The message's number and the receive that the handle is of.
    fn parse(&self, handle: &str, held: &Held) -> Result<(u64, u32), Error> {
        let parts = || {
            let (number, receives) = handle.strip_prefix(&self.token)?.strip_prefix('-')?.split_once('-')?;
            let number = u64::from_str_radix(number, 16).ok()?;
            let receives = u32::from_str_radix(receives, 16).ok()?;
            (number < held.next_number && receives > 0).then_some((number, receives))
        };
        parts().ok_or(Error::ReceiptHandleIsInvalid)
    }
}

impl Held {
    fn add(&mut self, message: Arc<Message>, receives: u32, delay: Duration) {
        let number = self.next_number;
        self.next_number += 1;
        let place = if delay.is_zero() {
            self.ready.push_back(number);
            Place::Ready
        } else {
            let until = Instant::now() + delay;
            self.hidden.insert((until, number));
            Place::Delayed(until)
        };
        let entry = Entry { message, receives, place };
        self.entries.insert(number, entry);
    }

    /// Makes ready whose time has come.
    fn settle(&mut self, now: Instant) {
        while let Some((until, number)) = self.hidden.first().copied()
            && until <= now
        {
            if let Some(entry) = self.entries.get_mut(&number) {
                let place = std::mem::replace(&mut entry.place, Place::Ready);
                self.unhide(number, place);
                self.ready.push_back(number);
            } else {
                self.hidden.pop_first();
            }
        }
    }

    /// Takes an entry that was at `place` out of those that are hidden.
    fn unhide(&mut self, number: u64, place: Place) {
        match place {
            Place::Ready => {}
            Place::Delayed(until) => {
                self.hidden.remove(&(until, number));
            }
            Place::Leased(until) => {
                self.hidden.remove(&(until, number));
                self.leased -= 1;
            }
        }
    }
}
