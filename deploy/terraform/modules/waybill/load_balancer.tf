# The public door: TLS in front, HTTP/1.1 to the receivers, one path, everything else answered here.
#
# Times that have to fit each other (src/receive/mod.rs, src/app/movers.rs, src/ops/shutdown.rs):
#   60 s  idle_timeout here; the receivers hold a silent connection for 75 s, so the load balancer is always the one
#         that closes, and never sends a request into a closing connection
#   25 s  what one request may take at the receivers at most: 10 s head, 10 s body, 5 s queue
#   30 s  deregistration_delay: no new request, those under way go on; longer than any request
#   5 s   WAYBILL_DRAIN_DELAY: the receivers go on receiving after SIGTERM, for what still comes
#   25 s  a receiver has drained, or is gone
#   40 s  stopTimeout, see tasks.tf

resource "aws_lb" "this" {
  # checkov:skip=CKV2_AWS_28:a web firewall reads the first kilobytes of a body at most and knows no HMAC; the one path has its signature, and limits of size, time and number behind it
  name               = var.name
  load_balancer_type = "application"
  internal           = false
  subnets            = var.public_subnet_ids
  security_groups    = [aws_security_group.load_balancer.id]

  idle_timeout               = 60
  client_keep_alive          = 3600
  enable_deletion_protection = var.deletion_protection
  desync_mitigation_mode     = "defensive"

  # AfterShip's header names are letters, digits and hyphens; nothing that is signed is lost.
  drop_invalid_header_fields = true

  access_logs {
    enabled = true
    bucket  = aws_s3_bucket.access_logs.bucket
  }

  depends_on = [aws_s3_bucket_policy.access_logs]
}

resource "aws_lb_target_group" "receivers" {
  # checkov:skip=CKV_AWS_378:TLS ends at the load balancer; behind it are private subnets, and the body is signed
  name                 = var.name
  vpc_id               = var.vpc_id
  target_type          = "ip"
  protocol             = "HTTP"
  protocol_version     = "HTTP1"
  port                 = local.listen_port
  deregistration_delay = 30

  # Many short requests of the same length: who has least to do gets the next one.
  load_balancing_algorithm_type = "least_outstanding_requests"

  # ECS replaces what is unhealthy here. So this asks whether the process turns, and not whether it is ready: when SQS
  # is away nobody is ready, and replacing everybody mends nothing (a receiver cannot start then). Draining needs no
  # readiness, since ECS takes a task out of here itself.
  health_check {
    protocol            = "HTTP"
    port                = local.ops_port
    path                = "/livez"
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.this.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.certificate_arn

  # Strangers never reach a receiver. No port 80 and no redirect: nobody says that AfterShip follows one.
  default_action {
    type = "fixed-response"

    fixed_response {
      status_code  = "404"
      content_type = "application/json"
      message_body = jsonencode({ error = { code = "not_found", message = "there is nothing here", hint = "webhooks go to ${local.webhook_path}" } })
    }
  }
}

resource "aws_lb_listener_rule" "webhooks" {
  listener_arn = aws_lb_listener.https.arn
  priority     = 1

  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.receivers.arn
  }

  condition {
    path_pattern {
      values = [local.webhook_path]
    }
  }
}

# --- access logs ------------------------------------------------------------------------------------------------------
# Who came when and what was answered; no bodies. Load balancers write to buckets with S3's own key only.

resource "aws_s3_bucket" "access_logs" {
  # checkov:skip=CKV_AWS_18:it is the bucket of logs
  # checkov:skip=CKV_AWS_21:logs are written once and expire
  # checkov:skip=CKV_AWS_144:logs of one region
  # checkov:skip=CKV_AWS_145:load balancers cannot write with a key of KMS
  # checkov:skip=CKV2_AWS_62:nobody waits for notifications
  bucket        = "${var.name}-access-logs-${local.bucket_suffix}"
  force_destroy = true
}

resource "aws_s3_bucket_public_access_block" "access_logs" {
  bucket                  = aws_s3_bucket.access_logs.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "access_logs" {
  bucket = aws_s3_bucket.access_logs.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "access_logs" {
  bucket = aws_s3_bucket.access_logs.id

  rule {
    id     = "expire"
    status = "Enabled"

    filter {}

    expiration {
      days = var.retention_days.access_logs
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
}

resource "aws_s3_bucket_policy" "access_logs" {
  bucket = aws_s3_bucket.access_logs.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "OnlyWithTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.access_logs.arn, "${aws_s3_bucket.access_logs.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "LoadBalancers"
        Effect    = "Allow"
        Principal = { Service = "logdelivery.elasticloadbalancing.amazonaws.com" }
        Action    = "s3:PutObject"
        Resource  = "${aws_s3_bucket.access_logs.arn}/AWSLogs/${local.account}/*"
        Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
      },
    ]
  })

  depends_on = [aws_s3_bucket_public_access_block.access_logs]
}
