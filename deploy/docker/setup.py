"""Makes the queue, its dead-letter queue and the bucket that Waybill's settings name. Doing it twice changes nothing.

Reads WAYBILL_QUEUE, WAYBILL_LAKE and the AWS SDK's own variables. For stand-ins: on AWS use your own tools.
"""

import json
import os
import urllib.parse

import boto3

# As docs/how-to/run-on-aws.md recommends: 14 days, the longest; the dead-letter queue is only a backstop.
RETENTION_SECONDS = "1209600"
RECEIVES_MAX = 100

region = os.environ["AWS_REGION"]
queue = urllib.parse.urlparse(os.environ["WAYBILL_QUEUE"]).path.rsplit("/", 1)[-1]
bucket = urllib.parse.urlparse(os.environ["WAYBILL_LAKE"]).netloc

sqs = boto3.client("sqs", region_name=region)
dead = sqs.create_queue(QueueName=f"{queue}-dead", Attributes={"MessageRetentionPeriod": RETENTION_SECONDS})["QueueUrl"]
arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": RECEIVES_MAX})
made = sqs.create_queue(
    QueueName=queue,
    Attributes={"MessageRetentionPeriod": RETENTION_SECONDS, "RedrivePolicy": redrive},
)["QueueUrl"]

s3 = boto3.client("s3", region_name=region)
if bucket not in [one["Name"] for one in s3.list_buckets()["Buckets"]]:
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})
s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

print(f"setup: queue {made}, dead letters {dead}, bucket {bucket}")
