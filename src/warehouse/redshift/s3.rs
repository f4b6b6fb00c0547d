//! The staging prefix in an S3 bucket.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Error;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use tokio::sync::OnceCell;

use crate::ops::aws;
use crate::warehouse::WarehouseError;

use super::staging::Staging;

/// One request with its answer, and all attempts of a call.
const ATTEMPT: Duration = Duration::from_secs(60);
const DEADLINE: Duration = Duration::from_secs(180);

/// How long somebody waits who only asks whether the bucket is there.
const PROBE_MAX: Duration = Duration::from_secs(20);

/// Below `s3://bucket/prefix/`.
pub struct S3Staging {
    client: OnceCell<Client>,
    bucket: String,
    /// Empty, or ending in `/`.
    root: String,
}

impl S3Staging {
    /// Nothing is asked of S3 yet, nor of the machine's credentials.
    pub fn open(bucket: &str, prefix: &str) -> S3Staging {
        S3Staging { client: OnceCell::new(), bucket: bucket.to_owned(), root: aws::key_root(prefix) }
    }

    async fn client(&self) -> &Client {
        self.client
            .get_or_init(async || {
                let sdk = aws::sdk_config().await;
                let config = aws_sdk_s3::config::Builder::from(&sdk)
                    .timeout_config(aws::timeouts(ATTEMPT, DEADLINE))
                    .force_path_style(aws::has_own_s3(&sdk))
                    .interceptor(aws::CountRequests::of("s3"))
                    .build();
                Client::from_conf(config)
            })
            .await
    }

    /// Lists below the prefix, one object at most: whether the bucket is there, and is open to this process. Changes
    /// nothing, so it cannot tell whether writing and deleting are allowed, or reading to the cluster. An error says how
    /// to mend it.
    pub async fn probe(&self) -> Result<(), WarehouseError> {
        let place = format!("s3://{}/{}", self.bucket, self.root);
        let list = Box::pin(async {
            let client = self.client().await;
            client.list_objects_v2().bucket(&self.bucket).prefix(&self.root).max_keys(1).send().await
        });
        match tokio::time::timeout(PROBE_MAX, list).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(unlisted(&place, &error)),
            Err(_) => Err(WarehouseError::Unavailable(format!(
                "cannot list {place}: no answer within {} s; look at the way to S3, and AWS_REGION",
                PROBE_MAX.as_secs()
            ))),
        }
    }

    fn key<'a>(&self, url: &'a str) -> Result<&'a str, WarehouseError> {
        url.strip_prefix(&format!("s3://{}/", self.bucket))
            .ok_or_else(|| WarehouseError::Refused(format!("{url} is not in the staging bucket")))
    }
}

fn away(what: &str, url: &str, error: &(dyn std::error::Error + 'static)) -> WarehouseError {
    WarehouseError::Unavailable(format!("cannot {what} {url}: {}", DisplayErrorContext(error)))
}

/// A listing that failed, with what to do about it.
fn unlisted(place: &str, error: &SdkError<ListObjectsV2Error>) -> WarehouseError {
    let (said, advice) = match (error.code(), error) {
        (Some("NoSuchBucket"), _) => {
            ("there is no such bucket".to_owned(), "make it, or mend WAYBILL_REDSHIFT_STAGING")
        }
        (Some(code @ ("AccessDenied" | "AllAccessDisabled")), _) => (
            format!("S3 answered {code}"),
            "allow this process s3:ListBucket on the bucket, s3:PutObject and s3:DeleteObject below the prefix",
        ),
        (Some(code @ ("PermanentRedirect" | "AuthorizationHeaderMalformed")), _) => (
            format!("S3 answered {code}"),
            "set AWS_REGION to the bucket's, and WAYBILL_REDSHIFT_REGION if the cluster has another",
        ),
        (Some(code), _) => {
            (format!("S3 answered {code}"), "look at the credentials, and at WAYBILL_REDSHIFT_STAGING")
        }
        (None, SdkError::ConstructionFailure(_)) => {
            ("no request could be made".to_owned(), "set AWS_REGION and credentials")
        }
        (None, _) => (DisplayErrorContext(error).to_string(), "look at the way to S3, and the credentials"),
    };
    let text = format!("cannot list {place}: {said}; {advice}");
    match error.code() {
        Some(_) => WarehouseError::Refused(text),
        None => WarehouseError::Unavailable(text),
    }
}

#[async_trait]
impl Staging for S3Staging {
    async fn put(&self, name: &str, body: Bytes) -> Result<String, WarehouseError> {
        let key = format!("{}{name}", self.root);
        let url = format!("s3://{}/{key}", self.bucket);
        let put = self
            .client()
            .await
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .body(ByteStream::from(body))
            .send();
        put.await.map_err(|error| away("stage rows as", &url, &error))?;
        Ok(url)
    }

    async fn get(&self, url: &str) -> Result<Bytes, WarehouseError> {
        let got = self.client().await.get_object().bucket(&self.bucket).key(self.key(url)?).send().await;
        let got = got.map_err(|error| away("read", url, &error))?;
        Ok(got.body.collect().await.map_err(|error| away("read", url, &error))?.into_bytes())
    }

    async fn remove(&self, url: &str) -> Result<(), WarehouseError> {
        let removed =
            self.client().await.delete_object().bucket(&self.bucket).key(self.key(url)?).send().await;
        removed.map(|_| ()).map_err(|error| away("remove", url, &error))
    }
}
