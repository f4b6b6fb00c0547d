//! Clients for emulators and stand-ins on loopback.

use aws_config::SdkConfig;
use aws_sdk_sqs::types::QueueAttributeName;

/// Makes a queue, with a dead-letter queue of that name behind it if asked; gives its URL.
pub async fn create_queue(sdk: &SdkConfig, name: &str, dead_letters: Option<&str>) -> String {
    let client = aws_sdk_sqs::Client::new(sdk);
    let mut queue = client.create_queue().queue_name(name);
    if let Some(dead_letters) = dead_letters {
        let made = client.create_queue().queue_name(dead_letters).send().await.expect("dead-letter queue");
        let attributes = client
            .get_queue_attributes()
            .queue_url(made.queue_url().expect("URL"))
            .attribute_names(QueueAttributeName::QueueArn)
            .send()
            .await
            .expect("attributes");
        let arn = attributes
            .attributes()
            .and_then(|attributes| attributes.get(&QueueAttributeName::QueueArn))
            .expect("ARN")
            .clone();
        let policy = serde_json::json!({ "deadLetterTargetArn": arn, "maxReceiveCount": 20 }).to_string();
        queue = queue.attributes(QueueAttributeName::RedrivePolicy, policy);
    }
    let made = queue.send().await.expect("queue");
    made.queue_url().expect("URL").to_owned()
}

/// Makes a bucket.
pub async fn create_bucket(sdk: &SdkConfig, name: &str) {
    let config = aws_sdk_s3::config::Builder::from(sdk).force_path_style(true).build();
    let client = aws_sdk_s3::Client::from_conf(config);
    client.create_bucket().bucket(name).send().await.expect("bucket");
}
