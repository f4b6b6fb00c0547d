//! The mover from the dead letters back to the queue.
//!
//! A letter is sent again as the event it was (same source, same arrival, and so the same event key) with a
//! replay id, then marked as replayed; the letter itself stays for ever. What is about to be done is written to
//! the lake's audit record before anything is done. Replaying twice changes nothing: the event key is the same.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::aftership::webhook;
use crate::event::{Event, EventKey, Source, line};
use crate::failpoint::{failpoint, seeded_bug};
use crate::lake::audit::{self, Action, Audit};
use crate::lake::dead_letter::{self, Closed, DeadLetter, Filter, Reason};
use crate::lake::{Lake, LakeError};
use crate::queue::{Queue, SendError};

/// Which letters, and how fast.
#[derive(Debug, Clone)]
pub struct Order {
    /// All conditions must hold.
    pub filter: Filter,
    /// At most so many letters, oldest first.
    pub limit: Option<usize>,
    /// Letters a second; `None`: as fast as the queue takes them.
    pub rate: Option<f64>,
    /// Why, for the audit record.
    pub reason: Option<String>,
    /// Who, for the audit record.
    pub who: Option<String>,
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Ties the audit record, the events and this report together.
    pub replay_id: Option<String>,
    /// Letters chosen.
    pub chosen: usize,
    /// Sent again, or dropped.
    pub done: usize,
    /// Left as they were, since no event can be made of them.
    pub not_replayable: usize,
}

/// Why it stopped. What was done until then stays done, and is safe to repeat.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The lake.
    #[error("cannot read or mark dead letters")]
    Lake(#[from] LakeError),
    /// The queue.
    #[error("cannot send dead letter {id} to the queue")]
    Send {
        /// The letter.
        id: String,
        /// Why.
        #[source]
        source: SendError,
    },
}

/// The letters an order means: open ones, oldest first.
pub async fn choose(lake: &dyn Lake, order: &Order) -> Result<Vec<DeadLetter>, LakeError> {
    let mut letters: Vec<DeadLetter> = dead_letter::list(lake, &order.filter, false)
        .await?
        .into_iter()
        .map(|listed| listed.letter)
        .collect();
    letters.sort_by(|a, b| (a.received_at, &a.id).cmp(&(b.received_at, &b.id)));
    letters.truncate(order.limit.unwrap_or(usize::MAX));
    Ok(letters)
}

/// Sends letters to the queue again.
pub async fn replay(
    lake: &dyn Lake,
    queue: Arc<dyn Queue>,
    letters: Vec<DeadLetter>,
    order: &Order,
    stop: &CancellationToken,
    mut progress: impl FnMut(u64, u64),
) -> Result<Report, ReplayError> {
    let replay_id = Uuid::now_v7().to_string();
    let mut report =
        Report { replay_id: Some(replay_id.clone()), chosen: letters.len(), ..Report::default() };
    record(lake, Action::Replay, &letters, order, Some(&replay_id)).await?;
    failpoint!("replay.after_audit");

    let mut pace = order.rate.map(pace);
    let total = letters.len() as u64;
    for (index, letter) in letters.iter().enumerate() {
        if stop.is_cancelled() {
            break;
        }
        if let Some(pace) = &mut pace {
            pace.tick().await;
        }
        match revive(letter, &replay_id) {
            Some(event) => {
                if seeded_bug!("replay_marks_first") {
                    let closed = Closed::replayed(Timestamp::now(), &replay_id, order.reason.clone());
                    dead_letter::close(lake, letter, &closed).await?;
                }
                let message = line::to_message(&line::encode(&event));
                failpoint!("replay.before_send");
                send(queue.as_ref(), message, &letter.id).await?;
                failpoint!("replay.before_mark");
                // Marked only once the queue has it: a crash here sends it twice, which changes nothing.
                let closed = Closed::replayed(Timestamp::now(), &replay_id, order.reason.clone());
                dead_letter::close(lake, letter, &closed).await?;
                failpoint!("replay.after_mark");
                report.done += 1;
            }
            None => {
                report.not_replayable += 1;
            }
        }
        progress(index as u64 + 1, total);
    }
    Ok(report)
}

