# Who may do what: one role for each process, and not one action more than its code calls.
#
# tests/check.py reads the calls of the SDK out of src/, and holds each evaluated policy to them, both ways. So a new
# call, or a right too many here, is a failed test.

locals {
  # Queues: the main one and the dead-letter queue. `send` and the others are the actions of one such call.
  queue_actions = {
    open    = ["sqs:GetQueueAttributes"]
    find    = ["sqs:GetQueueUrl"]
    send    = ["sqs:SendMessage"]
    receive = ["sqs:ReceiveMessage"]
    extend  = ["sqs:ChangeMessageVisibility"]
    delete  = ["sqs:DeleteMessage"]
  }

  queue_rights = {
    receive      = { main = ["open", "send"], dead_letters = [] }
    poll         = { main = ["open", "send"], dead_letters = [] }
    batch        = { main = ["open", "receive", "extend", "delete"], dead_letters = ["open", "find", "receive", "extend", "delete"] }
    load         = { main = [], dead_letters = [] }
    reconcile    = { main = ["open"], dead_letters = ["open", "find"] }
    heal         = { main = ["open", "send"], dead_letters = ["open", "find"] }
    dead-letters = { main = ["open", "send"], dead_letters = [] }
    forget       = { main = [], dead_letters = [] }
  }

  # Folders of the lake, by what is done there. `list`: the loader and others list; S3 also tells only those who may
  # list that an object is not there.
  lake_rights = {
    receive = {
      put  = ["receipts", "receivers"]
      get  = []
      list = false
    }
    poll = {
      put  = ["state", "receipts", "receivers", "dead-letters"]
      get  = ["state"]
      list = true
    }
    batch = {
      put  = ["events", "manifests", "dead-letters"]
      get  = ["suppressed"]
      list = true
    }
    load = {
      put  = []
      get  = ["events", "manifests", "suppressed"]
      list = true
    }
    reconcile = {
      put  = []
      get  = ["receipts", "receivers", "events", "manifests", "dead-letters", "suppressed"]
      list = true
    }
    # reconcile --heal
    heal = {
      put  = ["audit"]
      get  = ["receipts", "receivers", "events", "manifests", "dead-letters", "suppressed"]
      list = true
    }
    dead-letters = {
      put  = ["audit"]
      get  = ["dead-letters", "audit"]
      list = true
    }
    forget = {
      put  = ["events", "dead-letters", "suppressed", "audit"]
      get  = ["events", "dead-letters", "suppressed"]
      list = true
    }
  }

  # `up` is all of them in one process. Its console also lists, replays and drops dead letters, and reconciles.
  parts = merge(
    { for process in keys(local.queue_rights) : process => [process] },
    { up = concat(["receive", "batch", "load", "reconcile", "dead-letters"], var.poll_enabled ? ["poll"] : []) },
  )

  puts  = { for role, parts in local.parts : role => sort(distinct(flatten([for part in parts : local.lake_rights[part].put]))) }
  gets  = { for role, parts in local.parts : role => sort(distinct(flatten([for part in parts : local.lake_rights[part].get]))) }
  lists = { for role, parts in local.parts : role => anytrue([for part in parts : local.lake_rights[part].list]) }

  queue_calls = {
    for role, parts in local.parts : role => {
      for queue in ["main", "dead_letters"] : queue => sort(distinct(flatten([
        for part in parts : [for call in local.queue_rights[part][queue] : local.queue_actions[call]]
      ])))
    }
  }

  queue_arns = {
    main         = aws_sqs_queue.main.arn
    dead_letters = aws_sqs_queue.dead_letters.arn
  }

  is_loader   = { for role, parts in local.parts : role => contains(parts, "load") }
  is_stager   = { for role, parts in local.parts : role => local.is_redshift && (contains(parts, "load") || role == "forget") }
  sends_queue = { for role, calls in local.queue_calls : role => contains(calls.main, "sqs:SendMessage") }
  takes_queue = { for role, calls in local.queue_calls : role => contains(calls.main, "sqs:ReceiveMessage") }
  writes_s3   = { for role, folders in local.puts : role => length(folders) > 0 || local.is_stager[role] }
  reads_s3    = { for role, folders in local.gets : role => length(folders) > 0 || local.is_stager[role] }

  statements = {
    for role in keys(local.parts) : role => [
      for statement in [
        {
          Sid       = "Queue"
          Effect    = "Allow"
          Action    = local.queue_calls[role].main
          Resource  = [local.queue_arns.main]
          Condition = {}
        },
        {
          Sid       = "DeadLetterQueue"
          Effect    = "Allow"
          Action    = local.queue_calls[role].dead_letters
          Resource  = [local.queue_arns.dead_letters]
          Condition = {}
        },
        {
          Sid       = "LakePut"
          Effect    = "Allow"
          Action    = ["s3:PutObject"]
          Resource  = [for folder in local.puts[role] : "${local.lake_objects}/${folder}/*"]
          Condition = {}
        },
        {
          Sid       = "LakeGet"
          Effect    = "Allow"
          Action    = ["s3:GetObject"]
          Resource  = [for folder in local.gets[role] : "${local.lake_objects}/${folder}/*"]
          Condition = {}
        },
        {
          Sid       = "LakeList"
          Effect    = "Allow"
          Action    = ["s3:ListBucket"]
          Resource  = local.lists[role] ? [local.lake_arn] : []
          Condition = { StringLike = { "s3:prefix" = ["${var.lake_prefix}/*"] } }
        },
        {
          Sid       = "ShopGet"
          Effect    = "Allow"
          Action    = ["s3:GetObject"]
          Resource  = local.is_loader[role] && var.retail_enabled ? ["${aws_s3_bucket.this["retail"].arn}/retail/*"] : []
          Condition = {}
        },
        {
          Sid       = "ShopList"
          Effect    = "Allow"
          Action    = ["s3:ListBucket"]
          Resource  = local.is_loader[role] && var.retail_enabled ? [aws_s3_bucket.this["retail"].arn] : []
          Condition = { StringLike = { "s3:prefix" = ["retail/*"] } }
        },
        {
          # `waybill check load` lists, to see whether the bucket is there.
          Sid       = "StagingList"
          Effect    = "Allow"
          Action    = ["s3:ListBucket"]
          Resource  = local.is_stager[role] && local.is_loader[role] ? [aws_s3_bucket.this["staging"].arn] : []
          Condition = { StringLike = { "s3:prefix" = ["staging/*"] } }
        },
        {
          # GetObject is what the lab reads back with; the code has the call, so the role has the right.
          Sid       = "Staging"
          Effect    = "Allow"
          Action    = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
          Resource  = local.is_stager[role] ? ["${aws_s3_bucket.this["staging"].arn}/staging/*"] : []
          Condition = {}
        },
        {
          Sid       = "KeyOfQueue"
          Effect    = "Allow"
          Action    = local.sends_queue[role] ? ["kms:Decrypt", "kms:GenerateDataKey"] : ["kms:Decrypt"]
          Resource  = local.sends_queue[role] || local.takes_queue[role] ? [aws_kms_key.this.arn] : []
          Condition = { StringEquals = { "kms:ViaService" = ["sqs.${local.region}.amazonaws.com"] } }
        },
        {
          Sid       = "KeyOfBuckets"
          Effect    = "Allow"
          Action    = local.writes_s3[role] ? ["kms:Decrypt", "kms:GenerateDataKey"] : ["kms:Decrypt"]
          Resource  = local.writes_s3[role] || local.reads_s3[role] ? [aws_kms_key.this.arn] : []
          Condition = { StringEquals = { "kms:ViaService" = ["s3.${local.region}.amazonaws.com"] } }
        },
      ] : statement if length(statement.Action) > 0 && length(statement.Resource) > 0
    ]
  }
}

resource "aws_iam_role" "process" {
  for_each = toset(local.processes)

  name = "${var.name}-${each.key}"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:ecs:${local.region}:${local.account}:*" }
      }
    }]
  })
}

resource "aws_iam_role_policy" "process" {
  for_each = aws_iam_role.process

  name = "waybill"
  role = each.value.id

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [for statement in local.statements[each.key] : { for key, value in statement : key => value if key != "Condition" || length(value) > 0 }]
  })
}
