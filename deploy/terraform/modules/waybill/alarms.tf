# What AWS alone can tell, and what to do then. The program's own metrics have rules of their own, which tell more
# (deploy/prometheus); these stand without Prometheus.
#
# `page`: somebody gets up. `ticket`: somebody looks in working hours. `section` is one of docs/OPERATIONS.md.

locals {
  queue_dimensions       = { QueueName = aws_sqs_queue.main.name }
  dead_letter_dimensions = { QueueName = aws_sqs_queue.dead_letters.name }
  door_dimensions        = { LoadBalancer = aws_lb.this.arn_suffix }
  target_dimensions      = { LoadBalancer = aws_lb.this.arn_suffix, TargetGroup = aws_lb_target_group.receivers.arn_suffix }

  alarms = merge(
    {
      queue-late = {
        urgency    = "page"
        what       = "The oldest message has waited for longer than twice what an event may take, for 10 minutes. Nothing is lost."
        section    = "the-queue-grows"
        namespace  = "AWS/SQS"
        metric     = "ApproximateAgeOfOldestMessage"
        statistic  = "Maximum"
        dimensions = local.queue_dimensions
        threshold  = max(900, local.late_seconds)
        period     = 300
        periods    = 2
        missing    = "notBreaching"
      }
      queue-old = {
        urgency    = "page"
        what       = "A message is a day old. SQS drops what is 14 days old, acknowledged or not."
        section    = "the-queue-grows"
        namespace  = "AWS/SQS"
        metric     = "ApproximateAgeOfOldestMessage"
        statistic  = "Maximum"
        dimensions = local.queue_dimensions
        threshold  = 86400
        period     = 300
        periods    = 1
        missing    = "notBreaching"
      }
      queue-deep = {
        urgency    = "ticket"
        what       = "More messages wait than the batchers work off in ten minutes: more comes than goes."
        section    = "the-queue-grows"
        namespace  = "AWS/SQS"
        metric     = "ApproximateNumberOfMessagesVisible"
        statistic  = "Maximum"
        dimensions = local.queue_dimensions
        threshold  = var.queue_depth_alarm
        period     = 300
        periods    = 3
        missing    = "notBreaching"
      }
      queue-in-flight = {
        urgency    = "ticket"
        what       = "SQS hands out 120,000 messages at once and no more. Batchers hold 20,000 each: there are too many of them, or the lake is slow."
        section    = "capacity"
        namespace  = "AWS/SQS"
        metric     = "ApproximateNumberOfMessagesNotVisible"
        statistic  = "Maximum"
        dimensions = local.queue_dimensions
        threshold  = 100000
        period     = 300
        periods    = 1
        missing    = "notBreaching"
      }
      dead-letter-queue = {
        urgency    = "ticket"
        what       = "SQS itself has set messages aside, and batch has not emptied them into the lake for 15 minutes."
        section    = "dead-letters-appear"
        namespace  = "AWS/SQS"
        metric     = "ApproximateNumberOfMessagesVisible"
        statistic  = "Maximum"
        dimensions = local.dead_letter_dimensions
        threshold  = 0
        period     = 300
        periods    = 3
        missing    = "notBreaching"
      }
      door-5xx = {
        urgency    = "page"
        what       = "The load balancer itself answers 5xx: no receiver is there, or none answers. AfterShip repeats for about 68 hours."
        section    = "waybilldown"
        namespace  = "AWS/ApplicationELB"
        metric     = "HTTPCode_ELB_5XX_Count"
        statistic  = "Sum"
        dimensions = local.door_dimensions
        threshold  = 10
        period     = 60
        periods    = 5
        missing    = "notBreaching"
      }
      receivers-5xx = {
        urgency    = "page"
        what       = "Receivers answer 503: they are full, or SQS takes nothing. AfterShip repeats for about 68 hours."
        section    = "waybillreceiveunavailable"
        namespace  = "AWS/ApplicationELB"
        metric     = "HTTPCode_Target_5XX_Count"
        statistic  = "Sum"
        dimensions = local.target_dimensions
        threshold  = 10
        period     = 60
        periods    = 5
        missing    = "notBreaching"
      }
      receivers-4xx = {
        urgency    = "page"
        what       = "Receivers refuse much, for half an hour: mostly a wrong secret (401). After 68 hours AfterShip gives up."
        section    = "401-answers-the-secret-is-wrong"
        namespace  = "AWS/ApplicationELB"
        metric     = "HTTPCode_Target_4XX_Count"
        statistic  = "Sum"
        dimensions = local.target_dimensions
        threshold  = var.refusals_alarm
        period     = 300
        periods    = 6
        missing    = "notBreaching"
      }
      receivers-slow = {
        urgency    = "ticket"
        what       = "One of a hundred webhooks waits for more than a second. How long AfterShip waits is not published."
        section    = "more-comes-than-can-be-taken"
        namespace  = "AWS/ApplicationELB"
        metric     = "TargetResponseTime"
        statistic  = "p99"
        dimensions = local.target_dimensions
        threshold  = 1
        period     = 300
        periods    = 3
        missing    = "notBreaching"
      }
      receivers-unhealthy = {
        urgency    = "ticket"
        what       = "A receiver does not answer at /livez, and ECS has not mended it in 15 minutes."
        section    = "waybilldown"
        namespace  = "AWS/ApplicationELB"
        metric     = "UnHealthyHostCount"
        statistic  = "Maximum"
        dimensions = local.target_dimensions
        threshold  = 0
        period     = 300
        periods    = 3
        missing    = "notBreaching"
      }
    },
    {
      for mover in local.movers : "${mover}-gone" => {
        urgency    = "page"
        what       = "No `${mover}` runs, or it does not stay up, for 10 minutes. The last error line of its log says why; 78 is a setting."
        section    = "waybilldown"
        namespace  = "ECS/ContainerInsights"
        metric     = "RunningTaskCount"
        statistic  = "Minimum"
        dimensions = { ClusterName = aws_ecs_cluster.this.name, ServiceName = mover }
        threshold  = 1
        period     = 300
        periods    = 2
        missing    = "breaching"
      }
    },
  )
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name        = "${var.name}-${each.key}"
  alarm_description = "${each.value.urgency}: ${each.value.what} What to do: ${var.runbook_url}#${each.value.section}"

  namespace   = each.value.namespace
  metric_name = each.value.metric
  dimensions  = each.value.dimensions

  # A percentile has an argument of its own.
  statistic          = startswith(each.value.statistic, "p") ? null : each.value.statistic
  extended_statistic = startswith(each.value.statistic, "p") ? each.value.statistic : null

  comparison_operator = each.value.metric == "RunningTaskCount" ? "LessThanThreshold" : "GreaterThanThreshold"
  threshold           = each.value.threshold
  period              = each.value.period
  evaluation_periods  = each.value.periods
  treat_missing_data  = each.value.missing

  alarm_actions = [aws_sns_topic.alarms[each.value.urgency].arn]
  ok_actions    = [aws_sns_topic.alarms[each.value.urgency].arn]
}

