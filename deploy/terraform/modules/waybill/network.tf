# Who may talk to whom. The operators' listener (8081) is never behind a listener of the load balancer.

resource "aws_security_group" "load_balancer" {
  name_prefix = "${var.name}-load-balancer-"
  description = "Waybill's public door"
  vpc_id      = var.vpc_id

  lifecycle {
    create_before_destroy = true
  }
}

# A second fence at most: what counts is the signature. AfterShip's list changes, see README.md.
resource "aws_vpc_security_group_ingress_rule" "public" {
  for_each = toset(var.allowed_source_cidrs)

  security_group_id = aws_security_group.load_balancer.id
  description       = "Webhooks"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "to_receivers" {
  for_each = {
    webhooks = local.listen_port
    health   = local.ops_port
  }

  security_group_id            = aws_security_group.load_balancer.id
  description                  = "To the receivers: ${each.key}"
  referenced_security_group_id = aws_security_group.receivers.id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

# Only what stands behind the load balancer.
resource "aws_security_group" "receivers" {
  # checkov:skip=CKV2_AWS_5:it is attached to the services, by a local value that checkov does not follow
  name_prefix = "${var.name}-receivers-"
  description = "Waybill's receivers"
  vpc_id      = var.vpc_id

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "from_load_balancer" {
  for_each = {
    webhooks = local.listen_port
    health   = local.ops_port
  }

  security_group_id            = aws_security_group.receivers.id
  description                  = "From the load balancer: ${each.key}"
  referenced_security_group_id = aws_security_group.load_balancer.id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

# Every process.
resource "aws_security_group" "processes" {
  # checkov:skip=CKV2_AWS_5:it is attached to the services, by a local value that checkov does not follow
  name_prefix = "${var.name}-processes-"
  description = "All processes of Waybill"
  vpc_id      = var.vpc_id

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "operators" {
  for_each = toset(var.ops_security_group_ids)

  security_group_id            = aws_security_group.processes.id
  description                  = "Metrics, console and admin API, for operators"
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = local.ops_port
  to_port                      = local.ops_port
}

# SQS, S3, KMS, Secrets Manager, the registry, logs; AfterShip's API and our own door for those who have them set. All
# of them have addresses that change, so the port is all that can be said here.
resource "aws_vpc_security_group_egress_rule" "https" {
  security_group_id = aws_security_group.processes.id
  description       = "AWS, and AfterShip's API"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "warehouse" {
  security_group_id            = aws_security_group.processes.id
  description                  = "The warehouse"
  referenced_security_group_id = var.warehouse_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = local.warehouse_port
  to_port                      = local.warehouse_port
}

resource "aws_vpc_security_group_ingress_rule" "warehouse" {
  security_group_id            = var.warehouse_security_group_id
  description                  = "Waybill"
  referenced_security_group_id = aws_security_group.processes.id
  ip_protocol                  = "tcp"
  from_port                    = local.warehouse_port
  to_port                      = local.warehouse_port
}

locals {
  warehouse_port = local.is_redshift ? 5439 : 5432
}