/// Marks letters as dropped: nobody wants them in the facts.
pub async fn drop_letters(
    lake: &dyn Lake,
    letters: Vec<DeadLetter>,
    order: &Order,
    stop: &CancellationToken,
    mut progress: impl FnMut(u64, u64),
) -> Result<Report, ReplayError> {
    let mut report = Report { chosen: letters.len(), ..Report::default() };
    record(lake, Action::Drop, &letters, order, None).await?;

    let total = letters.len() as u64;
    for (index, letter) in letters.iter().enumerate() {
        if stop.is_cancelled() {
            break;
        }
        let closed = Closed::dropped(Timestamp::now(), order.reason.clone());
        dead_letter::close(lake, letter, &closed).await?;
        report.done += 1;
        progress(index as u64 + 1, total);
    }
    Ok(report)
}

/// The event a letter was; `None`: no event can be made of it. A message that never was one of ours is read again: a newer
/// program may understand it.
pub fn revive(letter: &DeadLetter, replay_id: &str) -> Option<Event> {
    let body = letter.body().ok()?;
    if body.is_empty() && letter.reason != Reason::Empty {
        // Its person was erased.
        return None;
    }
    // Without a source it is the queue message itself that was kept.
    let Some(source) = letter.source.as_deref() else {
        let text = String::from_utf8(body).ok()?;
        let mut event = line::decode(&line::from_message(&text).ok()?).ok()?;
        event.replay_id = Some(replay_id.to_owned());
        return Some(event);
    };
    let body = Bytes::from(body);
    let (event_id, is_test) = match webhook::read(&body) {
        Ok(webhook) => (webhook.event_id.clone(), webhook.is_test()),
        Err(_) => (None, false),
    };
    let mut event = Event::received(body, event_id, is_test, letter.received_at);
    event.replay_id = Some(replay_id.to_owned());
    if source == Source::Api.as_str() {
        event.source = Source::Api;
        // The key of a snapshot is not made of its bytes as they are.
        if let Some(key) = &letter.event_key {
            event.event_key = EventKey::from_text(key);
        }
    }
    Some(event)
}

async fn send(queue: &dyn Queue, message: String, id: &str) -> Result<(), ReplayError> {
    let mut fates = queue.send(vec![message]).await;
    match fates.pop() {
        Some(Ok(_enqueued)) => Ok(()),
        Some(Err(source)) => Err(ReplayError::Send { id: id.to_owned(), source }),
        None => Err(ReplayError::Send {
            id: id.to_owned(),
            source: SendError::Unavailable("the queue gave no answer".into()),
        }),
    }
}

async fn record(
    lake: &dyn Lake,
    action: Action,
    letters: &[DeadLetter],
    order: &Order,
    replay_id: Option<&str>,
) -> Result<(), LakeError> {
    let audit = Audit {
        v: 1,
        at: crate::event::truncate_to_micros(Timestamp::now()),
        action,
        who: order.who.clone(),
        filter: order.filter.to_string(),
        count: letters.len(),
        ids: letters.iter().map(|letter| letter.id.clone()).collect(),
        reason: order.reason.clone(),
        replay_id: replay_id.map(str::to_owned),
    };
    audit::record(lake, &audit).await
}

fn pace(rate: f64) -> tokio::time::Interval {
    let gap = Duration::from_secs_f64((1.0 / rate.max(0.001)).min(1_000.0));
    let mut pace = tokio::time::interval(gap.max(Duration::from_micros(1)));
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    pace
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn letters_keep_the_rate_that_is_asked_for() {
        assert_eq!(pace(20.0).period(), Duration::from_millis(50));
        assert_eq!(pace(0.5).period(), Duration::from_secs(2));
        // Neither for ever nor without a pause.
        assert_eq!(pace(0.0).period(), Duration::from_secs(1_000));
        assert!(pace(f64::INFINITY).period() > Duration::ZERO);
    }
}
