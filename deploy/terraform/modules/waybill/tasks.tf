# What each process runs as: one container, not root, nothing to write to, no shell.

resource "aws_cloudwatch_log_group" "process" {
  # checkov:skip=CKV_AWS_338:a year is not for everybody; retention_days.logs says how long
  for_each = toset(local.processes)

  name              = "/waybill/${var.name}/${each.key}"
  retention_in_days = var.retention_days.logs
  kms_key_id        = aws_kms_key.this.arn
}

locals {
  # `up` and `load` bring the schema up to date before they answer. ECS replaces who stays silent, and whoever comes next
  # would begin the upgrade anew: 300 s, AWS's longest start, and ten minutes more.
  upgrades = ["up", "load"]
  patience = {
    for process in local.movers : process => contains(local.upgrades, process) ? { interval = 60, retries = 10, start = 300 } : { interval = 15, retries = 4, start = 60 }
  }

  # What a clock starts has no operators' listener, so there is nothing to ask.
  health_checks = {
    for process in local.processes : process => contains(local.scheduled, process) ? null : {
      # Whether the process turns (/livez), never whether it is ready: a queue that is away would restart everything.
      command     = var.health_command
      interval    = local.patience[process].interval
      timeout     = 5
      retries     = local.patience[process].retries
      startPeriod = local.patience[process].start
    }
  }

  containers = {
    for process in local.processes : process => {
      name      = "waybill"
      image     = var.image
      command   = local.commands[process]
      essential = true

      environment = [
        for name in sort(keys(local.settings[process])) : { name = name, value = local.settings[process][name] }
        if local.settings[process][name] != null
      ]
      secrets = [
        for name in sort(local.secrets[process]) : {
          name      = local.secret_settings[name]
          valueFrom = aws_secretsmanager_secret.this[name].arn
        }
      ]

      portMappings = concat(
        [for port in [local.listen_port] : { containerPort = port, protocol = "tcp" } if process == local.door],
        [for port in [local.ops_port] : { containerPort = port, protocol = "tcp" } if contains(local.movers, process)],
      )

      healthCheck = local.health_checks[process]

      # SIGTERM drains in 25 s at most; the program is process 1, so it is the one that gets it.
      stopTimeout = 40

      user                   = "65532:65532"
      readonlyRootFilesystem = true
      privileged             = false
      linuxParameters = {
        capabilities       = { drop = ["ALL"] }
        initProcessEnabled = false
      }
      # 60 % of it are for connections, of which there are 4,096 at most.
      ulimits = [{ name = "nofile", softLimit = 65535, hardLimit = 65535 }]

      # `up` locks its folder, and keeps nothing there: it is on the task's own disk, which is gone with the task. The
      # image has to name it as a volume, or it would belong to root: deploy/docker/Dockerfile does.
      mountPoints = [for folder in [local.scratch_folder] : {
        sourceVolume  = "scratch"
        containerPath = folder
        readOnly      = false
      } if process == "up"]

      logConfiguration = {
        logDriver = "awslogs"
        options = {
          awslogs-group         = aws_cloudwatch_log_group.process[process].name
          awslogs-region        = local.region
          awslogs-stream-prefix = process
          # A log that is slow must not hold up an answer: what does not fit into 4 MB is dropped.
          mode            = "non-blocking"
          max-buffer-size = "4m"
        }
      }
    }
  }
}

resource "aws_ecs_task_definition" "process" {
  for_each = toset(local.processes)

  family                   = "${var.name}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.sizes[each.key].cpu
  memory                   = var.sizes[each.key].memory_mib
  task_role_arn            = aws_iam_role.process[each.key].arn
  execution_role_arn       = aws_iam_role.start[each.key].arn
  container_definitions    = jsonencode([local.containers[each.key]])

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.cpu_architecture
  }

  dynamic "volume" {
    for_each = each.key == "up" ? ["scratch"] : []

    content {
      name = volume.value
    }
  }

  # A task that starts before its rights are there fails.
  depends_on = [aws_iam_role_policy.start, aws_iam_role_policy.process]
}
