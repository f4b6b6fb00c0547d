//! The lake in an S3 bucket.
//!
//! A put carries `If-None-Match: *` and a checksum that S3 verifies. 412 means that the name is taken: since names
//! of events are hashes of their content, it is ours, from a crash or a lost answer. 409 means that another put of
//! the same name is under way: it is tried again. Every timeout is set; the SDK by itself would wait for ever.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::StalledStreamProtectionConfig;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumAlgorithm;
use aws_smithy_types::retry::RetryConfig;
use bytes::{Bytes, BytesMut};
use jiff::Timestamp;

use crate::failpoint::failpoint;
use crate::ops::aws;
use crate::ops::retry::Backoff;

use super::{LIST_PAGE, Lake, LakeError, Object, Put};

/// Largest object we read.
const OBJECT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Time limits.
#[derive(Debug, Clone)]
pub struct S3Options {
    /// One request with its answer; sized for an object of 16 MiB.
    pub attempt_timeout: Duration,
    /// All attempts of one call.
    pub deadline: Duration,
}

impl Default for S3Options {
    fn default() -> Self {
        S3Options { attempt_timeout: Duration::from_secs(15), deadline: Duration::from_secs(60) }
    }
}

/// The lake in a bucket.
#[derive(Debug, Clone)]
pub struct S3Lake {
    client: Client,
    bucket: String,
    /// Empty, or ending in `/`.
    root: String,
    options: S3Options,
}

impl S3Lake {
    /// Uses `bucket`, below `prefix` (which may be empty). Nothing is asked of S3 yet.
    pub fn open(sdk: &SdkConfig, bucket: &str, prefix: &str, options: S3Options) -> S3Lake {
        let timeouts = aws::timeouts(options.attempt_timeout, options.attempt_timeout);
        let config = aws_sdk_s3::config::Builder::from(sdk)
            .timeout_config(timeouts)
            // Retrying is ours: the SDK's own budget runs dry in an outage, and it does not retry a 409.
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .force_path_style(aws::has_own_s3(sdk))
            .interceptor(aws::ServerTime)
            .interceptor(aws::CountRequests::of("s3"))
            .build();
        S3Lake {
            client: Client::from_conf(config),
            bucket: bucket.to_owned(),
            root: aws::key_root(prefix),
            options,
        }
    }

    /// Repeats a call while it may heal and there is time.
    async fn patiently<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T, LakeError>
    where
        F: Future<Output = Result<T, LakeError>>,
    {
        let end = Instant::now() + self.options.deadline;
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
        loop {
            let outcome = call().await;
            let wait = backoff.next();
            match outcome {
                Err(LakeError::Unavailable(_)) if Instant::now() + wait < end => {
                    tokio::time::sleep(wait).await
                }
                outcome => return outcome,
            }
        }
    }

    async fn put_once(&self, key: &str, body: Bytes) -> Result<Put, LakeError> {
        failpoint!("lake.s3.before_put");
        let outcome = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(format!("{}{key}", self.root))
            .if_none_match("*")
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(ByteStream::from(body))
            .send()
            .await;
        failpoint!("lake.s3.after_put");
        match outcome {
            Ok(_) => Ok(Put::Created),
            Err(error) if status(&error) == Some(412) => Ok(Put::AlreadyThere),
            Err(error) => Err(failure("put", key, &error)),
        }
    }