resource "aws_sns_topic" "alarms" {
  for_each = toset(["page", "ticket"])

  name              = "${var.name}-${each.key}"
  kms_master_key_id = aws_kms_key.this.arn
}

resource "aws_sns_topic_policy" "alarms" {
  for_each = aws_sns_topic.alarms

  arn = each.value.arn

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid       = "Alarms"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = "sns:Publish"
        Resource  = each.value.arn
        Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
      }],
      # By AWS's pages EventBridge knows no conditions in a topic's policy. So a rule of another account that names this
      # topic may get in: what it could do is write a ticket, and nobody is woken.
      [for arn in [each.value.arn] : {
        Sid       = "EndedProcesses"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sns:Publish"
        Resource  = arn
      } if each.key == "ticket"],
    )
  })
}

# Each address has to be confirmed by whoever reads there.
resource "aws_sns_topic_subscription" "email" {
  for_each = {
    for pair in setproduct(["page", "ticket"], var.alarm_emails) : "${pair[0]} ${pair[1]}" => { topic = pair[0], address = pair[1] }
  }

  topic_arn = aws_sns_topic.alarms[each.value.topic].arn
  protocol  = "email"
  endpoint  = each.value.address
}

# A process that ended by itself, and badly: a failed flush, a mover that died, a reconciliation that found a difference.
resource "aws_cloudwatch_event_rule" "ended" {
  name        = "${var.name}-ended"
  description = "ticket: a process ended with anything but 0. What to do: ${var.runbook_url}#waybilldown; of reconcile: its log names what differs"

  event_pattern = jsonencode({
    source      = ["aws.ecs"]
    detail-type = ["ECS Task State Change"]
    detail = {
      clusterArn = [aws_ecs_cluster.this.arn]
      lastStatus = ["STOPPED"]
      containers = { exitCode = [{ anything-but = 0 }] }
    }
  })
}

resource "aws_cloudwatch_event_target" "ended" {
  rule = aws_cloudwatch_event_rule.ended.name
  arn  = aws_sns_topic.alarms["ticket"].arn
}
