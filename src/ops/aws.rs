//! How we reach AWS: one configuration for all services, with every timeout set.
//!
//! Region, endpoints and credentials come from the SDK's own chain: environment, profile, web identity, container,
//! instance. One HTTP client (hyper 1 over rustls with ring) is shared by all services and by the credentials
//! chain.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::config::interceptors::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_sqs::config::{
    ConfigBag, Credentials, Intercept, RuntimeComponents, SharedCredentialsProvider, SharedHttpClient,
};
use aws_sdk_sqs::error::BoxError;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::orchestrator::Metadata;

use super::{clock, metrics};

/// How long opening a connection may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_millis(3100);

/// Idle connections are closed before the other side silently drops them.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(20);

const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);
const OPERATION_TIMEOUT: Duration = Duration::from_secs(60);
const ATTEMPTS_MAX: u32 = 3;

/// The configuration that the SDK's own chain finds. Reads the environment and files, and may ask the machine's
/// metadata service for the region.
pub async fn sdk_config() -> SdkConfig {
    aws_config::defaults(behavior())
        .http_client(http_client())
        .timeout_config(timeouts(ATTEMPT_TIMEOUT, OPERATION_TIMEOUT))
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX))
        .load()
        .await
}

/// A configuration for a stand-in of AWS at `endpoint` (`http://127.0.0.1:PORT`): the same client and timeouts, a
/// fixed region, and credentials that open nothing.
pub fn standin_config(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("standin", "standin", None, None, "standin");
    SdkConfig::builder()
        .behavior_version(behavior())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(http_client())
        .timeout_config(timeouts(ATTEMPT_TIMEOUT, OPERATION_TIMEOUT))
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX))
        .build()
}

/// Whether S3 is asked at an endpoint of somebody's own, where buckets are addressed by path.
pub fn has_own_s3(sdk: &SdkConfig) -> bool {
    sdk.endpoint_url().is_some()
        || ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"].iter().any(|name| std::env::var_os(name).is_some())
}

/// A prefix of keys as it stands before each: empty, or ending in `/`.
pub fn key_root(prefix: &str) -> String {
    let prefix = prefix.trim_matches('/');
    if prefix.is_empty() { String::new() } else { format!("{prefix}/") }
}

/// All four timeouts. `attempt`: one request with its answer; `operation`: all attempts of one call together.
///
/// The SDK by itself limits nothing but the connecting, and then waits for ever.
pub fn timeouts(attempt: Duration, operation: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(attempt)
        .operation_attempt_timeout(attempt)
        .operation_timeout(operation)
        .build()
}

/// Hears the time in the answers of AWS, see [`clock`].
#[derive(Debug)]
pub struct ServerTime;

impl Intercept for ServerTime {
    fn name(&self) -> &'static str {
        "ServerTime"
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        if let Some(theirs) = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()) {
            clock::server_says(theirs.timestamp());
        }
        Ok(())
    }
}

/// Counts each attempt that is sent, as the bill does.
#[derive(Debug)]
pub struct CountRequests {
    place: &'static str,
}

impl CountRequests {
    /// `place`: sqs or s3.
    pub fn of(place: &'static str) -> Self {
        CountRequests { place }
    }
}

impl Intercept for CountRequests {
    fn name(&self) -> &'static str {
        "CountRequests"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let operation = bag.load::<Metadata>().map_or("other", |metadata| known_operation(metadata.name()));
        metrics::aws_request(self.place, operation);
        Ok(())
    }
}

/// The operations that we use, so that a label never comes from outside.
fn known_operation(name: &str) -> &'static str {
    const KNOWN: [&str; 13] = [
        "SendMessageBatch",
        "SendMessage",
        "ReceiveMessage",
        "DeleteMessageBatch",
        "ChangeMessageVisibilityBatch",
        "GetQueueAttributes",
        "GetQueueUrl",
        "PutObject",
        "GetObject",
        "HeadObject",
        "DeleteObject",
        "ListObjectsV2",
        "HeadBucket",
    ];
    KNOWN.into_iter().find(|known| *known == name).unwrap_or("other")
}

/// A dated version, never the latest: an upgrade of the SDK must not change how it behaves.
fn behavior() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

fn http_client() -> SharedHttpClient {
    Builder::new()
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_timeout_is_set() {
        let timeouts = timeouts(Duration::from_secs(2), Duration::from_secs(5));

        assert_eq!(timeouts.connect_timeout(), Some(CONNECT_TIMEOUT));
        assert_eq!(timeouts.read_timeout(), Some(Duration::from_secs(2)));
        assert_eq!(timeouts.operation_attempt_timeout(), Some(Duration::from_secs(2)));
        assert_eq!(timeouts.operation_timeout(), Some(Duration::from_secs(5)));
    }
}
