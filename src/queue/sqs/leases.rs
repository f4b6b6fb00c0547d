//! Extending and deleting: by ten, many calls at once, and what failed is tried again alone.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::{ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry};
use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout_at};

use super::batch::{ENTRIES_MAX, Fate, fates};
use super::failure::{Failure, is_lease_over, short};
use super::place::Place;
use crate::failpoint::failpoint;
use crate::ops::retry::Backoff;
use crate::queue::{Lease, QueueError};

/// What is done to leases.
#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
    Delete,
    /// Seconds from now.
    Extend(i32),
}

impl Act {
    fn call(self) -> &'static str {
        match self {
            Act::Delete => "DeleteMessageBatch",
            Act::Extend(_) => "ChangeMessageVisibilityBatch",
        }
    }
}

/// One fate per lease, in order.
pub(super) async fn settle(place: &Arc<Place>, leases: &[Lease], act: Act) -> Vec<Result<(), QueueError>> {
    let batches: Vec<_> = leases
        .chunks(ENTRIES_MAX)
        .map(|leases| leases.iter().map(|lease| lease.0.clone()).collect::<Vec<String>>())
        .map(|handles| settle_batch(Arc::clone(place), handles, act))
        .collect();
    join_all(batches).await.into_iter().flatten().collect()
}

async fn settle_batch(place: Arc<Place>, handles: Vec<String>, act: Act) -> Vec<Result<(), QueueError>> {
    // Never closed, so that an error cannot be; without a slot we would only be less polite.
    let _slot = place.lease_calls.acquire().await.ok();
    let deadline = Instant::now() + place.options.deadline;
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
    let mut settled: Vec<Option<Result<(), QueueError>>> = handles.iter().map(|_| None).collect();
    let mut reason = format!("{} failed: no answer in time", act.call());
    loop {
        let waiting: Vec<usize> = (0..handles.len()).filter(|index| settled[*index].is_none()).collect();
        if waiting.is_empty() || Instant::now() >= deadline {
            break;
        }
        let outcome = timeout_at(deadline, attempt(&place, &handles, &waiting, act)).await;
        match outcome {
            Ok(Ok(fates)) => {
                for (index, fate) in waiting.into_iter().zip(fates) {
                    match fate {
                        Fate::Done => settled[index] = Some(Ok(())),
                        Fate::Failed { code, .. } if is_lease_over(&code) => {
                            settled[index] = Some(Err(QueueError::LeaseOver));
                        }
                        Fate::Failed { code, is_ours } => {
                            reason = format!("{} failed for one entry: {}", act.call(), short(&code));
                            if is_ours {
                                settled[index] = Some(Err(QueueError::Unavailable(reason.clone())));
                            }
                        }
                        Fate::Missing => reason = format!("{} said nothing of one entry", act.call()),
                    }
                }
            }
            Ok(Err(failure)) if failure.is_refused => {
                for index in waiting {
                    settled[index] = Some(Err(QueueError::Refused(failure.reason.clone())));
                }
            }
            Ok(Err(failure)) => reason = failure.reason,
            Err(_) => reason = Failure::no_answer(act.call()).reason,
        }
        if settled.iter().any(Option::is_none) {
            sleep(backoff.next().min(deadline.saturating_duration_since(Instant::now()))).await;
        }
    }
    settled
        .into_iter()
        .map(|fate| fate.unwrap_or_else(|| Err(QueueError::Unavailable(reason.clone()))))
        .collect()
}

async fn attempt(
    place: &Place,
    handles: &[String],
    waiting: &[usize],
    act: Act,
) -> Result<Vec<Fate>, Failure> {
    match act {
        Act::Delete => delete(place, handles, waiting).await,
        Act::Extend(seconds) => extend(place, handles, waiting, seconds).await,
    }
}

async fn delete(place: &Place, handles: &[String], waiting: &[usize]) -> Result<Vec<Fate>, Failure> {
    let call = Act::Delete.call();
    let mut request = place.writing.delete_message_batch().queue_url(&place.url);
    for (id, index) in waiting.iter().enumerate() {
        let entry =
            DeleteMessageBatchRequestEntry::builder().id(id.to_string()).receipt_handle(&handles[*index]);
        request = request.entries(entry.build().map_err(|error| Failure::of_entry(call, &error))?);
    }
    failpoint!("queue.sqs.before_delete");
    let answer = Box::pin(request.send()).await.map_err(|error| Failure::of(call, &error))?;
    failpoint!("queue.sqs.after_delete");
    Ok(fates(waiting.len(), answer.successful().iter().map(|entry| entry.id()), answer.failed()))
}

async fn extend(
    place: &Place,
    handles: &[String],
    waiting: &[usize],
    seconds: i32,
) -> Result<Vec<Fate>, Failure> {
    let call = Act::Extend(seconds).call();
    let mut request = place.writing.change_message_visibility_batch().queue_url(&place.url);
    for (id, index) in waiting.iter().enumerate() {
        let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
            .id(id.to_string())
            .receipt_handle(&handles[*index])
            .visibility_timeout(seconds);
        request = request.entries(entry.build().map_err(|error| Failure::of_entry(call, &error))?);
    }
    let answer = Box::pin(request.send()).await.map_err(|error| Failure::of(call, &error))?;
    Ok(fates(waiting.len(), answer.successful().iter().map(|entry| entry.id()), answer.failed()))
}
