//! A durable queue on Amazon SQS (standard queues).
//!
//! - `Ok` means that SQS said so of this very message: calls carry ten messages, and a call that succeeds may still
//!   have failed some of them. Those are sent again alone, within the deadline.
//! - Every call has a deadline of its own; the SDK by itself would wait for ever.
//! - SQS counts time in whole seconds: waits and leases are rounded up.
//! - A delete with an outdated lease says `Ok` on AWS and may or may not delete.

mod batch;
mod failure;
mod leases;
mod outage;
mod pace;
mod place;
mod redrive;
mod send;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tracing::{debug, warn};

use self::batch::ENTRIES_MAX;
use self::failure::Failure;
use self::leases::Act;
use self::outage::Outage;
use self::pace::Pace;
use self::place::{Place, attributes, reading_client, writing_client};
pub use self::redrive::Redrive;
use self::send::Grouper;
use super::{Delivery, Depth, Enqueued, Lease, Queue, QueueError, SendError};

/// Of all messages of one call together.
const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// Longest wait that SQS takes.
const WAIT_MAX_SECONDS: u64 = 20;

/// Longest lease that SQS takes.
const LEASE_MAX_SECONDS: u64 = 43_200;

/// Longest time that SQS keeps a message.
const RETENTION_MAX: Duration = Duration::from_secs(14 * 24 * 3600);

/// What an answer may take beyond the wait it was asked for.
const RECEIVE_GRACE: Duration = Duration::from_secs(10);

/// Calls at once of one receive.
const RECEIVES_MAX: usize = 10;

/// Calls at once that extend or delete.
const LEASE_CALLS_MAX: usize = 32;

/// Time for the first call, which may have to find credentials.
const OPEN_TIMEOUT: Duration = Duration::from_secs(15);

/// How an SQS queue is used.
#[derive(Debug, Clone)]
pub struct SqsOptions {
    /// How long a message waits for company.
    pub linger: Duration,
    /// Calls with messages under way at once.
    pub batches_in_flight: usize,
    /// One request with its answer.
    pub attempt_timeout: Duration,
    /// How long a send, a delete or an extend may take with all its repetitions. AfterShip waits longer.
    pub deadline: Duration,
    /// How long a message may wait for its call before those that come after it are refused at once.
    pub line_max: Duration,
    /// How old a message may grow while SQS throttles.
    pub throttled_max: Duration,
    /// Bytes of messages under way or waiting; senders beyond it wait in line.
    pub waiting_bytes_max: usize,
}

impl Default for SqsOptions {
    fn default() -> Self {
        SqsOptions {
            linger: Duration::from_millis(5),
            batches_in_flight: 64,
            attempt_timeout: Duration::from_secs(2),
            deadline: Duration::from_millis(4500),
            line_max: Duration::from_millis(150),
            throttled_max: Duration::from_millis(400),
            waiting_bytes_max: 64 * 1024 * 1024,
        }
    }
}

/// A queue on SQS.
#[derive(Debug)]
pub struct SqsQueue {
    place: Arc<Place>,
    grouper: Grouper,
    arn: Option<String>,
    redrive: Option<Redrive>,
}

impl SqsQueue {
    /// Reaches the queue and reads what it takes. Needs a tokio runtime.
    ///
    /// Errors: [`QueueError::Refused`] for a queue that does not exist or may not be used, and for a FIFO queue;
    /// [`QueueError::Unavailable`] when there is no answer.
    pub async fn open(sdk: &SdkConfig, url: String, options: SqsOptions) -> Result<SqsQueue, QueueError> {
        if url.ends_with(".fifo") {
            return Err(QueueError::Refused(
                "FIFO queues are not supported, use a standard queue".to_owned(),
            ));
        }
        let reading = reading_client(sdk);
        let names = [
            QueueAttributeName::MaximumMessageSize,
            QueueAttributeName::RedrivePolicy,
            QueueAttributeName::QueueArn,
            QueueAttributeName::MessageRetentionPeriod,
        ];
        let attributes = attributes(&reading, &url, &names, OPEN_TIMEOUT).await?;
        let message_bytes_max = attributes
            .get(&QueueAttributeName::MaximumMessageSize)
            .and_then(|size| size.parse().ok())
            .unwrap_or(BATCH_BYTES_MAX)
            .min(BATCH_BYTES_MAX);
        let retention = attributes
            .get(&QueueAttributeName::MessageRetentionPeriod)
            .and_then(|seconds| seconds.parse().ok())
            .map(Duration::from_secs);
        if let Some(warning) = retention.and_then(retention_warning) {
            warn!(queue = %url, "{warning}");
        }
        let place = Arc::new(Place {
            pace: Pace::new(options.batches_in_flight, options.line_max),
            writing: writing_client(sdk, &options),
            reading,
            url,
            options,
            message_bytes_max,
            outage: Outage::default(),
            lease_calls: Semaphore::new(LEASE_CALLS_MAX),
        });
        Ok(SqsQueue {
            grouper: Grouper::start(Arc::clone(&place)),
            place,
            arn: attributes.get(&QueueAttributeName::QueueArn).cloned(),
            redrive: attributes
                .get(&QueueAttributeName::RedrivePolicy)
                .and_then(|policy| Redrive::parse(policy)),
        })
    }

