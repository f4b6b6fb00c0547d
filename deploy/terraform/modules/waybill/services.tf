# What keeps the processes running.

resource "aws_ecs_cluster" "this" {
  name = var.name

  # Task counts come from it, which scaling and alarms need.
  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

locals {
  # How many there are, and what a deployment may do.
  #
  # receive and up: the new one is there before the old one goes, so no request meets a closed door. Two `up` at once
  #   share queue and lake, and take turns at the warehouse's lock.
  # batch: any number shares a queue.
  # load, poll: one. A load is one transaction behind a lock, so a second loader would wait for the first one, fetch the
  #   same objects, and find them loaded. The old one ends before the new one begins: a new program may bring a schema
  #   that an old one must not go on with. Meanwhile events wait in the lake, and are late by a minute.
  services = {
    up      = { count = 1, min_percent = 100, max_percent = 200 }
    receive = { count = var.receive_tasks.min, min_percent = 100, max_percent = 200 }
    batch   = { count = var.batch_tasks.min, min_percent = 100, max_percent = 200 }
    load    = { count = 1, min_percent = 0, max_percent = 100 }
    poll    = { count = 1, min_percent = 0, max_percent = 100 }
  }

  scaled = [for mover in local.movers : mover if contains(["receive", "batch"], mover)]
  single = [for mover in local.movers : mover if !contains(["receive", "batch"], mover)]

  # How long the load balancer's own checks do not count, which end a silent task after 30 s. `receive` has no schema to
  # bring up to date; `up` has, and by AWS's pages its container's check does not count as long, either.
  grace_seconds = {
    for mover in local.movers : mover => mover != local.door ? null : contains(local.upgrades, mover) ? 1200 : 60
  }

  security_groups = {
    for mover in local.movers : mover => concat(
      [aws_security_group.processes.id],
      [for group in [aws_security_group.receivers.id] : group if mover == local.door],
    )
  }
}

# Their count is autoscaling's, see autoscaling.tf.
resource "aws_ecs_service" "scaled" {
  for_each = toset(local.scaled)

  name                              = each.key
  cluster                           = aws_ecs_cluster.this.id
  task_definition                   = aws_ecs_task_definition.process[each.key].arn
  launch_type                       = "FARGATE"
  platform_version                  = "LATEST"
  desired_count                     = local.services[each.key].count
  propagate_tags                    = "SERVICE"
  enable_ecs_managed_tags           = true
  health_check_grace_period_seconds = local.grace_seconds[each.key]

  # ECS moves tasks between zones by starting another one first, which one that must be alone does not allow.
  availability_zone_rebalancing = local.services[each.key].max_percent > 100 ? "ENABLED" : "DISABLED"

  deployment_minimum_healthy_percent = local.services[each.key].min_percent
  deployment_maximum_percent         = local.services[each.key].max_percent

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.private_subnet_ids
    security_groups  = local.security_groups[each.key]
    assign_public_ip = false
  }

  dynamic "load_balancer" {
    for_each = each.key == local.door ? { door = aws_lb_target_group.receivers.arn } : {}

    content {
      target_group_arn = load_balancer.value
      container_name   = "waybill"
      container_port   = local.listen_port
    }
  }

  lifecycle {
    ignore_changes = [desired_count]
  }

  # ECS refuses a target group that no listener has yet.
  depends_on = [aws_lb_listener_rule.webhooks, aws_secretsmanager_secret_version.this]
}

resource "aws_ecs_service" "single" {
  for_each = toset(local.single)

  name                              = each.key
  cluster                           = aws_ecs_cluster.this.id
  task_definition                   = aws_ecs_task_definition.process[each.key].arn
  launch_type                       = "FARGATE"
  platform_version                  = "LATEST"
  desired_count                     = local.services[each.key].count
  propagate_tags                    = "SERVICE"
  enable_ecs_managed_tags           = true
  health_check_grace_period_seconds = local.grace_seconds[each.key]

  # ECS moves tasks between zones by starting another one first, which one that must be alone does not allow.
  availability_zone_rebalancing = local.services[each.key].max_percent > 100 ? "ENABLED" : "DISABLED"

  deployment_minimum_healthy_percent = local.services[each.key].min_percent
  deployment_maximum_percent         = local.services[each.key].max_percent

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.private_subnet_ids
    security_groups  = local.security_groups[each.key]
    assign_public_ip = false
  }

  dynamic "load_balancer" {
    for_each = each.key == local.door ? { door = aws_lb_target_group.receivers.arn } : {}

    content {
      target_group_arn = load_balancer.value
      container_name   = "waybill"
      container_port   = local.listen_port
    }
  }

  depends_on = [aws_lb_listener_rule.webhooks, aws_secretsmanager_secret_version.this]
}
