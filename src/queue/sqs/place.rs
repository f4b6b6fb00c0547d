//! Where the queue is, and the two clients that reach it.

use std::collections::HashMap;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::StalledStreamProtectionConfig;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::types::QueueAttributeName;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::failure::Failure;
use super::outage::Outage;
use super::pace::Pace;
use super::{RECEIVE_GRACE, SqsOptions, WAIT_MAX_SECONDS};
use crate::ops::aws;
use crate::queue::QueueError;

/// The queue, and how it is reached.
#[derive(Debug)]
pub(super) struct Place {
    /// Sends, deletes, extends: short attempts, repeated by us entry by entry.
    pub(super) writing: Client,
    /// Receives and attributes: limited by each call.
    pub(super) reading: Client,
    pub(super) url: String,
    pub(super) options: SqsOptions,
    pub(super) message_bytes_max: usize,
    /// How many sends may be under way.
    pub(super) pace: Pace,
    /// What the last sends told.
    pub(super) outage: Outage,
    /// How many calls that extend or delete may be under way.
    pub(super) lease_calls: Semaphore,
}

/// Repeats nothing: our own loops know which entries to repeat, and when to stop.
pub(super) fn writing_client(sdk: &SdkConfig, options: &SqsOptions) -> Client {
    let config = aws_sdk_sqs::config::Builder::from(sdk)
        .timeout_config(aws::timeouts(options.attempt_timeout, options.attempt_timeout))
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .interceptor(aws::ServerTime)
        .interceptor(aws::CountRequests::of("sqs"))
        .build();
    Client::from_conf(config)
}

/// A long poll is no stalled stream, and takes as long as it is asked to.
pub(super) fn reading_client(sdk: &SdkConfig) -> Client {
    let longest = Duration::from_secs(WAIT_MAX_SECONDS) + RECEIVE_GRACE;
    let config = aws_sdk_sqs::config::Builder::from(sdk)
        .timeout_config(aws::timeouts(longest, longest * 2))
        .retry_config(RetryConfig::standard().with_max_attempts(2))
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .interceptor(aws::ServerTime)
        .interceptor(aws::CountRequests::of("sqs"))
        .build();
    Client::from_conf(config)
}

pub(super) type Attributes = HashMap<QueueAttributeName, String>;

pub(super) async fn attributes(
    client: &Client,
    url: &str,
    names: &[QueueAttributeName],
    limit: Duration,
) -> Result<Attributes, QueueError> {
    const CALL: &str = "GetQueueAttributes";
    let request = client.get_queue_attributes().queue_url(url).set_attribute_names(Some(names.to_vec()));
    let answer = timeout(limit, Box::pin(request.send()))
        .await
        .map_err(|_| Failure::no_answer(CALL))?
        .map_err(|error| Failure::of(CALL, &error))?;
    Ok(answer.attributes.unwrap_or_default())
}