    /// Without a condition: an object that was deleted a moment ago is there again, with less in it.
    async fn replace_once(&self, key: &str, body: Bytes) -> Result<(), LakeError> {
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(format!("{}{key}", self.root))
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(ByteStream::from(body))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| failure("rewrite", key, &error))
    }

    async fn get_once(&self, key: &str) -> Result<Bytes, LakeError> {
        let outcome =
            self.client.get_object().bucket(&self.bucket).key(format!("{}{key}", self.root)).send().await;
        let mut stream = match outcome {
            Ok(found) => found.body,
            // The second one is an object in an archive: it is as good as gone until somebody restores it.
            Err(error) if matches!(error.code(), Some("NoSuchKey" | "InvalidObjectState")) => {
                return Err(LakeError::NotFound(key.to_owned()));
            }
            Err(error) => return Err(failure("get", key, &error)),
        };
        // The SDK's timeouts end with the head of the answer.
        let collect = async {
            let mut body = BytesMut::new();
            while let Some(chunk) = stream.next().await {
                let chunk =
                    chunk.map_err(|error| LakeError::Unavailable(format!("cannot read {key}: {error}")))?;
                if body.len() + chunk.len() > OBJECT_BYTES_MAX {
                    return Err(LakeError::TooLarge { key: key.to_owned(), limit: OBJECT_BYTES_MAX });
                }
                body.extend_from_slice(&chunk);
            }
            Ok(body.freeze())
        };
        tokio::time::timeout(self.options.attempt_timeout, collect)
            .await
            .unwrap_or_else(|_| Err(LakeError::Unavailable(format!("reading {key} took too long"))))
    }

    /// A full page, or the end: a store may answer with fewer than asked for, even with none, and say that more
    /// follow.
    async fn list_once(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Object>, LakeError> {
        let mut objects: Vec<Object> = Vec::new();
        let mut token = None;
        loop {
            let wanted = LIST_PAGE.saturating_sub(objects.len()).max(1);
            let outcome = self
                .client
                .list_objects_v2()
                .bucket(&self.bucket)
                .prefix(format!("{}{prefix}", self.root))
                .set_start_after(after.map(|after| format!("{}{after}", self.root)))
                .set_continuation_token(token)
                .max_keys(i32::try_from(wanted).unwrap_or(i32::MAX))
                .send()
                .await
                .map_err(|error| failure("list", prefix, &error))?;
            objects.extend(self.objects(outcome.contents()));
            token = outcome.next_continuation_token().map(str::to_owned);
            if objects.len() >= LIST_PAGE || !outcome.is_truncated().unwrap_or(false) || token.is_none() {
                return Ok(objects);
            }
        }
    }

    fn objects(&self, listed: &[aws_sdk_s3::types::Object]) -> Vec<Object> {
        listed
            .iter()
            .filter_map(|object| {
                let key = object.key()?.strip_prefix(&self.root)?.to_owned();
                let modified_at = object
                    .last_modified()
                    .and_then(|at| Timestamp::new(at.secs(), i32::try_from(at.subsec_nanos()).ok()?).ok())
                    .unwrap_or(Timestamp::UNIX_EPOCH);
                Some(Object {
                    key,
                    bytes: u64::try_from(object.size().unwrap_or(0)).unwrap_or(0),
                    modified_at,
                })
            })
            .collect()
    }
}

#[async_trait]
impl Lake for S3Lake {
    async fn put_new(&self, key: &str, body: Bytes) -> Result<Put, LakeError> {
        self.patiently(|| self.put_once(key, body.clone())).await
    }

    async fn replace(&self, key: &str, body: Bytes) -> Result<(), LakeError> {
        self.patiently(|| self.replace_once(key, body.clone())).await
    }

    async fn get(&self, key: &str) -> Result<Bytes, LakeError> {
        self.patiently(|| self.get_once(key)).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Object>, LakeError> {
        self.patiently(|| self.list_once(prefix, after)).await
    }

    async fn probe(&self) -> Result<(), LakeError> {
        self.client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(&self.root)
            .max_keys(1)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| failure("list", &self.bucket, &error))
    }

    fn kind(&self) -> &'static str {
        "s3"
    }
}

fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

fn failure<E>(verb: &str, key: &str, error: &SdkError<E>) -> LakeError
where
    E: ProvideErrorMetadata,
    SdkError<E>: ProvideErrorMetadata,
{
    let code = error.code().map(str::to_owned);
    let what = match (error, &code) {
        (SdkError::TimeoutError(_), _) => "it took too long".to_owned(),
        (SdkError::DispatchFailure(failure), _) if failure.is_timeout() => {
            "connecting took too long".to_owned()
        }
        (SdkError::DispatchFailure(_), _) => "S3 cannot be reached".to_owned(),
        (_, Some(code)) => format!("S3 answered {code}"),
        (error, None) => {
            format!("S3 answered {}", status(error).map_or("nothing".to_owned(), |status| status.to_string()))
        }
    };
    let text = format!("cannot {verb} {key}: {what}");
    let is_final = matches!(
        code.as_deref(),
        Some(
            "NoSuchBucket"
                | "AccessDenied"
                | "AllAccessDisabled"
                | "InvalidAccessKeyId"
                | "SignatureDoesNotMatch"
                | "PermanentRedirect"
                | "InvalidBucketName"
        )
    ) || status(error) == Some(403);
    if is_final { LakeError::Refused(text) } else { LakeError::Unavailable(text) }
}
