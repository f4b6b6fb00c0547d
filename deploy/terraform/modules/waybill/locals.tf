# What runs, and what each process is told.

data "aws_region" "current" {}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  region    = data.aws_region.current.region
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition

  is_one      = var.layout == "one"
  is_redshift = var.warehouse_kind == "redshift"

  # The mover that stands behind the load balancer.
  door = local.is_one ? "up" : "receive"

  # Processes that run all the time, and those that are started by a clock.
  movers = concat(
    local.is_one ? ["up"] : ["receive", "batch", "load"],
    !local.is_one && var.poll_enabled ? ["poll"] : [],
  )
  scheduled = var.reconcile_schedule == null ? [] : ["reconcile"]
  processes = concat(local.movers, local.scheduled)

  webhook_path = "/webhooks/aftership"
  webhook_url  = "https://${var.domain_name}${local.webhook_path}"
  listen_port  = 8080
  ops_port     = 8081

  lake_url    = "s3://${aws_s3_bucket.this["lake"].bucket}/${var.lake_prefix}"
  retail_url  = var.retail_enabled ? "s3://${aws_s3_bucket.this["retail"].bucket}/retail" : null
  staging_url = local.is_redshift ? "s3://${aws_s3_bucket.this["staging"].bucket}/staging" : null

  # --- settings -----------------------------------------------------------------------------------------------------
  # Names and meaning: docs/reference/settings.md. A null is left out.
  # Who reads what: tests/check.py holds each name against src/settings/table.rs.

  to_all = merge(var.environment, {
    AWS_REGION        = local.region
    WAYBILL_FRESHNESS = "${var.freshness_seconds}s"
  })

  # Health is asked from outside of the container, so this listener is on the task's private address. Its security
  # group lets in the load balancer's health checks and `ops_security_group_ids`, and nobody else.
  to_listeners = { WAYBILL_OPS_LISTEN = "0.0.0.0:${local.ops_port}" }

  to_queue_users = { WAYBILL_QUEUE = aws_sqs_queue.main.url }
  to_lake_users  = { WAYBILL_LAKE = local.lake_url }

  to_receivers = {
    WAYBILL_LISTEN             = "0.0.0.0:${local.listen_port}"
    WAYBILL_SIGNATURE_PRODUCTS = join(",", var.signature_products)
    # Beside the load balancer's own draining, see load_balancer.tf.
    WAYBILL_DRAIN_DELAY = "5s"
  }

  to_batchers = { WAYBILL_PRIVACY = var.privacy }

  to_warehouse_users = {
    WAYBILL_BUSINESS_TIME_ZONE = var.business_time_zone
    WAYBILL_REDSHIFT_STAGING   = local.staging_url
    WAYBILL_REDSHIFT_ROLE      = local.is_redshift ? aws_iam_role.redshift[0].arn : null
  }

  to_loaders = {
    WAYBILL_RETAIL = local.retail_url
    WAYBILL_CANARY = var.canary_enabled ? local.webhook_url : null
  }

  settings = {
    up = merge(
      local.to_all, local.to_listeners, local.to_queue_users, local.to_lake_users, local.to_receivers,
      local.to_batchers, local.to_warehouse_users, local.to_loaders,
    )
    receive   = merge(local.to_all, local.to_listeners, local.to_queue_users, local.to_lake_users, local.to_receivers)
    batch     = merge(local.to_all, local.to_listeners, local.to_queue_users, local.to_lake_users, local.to_batchers)
    load      = merge(local.to_all, local.to_listeners, local.to_lake_users, local.to_warehouse_users, local.to_loaders)
    poll      = merge(local.to_all, local.to_listeners, local.to_queue_users, local.to_lake_users)
    reconcile = merge(local.to_all, local.to_queue_users, local.to_lake_users, local.to_warehouse_users)
  }

  # --- secrets ------------------------------------------------------------------------------------------------------
  # Name of the secret, and the setting that a process gets it in.

  secret_settings = merge(
    {
      webhook-secrets = "WAYBILL_WEBHOOK_SECRETS"
      ops-token       = "WAYBILL_OPS_TOKEN"
      warehouse       = "WAYBILL_WAREHOUSE"
      privacy-key     = "WAYBILL_PRIVACY_KEY"
    },
    var.poll_enabled ? { aftership-api-key = "WAYBILL_AFTERSHIP_API_KEY" } : {},
  )

  # The canary is signed with the newest webhook secret by whoever looks for it in the facts.
  canary_secret = var.canary_enabled ? ["webhook-secrets"] : []
  api_secret    = var.poll_enabled ? ["aftership-api-key"] : []

  secrets = {
    up        = concat(["webhook-secrets", "ops-token", "warehouse", "privacy-key"], local.api_secret)
    receive   = ["webhook-secrets", "ops-token"]
    batch     = ["ops-token", "privacy-key"]
    load      = concat(["ops-token", "warehouse", "privacy-key"], local.canary_secret)
    poll      = ["ops-token", "aftership-api-key"]
    reconcile = concat(["warehouse", "privacy-key"], local.api_secret)
  }

  # --- commands -----------------------------------------------------------------------------------------------------

  commands = {
    # The folder holds the lock of this one process and nothing else: queue, lake and warehouse are outside.
    up        = ["up", "--data", local.scratch_folder]
    receive   = ["receive"]
    batch     = ["batch"]
    load      = ["load"]
    poll      = ["poll"]
    reconcile = ["reconcile", "--format", "json", "--since", "3h"]
  }

  scratch_folder = "/var/lib/waybill"
}
