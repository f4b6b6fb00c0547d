# The queue, and the one that SQS moves to what was received too often.

locals {
  # 14 days, the longest that SQS keeps anything. Waybill warns at its start about a queue that keeps less.
  retention_seconds = 1209600

  # A call of the program may carry 1 MiB; a queue that takes less makes `receive` refuse larger bodies.
  message_bytes_max = 1048576

  # Only a backstop: `batch` itself makes a dead letter, with a reason, of what it was given 16 times in vain.
  receives_max = 100

  # Every receive of Waybill names its own lease (WAYBILL_BATCH_LEASE, 30 s) and renews it. This counts for others, such
  # as a person who looks into the queue by hand.
  visibility_seconds = 60

  # A new data key each hour keeps KMS from being asked for every message.
  data_key_seconds = 3600
}

resource "aws_sqs_queue" "main" {
  name                              = var.name
  message_retention_seconds         = local.retention_seconds
  max_message_size                  = local.message_bytes_max
  visibility_timeout_seconds        = local.visibility_seconds
  receive_wait_time_seconds         = 5
  kms_master_key_id                 = aws_kms_key.this.arn
  kms_data_key_reuse_period_seconds = local.data_key_seconds

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letters.arn
    maxReceiveCount     = local.receives_max
  })
}

# `batch` finds it by the redrive policy, and empties it into the lake.
resource "aws_sqs_queue" "dead_letters" {
  name                              = "${var.name}-dead-letters"
  message_retention_seconds         = local.retention_seconds
  max_message_size                  = local.message_bytes_max
  visibility_timeout_seconds        = local.visibility_seconds
  receive_wait_time_seconds         = 5
  kms_master_key_id                 = aws_kms_key.this.arn
  kms_data_key_reuse_period_seconds = local.data_key_seconds
}

resource "aws_sqs_queue_redrive_allow_policy" "dead_letters" {
  queue_url = aws_sqs_queue.dead_letters.id

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.main.arn]
  })
}

resource "aws_sqs_queue_policy" "this" {
  for_each = {
    main         = aws_sqs_queue.main
    dead_letters = aws_sqs_queue.dead_letters
  }

  queue_url = each.value.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "OnlyWithTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = each.value.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "OnlyThisAccount"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = each.value.arn
        Condition = {
          StringNotEquals = { "aws:PrincipalAccount" = local.account }
          # SQS itself moves messages to the dead-letter queue.
          Bool = { "aws:PrincipalIsAWSService" = "false" }
        }
      },
      {
        Sid       = "NobodyEmptiesIt"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:PurgeQueue"
        Resource  = each.value.arn
      },
    ]
  })
}
