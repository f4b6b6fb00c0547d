output "webhook_url" {
  description = "What AfterShip's settings get as webhook URL."
  value       = module.waybill.webhook_url
}

output "load_balancer_dns_name" {
  description = "What the host name has to point to."
  value       = module.waybill.load_balancer_dns_name
}

output "queue_url" {
  description = "WAYBILL_QUEUE of a person's own command line."
  value       = module.waybill.queue_url
}

output "lake_url" {
  description = "Where every event rests."
  value       = module.waybill.lake_url
}

output "retail_url" {
  description = "Where the shop's files go."
  value       = module.waybill.retail_url
}

output "person_role_arns" {
  description = "Roles for dead letters, erasing and healing, which the people in `operator_arns` take on."
  value       = module.waybill.person_role_arns
}

output "cluster_name" {
  description = "ECS cluster, for new deployments after a rotation."
  value       = module.waybill.cluster_name
}

output "nat_addresses" {
  description = "Where the processes come from, seen from outside."
  value       = module.network.nat_addresses
}
