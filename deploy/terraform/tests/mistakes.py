"""Mistakes that check.py has to find: what is wrong, where, and words that have to be in a fault."""

from dataclasses import dataclass

MODULE = "deploy/terraform/modules/waybill/"
SMALL = ("small",)
LARGE = ("large",)


@dataclass
class Mistake:
    what: str
    file: str
    old: str
    new: str
    named: str
    plans: tuple = LARGE


# fmt: off
MISTAKES = [
    # --- files ---
    Mistake("a line that is not formatted", MODULE + "queue.tf", "  name                              = var.name", "  name = var.name", "terraform fmt", SMALL),
    Mistake("a bracket too few", MODULE + "queue.tf", "redrive_policy = jsonencode({", "redrive_policy = jsonencode(", "terraform", SMALL),
    Mistake("an argument that the provider does not have", MODULE + "queue.tf", "visibility_timeout_seconds        =", "visibility_timeout_second         =", "visibility_timeout_second", SMALL),
    Mistake("an argument that must be there, left out", MODULE + "load_balancer.tf", "  load_balancer_arn = aws_lb.this.arn\n", "", "load_balancer_arn", SMALL),
    Mistake("a reference to nothing", MODULE + "outputs.tf", "aws_lb.this.zone_id", "aws_lb.that.zone_id", "aws_lb", SMALL),
    Mistake("a variable that nobody uses", MODULE + "variables.tf", 'variable "runbook_url"', 'variable "left_over" {\n  description = "Nothing at all."\n  type        = string\n  default     = null\n}\n\nvariable "runbook_url"', "left_over is not used", SMALL),
    Mistake("a variable without a description", MODULE + "variables.tf", 'description = "VPC that everything runs in."', 'description = ""', "vpc_id is not described", SMALL),
    Mistake("a skipped check without a reason", MODULE + "tasks.tf", "CKV_AWS_338:a year is not for everybody; retention_days.logs says how long", "CKV_AWS_338", "without a reason", SMALL),
    Mistake("a secret that is kept in the state", MODULE + "secrets.tf", "secret_string_wo         = lookup(var.secret_values, each.key, null)\n  secret_string_wo_version = var.secret_values_version", "secret_string = lookup(var.secret_values, each.key, null)", "terraform", SMALL),
    Mistake("a password that everybody knows", "deploy/terraform/examples/large/variables.tf", "with a capital, a small letter and a digit among them.\"\n  }\n", "with a capital, a small letter and a digit among them.\"\n  }\n\n  default = \"Known0to0everybody\"\n", 'variable "database_password" is not set', ("large, without secrets",)),
    Mistake("a poll without its key", MODULE + "variables.tf", "condition = var.secret_values_version == 0 ||", "condition = var.secret_values_version >= 0 ||", "secret_values must hold", ("small, polling without its key",)),
    Mistake("a secret's version without the secret", MODULE + "secrets.tf", "  secret_string_wo         = lookup(var.secret_values, each.key, null)\n", "", "secret_string_wo is not", SMALL),
    Mistake("a version of PostgreSQL's password without it", "deploy/terraform/examples/small/database.tf", "  password_wo         = var.database_password\n", "", "and password_wo is not", SMALL),
    Mistake("a version of Redshift's password without it", "deploy/terraform/examples/large/redshift.tf", "  master_password_wo         = var.database_password\n", "", "master_password_wo is not"),
    # --- settings ---
    Mistake("a setting that there is not", MODULE + "locals.tf", 'WAYBILL_PRIVACY = var.privacy', 'WAYBILL_PRIVATE = var.privacy', "no setting is called WAYBILL_PRIVATE"),
    Mistake("a setting that is missing", MODULE + "locals.tf", "poll      = merge(local.to_all, local.to_listeners, local.to_queue_users,", "poll      = merge(local.to_all, local.to_listeners,", "WAYBILL_QUEUE is missing"),
    Mistake("a secret in plain sight", MODULE + "locals.tf", "AWS_REGION        = local.region", 'AWS_REGION        = local.region\n    WAYBILL_OPS_TOKEN = "0123456789abcdef"', "is a secret", SMALL),
    Mistake("an open operators' listener without a token", MODULE + "locals.tf", 'poll      = ["ops-token", "aftership-api-key"]', 'poll      = ["aftership-api-key"]', "has no token"),
    Mistake("a batcher that cannot leave out the erased", MODULE + "locals.tf", 'batch     = ["ops-token", "privacy-key"]', 'batch     = ["ops-token"]', "nobody can ever be erased"),
    Mistake("a start that reads another's secret", MODULE + "secrets.tf", "for name in local.secrets[each.key] : aws_secretsmanager_secret.this[name].arn", "for name in keys(local.secret_settings) : aws_secretsmanager_secret.this[name].arn", "its start may read"),
    Mistake("a command that there is not", MODULE + "locals.tf", 'load      = ["load"]', 'load      = ["loader"]', "no command of the program"),
    # --- queue ---
    Mistake("a queue that forgets after 4 days", MODULE + "queue.tf", "retention_seconds = 1209600", "retention_seconds = 345600", "longest is", SMALL),
    Mistake("a queue for 256 KiB", MODULE + "queue.tf", "message_bytes_max = 1048576", "message_bytes_max = 262144", "the program sends up to", SMALL),
    Mistake("a redrive before the program gives up", MODULE + "queue.tf", "receives_max = 100", "receives_max = 5", "before batch gives up", SMALL),
    Mistake("a visibility below the lease", MODULE + "queue.tf", "visibility_seconds = 60", "visibility_seconds = 10", "lease", SMALL),
    Mistake("a lease in the program above the visibility", "src/settings/table.rs", '"batch_lease",\n        Default::Value("30s")', '"batch_lease",\n        Default::Value("90s")', "lease of 90", SMALL),
    Mistake("a queue without TLS", MODULE + "queue.tf", '"aws:SecureTransport" = "false"', '"aws:SecureTransport" = "true"', "without TLS", SMALL),
    # --- bucket ---
    Mistake("a bucket without TLS", MODULE + "bucket_policy.tf", '"aws:SecureTransport" = "false"', '"aws:SecureTransport" = "true"', "without TLS", SMALL),
    Mistake("manifests that may be replaced", MODULE + "bucket_policy.tf", 'written_once = ["manifests", ', "written_once = [", "written once are", SMALL),
    Mistake("a new folder of the lake that nothing protects", "src/lake/layout.rs", 'pub const MANIFESTS: &str = "manifests/";', 'pub const MANIFESTS: &str = "manifests/";\npub const LEDGERS: &str = "ledgers/";', "written once are", SMALL),
    Mistake("a bucket that may be made public", MODULE + "bucket.tf", "block_public_policy     = true", "block_public_policy     = false", "made public", SMALL),
    Mistake("events that go to an archive", MODULE + "bucket_lifecycle.tf", "for_each = var.events_infrequent_after_days == null ? {} : { events = var.events_infrequent_after_days }\n\n    content {\n      id     = \"${rule.key}-infrequent\"\n      status = \"Enabled\"\n\n      filter {\n        prefix = \"${var.lake_prefix}/${rule.key}/\"\n      }\n\n      # Never an archive that has to be restored first: the program takes such an object for gone.\n      transition {\n        days          = rule.value\n        storage_class = \"STANDARD_IA\"", "for_each = { events = 30 }\n\n    content {\n      id     = \"${rule.key}-infrequent\"\n      status = \"Enabled\"\n\n      filter {\n        prefix = \"${var.lake_prefix}/${rule.key}/\"\n      }\n\n      # Never an archive that has to be restored first: the program takes such an object for gone.\n      transition {\n        days          = rule.value\n        storage_class = \"GLACIER\"", "cannot read them", SMALL),
    # --- roles ---
    Mistake("a right too many", MODULE + "roles.tf", 'receive      = { main = ["open", "send"]', 'receive      = { main = ["open", "send", "delete"]', "may sqs:DeleteMessage"),
    Mistake("a right too few", MODULE + "roles.tf", 'batch        = { main = ["open", "receive", "extend", "delete"]', 'batch        = { main = ["open", "receive", "delete"]', "may not sqs:ChangeMessageVisibility"),
    Mistake("a folder too many", MODULE + "roles.tf", 'get  = ["events", "manifests", "suppressed"]', 'get  = ["events", "manifests", "suppressed", "dead-letters"]', "dead-letters/*, which its code does not"),
    Mistake("a listing of the whole bucket", MODULE + "roles.tf", '{ "s3:prefix" = ["${var.lake_prefix}/*"] }', '{ "s3:prefix" = ["*"] }', "may list all"),
    Mistake("a key for more than the role does", MODULE + "roles.tf", 'Action    = local.writes_s3[role] ? ["kms:Decrypt", "kms:GenerateDataKey"] : ["kms:Decrypt"]', 'Action    = ["kms:Decrypt", "kms:GenerateDataKey"]', "with the key"),
    Mistake("everything on everything", MODULE + "roles_people.tf", "Resource = [\"${aws_s3_bucket.this[\"staging\"].arn}/staging/*\"]", 'Resource = ["*"]', "on everything"),
    Mistake("a person without a second factor", MODULE + "roles_people.tf", '"aws:MultiFactorAuthPresent" = "true"', '"aws:MultiFactorAuthPresent" = "false"', "second factor"),
    Mistake("a new call of the SDK", "src/lake/s3.rs", "    async fn get_once(", "    async fn tags(&self, key: &str) {\n        let _ = self.client.get_object_tagging().bucket(&self.bucket).key(key).send().await;\n    }\n\n    async fn get_once(", "calls get_object_tagging", SMALL),
    Mistake("a call of the SDK that is gone", "src/warehouse/redshift/s3.rs", ".delete_object()", ".forget_object()", "does not call delete_object", SMALL),
    Mistake("a new service of AWS", "src/ops/aws.rs", "use aws_config::retry::RetryConfig;", "use aws_config::retry::RetryConfig;\nuse aws_sdk_kms::Client;", "speaks to AWS's kms", SMALL),
    Mistake("a mover that begins to delete", "src/receive/webhook.rs", "let fate = sender.queue.send(vec![message]).await.pop();", "let fate = sender.queue.send(vec![message]).await.pop();\n        sender.queue.delete(&[]).await;", "may not sqs:DeleteMessage"),
    Mistake("a mover that reads another folder", "src/load/discover.rs", "let page = lake.list(layout::EVENTS, after.as_deref()).await?;", "let page = lake.list(layout::EVENTS, after.as_deref()).await?;\n            lake.get(layout::DEAD_LETTERS).await?;", "may not s3:GetObject"),
    Mistake("a helper of the lake that does more", "src/lake/audit.rs", "    let objects = list_all(lake, &format!(", "    lake.replace(\"x\", Bytes::new()).await?;\n    let objects = list_all(lake, &format!(", "look at HELPERS", SMALL),
    # --- what runs ---
    Mistake("killed before it has drained", MODULE + "tasks.tf", "stopTimeout = 40", "stopTimeout = 20", "drains for", SMALL),
    Mistake("killed during an upgrade of the schema", MODULE + "tasks.tf", "interval = 60, retries = 10, start = 300", "interval = 15, retries = 4, start = 60", "into an upgrade", SMALL),
    Mistake("a check that AWS refuses", MODULE + "tasks.tf", "retries = 10, start = 300", "retries = 10, start = 1200", "AWS takes 300"),
    Mistake("a receiver that may hang for as long as an upgrade takes", MODULE + "tasks.tf", 'upgrades = ["up", "load"]', 'upgrades = ["up", "load", "receive"]', "has no schema to upgrade"),
    Mistake("a loader that nobody knows to upgrade", MODULE + "tasks.tf", 'upgrades = ["up", "load"]', 'upgrades = ["up"]', "load: is killed"),
    Mistake("ended by the load balancer during an upgrade", MODULE + "services.tf", "contains(local.upgrades, mover) ? 1200 : 60", "contains(local.upgrades, mover) ? 60 : 60", "the load balancer ends it", SMALL),
    Mistake("a receiver that begins to upgrade the schema", "src/app/movers.rs", "    let queues = places::queue(&settings).await?;", "    let queues = places::queue(&settings).await?;\n    places::prepare(&settings, warehouse.as_ref()).await?;", "receive: is killed"),
    Mistake("a folder of root", "deploy/docker/Dockerfile", 'VOLUME ["/var/lib/waybill"]', 'VOLUME ["/data"]', "is no volume of the image", SMALL),
    Mistake("restarted by readiness", MODULE + "variables.tf", '["CMD", "/opt/waybill/waybill", "health"]', '["CMD", "/opt/waybill/waybill", "health", "--ready"]', "readiness", SMALL),
    Mistake("receivers replaced by readiness", MODULE + "load_balancer.tf", 'path                = "/livez"', 'path                = "/readyz"', "replaces receivers", SMALL),
    Mistake("a load balancer that outlasts a receiver's patience", MODULE + "load_balancer.tf", "idle_timeout               = 60", "idle_timeout               = 90", "first to close", SMALL),
    Mistake("a receiver whose patience ends first", "src/receive/mod.rs", "idle_timeout: Duration::from_secs(75)", "idle_timeout: Duration::from_secs(45)", "first to close", SMALL),
    Mistake("a receiver taken away too soon", MODULE + "load_balancer.tf", "deregistration_delay = 30", "deregistration_delay = 5", "is taken away", SMALL),
    Mistake("a drain that is longer than its time", MODULE + "locals.tf", 'WAYBILL_DRAIN_DELAY = "5s"', 'WAYBILL_DRAIN_DELAY = "10s"', "more than the drain's"),
    Mistake("another path at the door", MODULE + "locals.tf", 'webhook_path = "/webhooks/aftership"', 'webhook_path = "/*"', "the program's path is", SMALL),
    Mistake("the operators' listener for everybody", MODULE + "network.tf", "  from_port         = 443\n  to_port           = 443\n}\n\nresource \"aws_vpc_security_group_egress_rule\" \"to_receivers\"", "  from_port         = 443\n  to_port           = 8081\n}\n\nresource \"aws_vpc_security_group_egress_rule\" \"to_receivers\"", "lets addresses in", SMALL),
    Mistake("a public address", MODULE + "services.tf", "assign_public_ip = false", "assign_public_ip = true", "public address"),
    Mistake("two loaders", MODULE + "services.tf", "load    = { count = 1,", "load    = { count = 2,", "must be one"),
    Mistake("two loaders during a deployment", MODULE + "services.tf", "load    = { count = 1, min_percent = 0, max_percent = 100 }", "load    = { count = 1, min_percent = 100, max_percent = 200 }", "two of it at once"),
    Mistake("a loader that scales", MODULE + "autoscaling.tf", 'resource "aws_appautoscaling_policy" "receive_processor"', 'resource "aws_appautoscaling_target" "load" {\n  service_namespace  = "ecs"\n  scalable_dimension = "ecs:service:DesiredCount"\n  resource_id        = "service/waybill/load"\n  min_capacity       = 1\n  max_capacity       = 2\n}\n\nresource "aws_appautoscaling_policy" "receive_processor"', "load: must be one"),
    Mistake("seven batchers", "deploy/terraform/examples/large/main.tf", "? 2 : 6 }", "? 2 : 7 }", "120,000"),
    Mistake("an alarm that leads nowhere", MODULE + "alarms.tf", '"capacity"', '"capacities"', "no section capacities", SMALL),
    Mistake("an alarm that is gone", MODULE + "alarms.tf", 'metric     = "HTTPCode_ELB_5XX_Count"', 'metric     = "RequestCount"', "no alarm on HTTPCode_ELB_5XX_Count", SMALL),
    Mistake("a condition that EventBridge does not know", MODULE + "alarms.tf", '        Principal = { Service = "events.amazonaws.com" }\n', '        Principal = { Service = "events.amazonaws.com" }\n        Condition = { StringEquals = { "aws:SourceAccount" = local.account } }\n', "EventBridge gets in by", SMALL),
    Mistake("alarms of anybody", MODULE + "alarms.tf", '        Condition = { StringEquals = { "aws:SourceAccount" = local.account } }\n', "", "of no other", SMALL),
    Mistake("a topic that CloudWatch may do everything with", MODULE + "alarms.tf", '"sns:Publish"', '"sns:*"', "do sns:*", SMALL),
    Mistake("a page that everybody's events may write", MODULE + "alarms.tf", 'if each.key == "ticket"]', "]", "waybill-page: EventBridge", SMALL),
    Mistake("a key that EventBridge may not use", MODULE + "key.tf", '        Principal = { Service = "events.amazonaws.com" }', '        Principal = { Service = "scheduler.amazonaws.com" }', "key: EventBridge", SMALL),
    Mistake("an alarm that bursts set off", MODULE + "alarms.tf", "threshold  = max(900, local.late_seconds)", "threshold  = 60", "called late", SMALL),
]
