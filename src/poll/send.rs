//! A page's snapshots on their way to the queue: what is known stays here, the rest is durable when this returns.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::aftership::api::{self, ListPage, SNAPSHOT_EVENT};
use crate::event::{Event, line, truncate_to_micros};
use crate::failpoint::failpoint;
use crate::lake::dead_letter::{self, DeadLetter, Reason};
use crate::ops::metrics;
use crate::ops::retry::Backoff;
use crate::ops::traces::{self, Span};
use crate::queue::SendError;

use super::walk::Memory;
use super::{MOVER, Poll, PollError, PollReport, STEP_MAX};

/// Messages handed over at once.
const SEND_MAX: usize = 50;

/// Attempts to send what the queue did not take.
const ATTEMPTS_MAX: u32 = 5;
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// A snapshot to send, with its `updated_at`.
struct New {
    event: Event,
    updated_at: Timestamp,
    is_readable: bool,
}

impl Poll {
    /// Sends what is new of a page; false when it was stopped before all of it was sent. `until`: stands for the time of
    /// what has none.
    pub(super) async fn deliver(
        &self,
        page: ListPage,
        until: Timestamp,
        memory: &mut Memory,
        stop: &CancellationToken,
        report: &mut PollReport,
    ) -> Result<bool, PollError> {
        let received_at = Timestamp::now();
        let count = page.trackings.len() + page.unreadable.len();
        let readable = page.trackings.iter().map(|snapshot| New {
            event: api::event(snapshot, received_at),
            updated_at: snapshot.updated_at.unwrap_or(until),
            is_readable: true,
        });
        let unreadable = page.unreadable.iter().map(|json| New {
            event: api::unreadable_event(json, received_at),
            updated_at: until,
            is_readable: false,
        });
        let mut met = HashSet::new();
        let new: Vec<New> = readable
            .chain(unreadable)
            .filter(|new| !memory.seen.has(&new.event.event_key) && met.insert(new.event.event_key.clone()))
            .collect();
        let unchanged = (count - new.len()) as u64;
        report.snapshots += unchanged;
        report.unchanged += unchanged;
        self.polled.unchanged.fetch_add(unchanged, Ordering::Relaxed);
        metrics::poll_snapshots(0, unchanged);

        for some in new.chunks(SEND_MAX) {
            if stop.is_cancelled() {
                return Ok(false);
            }
            failpoint!("poll.before_send");
            let too_large = self.send(some, stop).await?;
            failpoint!("poll.after_send");
            let sent = some.len() as u64 - too_large;
            let unreadable = some.iter().filter(|new| !new.is_readable).count() as u64;
            for new in some {
                memory.seen.put(&new.event.event_key, new.updated_at);
            }
            report.snapshots += some.len() as u64;
            report.sent += sent;
            report.unreadable += unreadable;
            report.too_large += too_large;
            self.polled.sent.fetch_add(sent, Ordering::Relaxed);
            self.polled.unreadable.fetch_add(unreadable, Ordering::Relaxed);
            self.polled.too_large.fetch_add(too_large, Ordering::Relaxed);
            metrics::poll_snapshots(sent, 0);
        }
        Ok(true)
    }

    /// Sends until all are durable; gives how many were too large for the queue and were set aside instead.
    async fn send(&self, some: &[New], stop: &CancellationToken) -> Result<u64, PollError> {
        let bytes_max = self.queue.message_bytes_max();
        let mut too_large: Vec<(&Event, String)> = Vec::new();
        let mut left: Vec<(&Event, String)> = Vec::with_capacity(some.len());
        for new in some {
            let message = line::to_message(&line::encode(&new.event));
            let fits = message.len() <= bytes_max;
            self.note_received(&new.event, fits);
            if fits { left.push((&new.event, message)) } else { too_large.push((&new.event, message)) }
        }
        let mut backoff = Backoff::new(BACKOFF_FIRST, BACKOFF_MAX);
        let mut attempt = 1;
        while !left.is_empty() {
            let messages = left.iter().map(|(_, message)| message.clone()).collect();
            let fates = self.health.attended(MOVER, STEP_MAX, self.queue.send(messages)).await;
            let mut fates = fates.into_iter();
            let mut failed = Vec::new();
            let mut reason = String::new();
            for (event, message) in left {
                match fates.next() {
                    Some(Ok(_enqueued)) => {
                        trace(event);
                        if let Some(receipts) = &self.receipts {
                            receipts.acknowledged(event.received_at, &event.event_key);
                        }
                    }
                    Some(Err(SendError::TooLarge { .. })) => too_large.push((event, message)),
                    Some(Err(SendError::Unavailable(why))) => {
                        reason = why;
                        failed.push((event, message));
                    }
                    None => {
                        reason = "the queue gave no answer".to_owned();
                        failed.push((event, message));
                    }
                }
            }
            left = failed;
            if left.is_empty() {
                break;
            }
            // They may be in the queue nevertheless: a lost answer looks the same.
            if let Some(receipts) = &self.receipts {
                left.iter().for_each(|(event, _)| receipts.uncertain(event.received_at, &event.event_key));
            }
            if attempt >= ATTEMPTS_MAX || stop.is_cancelled() {
                return Err(PollError::Queue(reason));
            }
            attempt += 1;
            let wait = tokio::time::sleep(backoff.next());
            tokio::select! {
                () = wait => {}
                () = stop.cancelled() => return Err(PollError::Queue(reason)),
            }
        }
        for (event, message) in &too_large {
            self.set_aside(event, message, bytes_max, stop).await?;
        }
        Ok(too_large.len() as u64)
    }

    fn note_received(&self, event: &Event, fits: bool) {
        let Some(receipts) = &self.receipts else { return };
        receipts.received(event.received_at);
        if fits {
            receipts.verified(event.received_at);
        } else {
            receipts.rejected(event.received_at, "too_large");
        }
    }

    /// Nothing makes it fit: somebody has to look.
    async fn set_aside(
        &self,
        event: &Event,
        message: &str,
        bytes_max: usize,
        stop: &CancellationToken,
    ) -> Result<(), PollError> {
        let bytes = message.len();
        let letter = DeadLetter {
            v: 1,
            id: DeadLetter::id_of(message.as_bytes()),
            reason: Reason::GaveUp,
            detail: Some(format!("a message of {bytes} bytes, and the queue takes {bytes_max}")),
            event: Some(SNAPSHOT_EVENT.to_owned()),
            event_key: Some(event.event_key.as_str().to_owned()),
            source: Some(event.source.as_str().to_owned()),
            received_at: event.received_at,
            dead_at: truncate_to_micros(Timestamp::now()),
            attempts: 0,
            replay_id: None,
            body_sha256: event.body_sha256.to_hex(),
            body_base64: BASE64_STANDARD.encode(&event.body),
        };
        let setting_aside = dead_letter::put(self.lake.as_ref(), &letter);
        self.with_lake(stop, setting_aside).await?.map_err(PollError::SetAside)?;
        warn!(letter.id = %letter.id, bytes, "a snapshot is too large for the queue: it is a dead letter now");
        Ok(())
    }
}

/// The root of the event's trace: here it came in.
fn trace(event: &Event) {
    if traces::is_on() {
        traces::record(Span {
            key: event.event_key.as_str().to_owned(),
            name: "poll",
            is_root: true,
            from: event.received_at,
            until: Timestamp::now(),
            attributes: vec![("source", event.source.as_str().to_owned())],
        });
    }
}
