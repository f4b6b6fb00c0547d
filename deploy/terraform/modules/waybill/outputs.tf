output "webhook_url" {
  description = "What AfterShip's settings get as webhook URL."
  value       = local.webhook_url
}

output "load_balancer_dns_name" {
  description = "What `domain_name` has to point to, as an alias or a CNAME."
  value       = aws_lb.this.dns_name
}

output "load_balancer_zone_id" {
  description = "Hosted zone of the load balancer, for an alias record in Route 53."
  value       = aws_lb.this.zone_id
}

output "queue_url" {
  description = "WAYBILL_QUEUE of a person's own command line."
  value       = aws_sqs_queue.main.url
}

output "lake_url" {
  description = "WAYBILL_LAKE of a person's own command line."
  value       = local.lake_url
}

output "retail_url" {
  description = "Where the shop's files go, `<dataset>/….csv[.gz]` below it; null without `retail_enabled`."
  value       = local.retail_url
}

output "secret_names" {
  description = "Names of the secrets, for `aws secretsmanager put-secret-value`."
  value       = { for name, secret in aws_secretsmanager_secret.this : name => secret.name }
}

output "process_role_arns" {
  description = "Role of each process."
  value       = { for name, role in aws_iam_role.process : name => role.arn }
}

output "person_role_arns" {
  description = "Roles for `waybill dead-letters`, `waybill forget` and `waybill reconcile --heal`, which the people in `operator_arns` take on."
  value       = { for name, role in aws_iam_role.person : name => role.arn }
}

output "redshift_role_arn" {
  description = "Role to attach to the Redshift cluster, which COPY reads the staging bucket with; null without Redshift."
  value       = local.is_redshift ? aws_iam_role.redshift[0].arn : null
}

output "process_security_group_id" {
  description = "Security group of all processes."
  value       = aws_security_group.processes.id
}

output "cluster_name" {
  description = "ECS cluster, for `aws ecs update-service` and `aws ecs run-task`."
  value       = aws_ecs_cluster.this.name
}

output "key_arn" {
  description = "KMS key of queues, buckets, secrets and logs: who else reads the lake needs kms:Decrypt on it."
  value       = aws_kms_key.this.arn
}

output "alarm_topic_arns" {
  description = "Topics of alarms: page and ticket."
  value       = { for urgency, topic in aws_sns_topic.alarms : urgency => topic.arn }
}