    /// The queue's address.
    pub fn url(&self) -> &str {
        &self.place.url
    }

    /// The queue's ARN, if it was told.
    pub fn arn(&self) -> Option<&str> {
        self.arn.as_deref()
    }

    /// Where SQS moves messages that were received too often, if anywhere.
    pub fn redrive(&self) -> Option<&Redrive> {
        self.redrive.as_ref()
    }

    /// The address of the dead-letter queue that the redrive policy names, if there is one.
    pub async fn dead_letter_url(&self) -> Result<Option<String>, QueueError> {
        let Some(redrive) = &self.redrive else {
            return Ok(None);
        };
        let Some((account, name)) = redrive::account_and_name(&redrive.dead_letter_arn) else {
            return Err(QueueError::Refused(format!("{} is no queue", redrive.dead_letter_arn)));
        };
        let request = self.place.reading.get_queue_url().queue_name(name).queue_owner_aws_account_id(account);
        let answer = timeout(OPEN_TIMEOUT, Box::pin(request.send()))
            .await
            .map_err(|_| Failure::no_answer("GetQueueUrl"))?
            .map_err(|error| Failure::of("GetQueueUrl", &error))?;
        Ok(answer.queue_url)
    }
}

/// Acknowledged events that wait longer than the queue keeps them are gone.
fn retention_warning(retention: Duration) -> Option<String> {
    const DAY: u64 = 24 * 3600;
    (retention < RETENTION_MAX).then(|| {
        format!(
            "this queue drops what has waited for {:.1} days, acknowledged or not: set its MessageRetentionPeriod to \
             {} (14 days)",
            retention.as_secs() as f64 / DAY as f64,
            RETENTION_MAX.as_secs()
        )
    })
}

/// One ReceiveMessage call. `wait` and `lease` in seconds.
async fn receive_some(
    place: Arc<Place>,
    max: usize,
    wait: u64,
    lease: u64,
) -> Result<Vec<Delivery>, QueueError> {
    const CALL: &str = "ReceiveMessage";
    let request = place
        .reading
        .receive_message()
        .queue_url(&place.url)
        .max_number_of_messages(as_i32(max.min(ENTRIES_MAX) as u64))
        .wait_time_seconds(as_i32(wait))
        .visibility_timeout(as_i32(lease))
        .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
        .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp);
    let answer = timeout(Duration::from_secs(wait) + RECEIVE_GRACE, Box::pin(request.send()))
        .await
        .map_err(|_| Failure::no_answer(CALL))?
        .map_err(|error| Failure::of(CALL, &error))?;
    Ok(answer.messages.unwrap_or_default().into_iter().filter_map(delivery).collect())
}

/// `None` for a message that could not be deleted later: it comes again.
fn delivery(message: Message) -> Option<Delivery> {
    let attribute =
        |name: MessageSystemAttributeName| message.attributes.as_ref()?.get(&name)?.parse::<i64>().ok();
    let receive_count = attribute(MessageSystemAttributeName::ApproximateReceiveCount);
    let sent_at = attribute(MessageSystemAttributeName::SentTimestamp);
    Some(Delivery {
        lease: Lease(message.receipt_handle?),
        message_id: message.message_id.unwrap_or_default(),
        receive_count: receive_count.and_then(|count| u32::try_from(count).ok()).unwrap_or(1),
        sent_at: sent_at.and_then(|millis| Timestamp::from_millisecond(millis).ok()),
        body: message.body.unwrap_or_default(),
    })
}

