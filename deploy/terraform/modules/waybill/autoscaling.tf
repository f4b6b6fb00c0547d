# Receivers by what they have to do, batchers by what waits. A loader is one, always (services.tf says why).

locals {
  scaling = {
    receive = var.receive_tasks
    batch   = var.batch_tasks
  }
}

resource "aws_appautoscaling_target" "this" {
  for_each = toset(local.scaled)

  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${aws_ecs_cluster.this.name}/${aws_ecs_service.scaled[each.key].name}"
  min_capacity       = local.scaling[each.key].min
  max_capacity       = local.scaling[each.key].max
}

resource "aws_appautoscaling_policy" "receive_processor" {
  count = local.is_one ? 0 : 1

  name               = "processor"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this["receive"].service_namespace
  scalable_dimension = aws_appautoscaling_target.this["receive"].scalable_dimension
  resource_id        = aws_appautoscaling_target.this["receive"].resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = 50
    scale_out_cooldown = 60
    # AfterShip's repetitions come minutes after: going down at once would have to be undone.
    scale_in_cooldown = 600

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}

resource "aws_appautoscaling_policy" "receive_requests" {
  count = local.is_one ? 0 : 1

  name               = "requests"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this["receive"].service_namespace
  scalable_dimension = aws_appautoscaling_target.this["receive"].scalable_dimension
  resource_id        = aws_appautoscaling_target.this["receive"].resource_id

  target_tracking_scaling_policy_configuration {
    # In a minute.
    target_value       = var.requests_per_receiver * 60
    scale_out_cooldown = 60
    scale_in_cooldown  = 600

    predefined_metric_specification {
      predefined_metric_type = "ALBRequestCountPerTarget"
      resource_label         = "${aws_lb.this.arn_suffix}/${aws_lb_target_group.receivers.arn_suffix}"
    }
  }
}

# Messages that wait, for each batcher there is.
resource "aws_appautoscaling_policy" "batch_depth" {
  count = local.is_one ? 0 : 1

  name               = "depth"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this["batch"].service_namespace
  scalable_dimension = aws_appautoscaling_target.this["batch"].scalable_dimension
  resource_id        = aws_appautoscaling_target.this["batch"].resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = var.messages_per_batcher
    scale_out_cooldown = 60
    scale_in_cooldown  = 600

    customized_metric_specification {
      metrics {
        id          = "waiting"
        return_data = false

        metric_stat {
          stat = "Average"

          metric {
            namespace   = "AWS/SQS"
            metric_name = "ApproximateNumberOfMessagesVisible"

            dimensions {
              name  = "QueueName"
              value = aws_sqs_queue.main.name
            }
          }
        }
      }

      metrics {
        id          = "batchers"
        return_data = false

        metric_stat {
          stat = "Average"

          metric {
            namespace   = "ECS/ContainerInsights"
            metric_name = "RunningTaskCount"

            dimensions {
              name  = "ClusterName"
              value = aws_ecs_cluster.this.name
            }

            dimensions {
              name  = "ServiceName"
              value = aws_ecs_service.scaled["batch"].name
            }
          }
        }
      }

      metrics {
        id          = "each"
        expression  = "waiting / batchers"
        return_data = true
      }
    }
  }
}

# The age of the oldest message. It sees a batcher that is stuck on a few messages, which the depth does not; a message
# that always fails makes it look worse than it is, so this only ever adds, and the depth takes away.
resource "aws_appautoscaling_policy" "batch_age" {
  count = local.is_one ? 0 : 1

  name               = "age"
  policy_type        = "StepScaling"
  service_namespace  = aws_appautoscaling_target.this["batch"].service_namespace
  scalable_dimension = aws_appautoscaling_target.this["batch"].scalable_dimension
  resource_id        = aws_appautoscaling_target.this["batch"].resource_id

  step_scaling_policy_configuration {
    adjustment_type         = "ChangeInCapacity"
    metric_aggregation_type = "Maximum"
    cooldown                = 180

    step_adjustment {
      metric_interval_lower_bound = 0
      metric_interval_upper_bound = local.late_seconds
      scaling_adjustment          = 1
    }

    step_adjustment {
      metric_interval_lower_bound = local.late_seconds
      scaling_adjustment          = 2
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "batch_age" {
  count = local.is_one ? 0 : 1

  alarm_name          = "${var.name}-scale-batch-by-age"
  alarm_description   = "Adds a batcher. Tells nobody: ${var.name}-queue-late does."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  statistic           = "Maximum"
  dimensions          = { QueueName = aws_sqs_queue.main.name }
  period              = 60
  evaluation_periods  = 2
  threshold           = local.late_seconds
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_appautoscaling_policy.batch_age[0].arn]
}

locals {
  # Twice what an event may take, and a minute at least. From a freshness of 10 minutes on the queue is emptied in
  # bursts, so that a message waits for five sixths of it by intention.
  late_seconds = max(120, 2 * var.freshness_seconds)
}