#[async_trait]
impl Queue for SqsQueue {
    async fn send(&self, messages: Vec<String>) -> Vec<Result<Enqueued, SendError>> {
        self.grouper.send(&self.place, messages).await
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
        let wait = whole_seconds(wait, WAIT_MAX_SECONDS);
        let lease = whole_seconds(lease, LEASE_MAX_SECONDS);
        let mut received = receive_some(Arc::clone(&self.place), max, wait, lease).await?;
        // A full answer promises more. The rest is asked for at once, and none of it is waited for.
        if received.len() < ENTRIES_MAX {
            return Ok(received);
        }
        let calls = max.saturating_sub(received.len()).div_ceil(ENTRIES_MAX).min(RECEIVES_MAX);
        let more = (0..calls).map(|call| {
            let left = max - ENTRIES_MAX - call * ENTRIES_MAX;
            receive_some(Arc::clone(&self.place), left, 0, lease)
        });
        for outcome in join_all(more.collect::<Vec<_>>()).await {
            match outcome {
                Ok(deliveries) => received.extend(deliveries),
                // What did come must be handed on: it is leased.
                Err(error) => debug!(%error, "one of several receives failed"),
            }
        }
        Ok(received)
    }

    async fn extend(&self, leases: &[Lease], lease: Duration) -> Vec<Result<(), QueueError>> {
        let seconds = as_i32(whole_seconds(lease, LEASE_MAX_SECONDS));
        leases::settle(&self.place, leases, Act::Extend(seconds)).await
    }

    async fn delete(&self, leases: &[Lease]) -> Vec<Result<(), QueueError>> {
        leases::settle(&self.place, leases, Act::Delete).await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let place = &self.place;
        let attributes = attributes(&place.reading, &place.url, &names, place.options.deadline).await?;
        let count = |name: &QueueAttributeName| -> u64 {
            attributes.get(name).and_then(|count| count.parse().ok()).unwrap_or(0)
        };
        let [visible, delayed, leased] = names.each_ref().map(count);
        // SQS tells the age of the oldest message to CloudWatch only.
        Ok(Depth { ready: visible.saturating_add(delayed), leased, oldest: None })
    }

    async fn probe(&self) -> Result<(), QueueError> {
        let place = &self.place;
        place.outage.verdict(Instant::now()).map_err(QueueError::Unavailable)?;
        let names = [QueueAttributeName::QueueArn];
        attributes(&place.reading, &place.url, &names, place.options.deadline).await.map(|_| ())
    }

    fn message_bytes_max(&self) -> usize {
        self.place.message_bytes_max
    }

    fn kind(&self) -> &'static str {
        "sqs"
    }

    async fn close(&self) {
        self.grouper.close().await;
    }
}

fn whole_seconds(duration: Duration, max: u64) -> u64 {
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).min(max)
}

fn as_i32(number: u64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_rounded_up_to_whole_seconds_within_what_sqs_takes() {
        assert_eq!(whole_seconds(Duration::ZERO, 20), 0);
        assert_eq!(whole_seconds(Duration::from_millis(1), 20), 1);
        assert_eq!(whole_seconds(Duration::from_secs(20), 20), 20);
        assert_eq!(whole_seconds(Duration::from_secs(60), 20), 20);
    }

    #[test]
    fn a_queue_that_forgets_early_is_warned_of() {
        let days = |days: u64| retention_warning(Duration::from_secs(days * 24 * 3600));

        assert_eq!(days(14), None);
        let warning = days(4).expect("four days are too few");
        assert!(warning.contains("4.0 days") && warning.contains("1209600"), "{warning}");
    }

    #[test]
    fn a_message_without_attributes_is_a_first_delivery() {
        let message = Message::builder().message_id("m").receipt_handle("r").body("text").build();

        let delivery = delivery(message).expect("it has a receipt handle");

        assert_eq!((delivery.receive_count, delivery.sent_at), (1, None));
        assert_eq!((delivery.body.as_str(), delivery.message_id.as_str()), ("text", "m"));
    }
}
