# receive, batch, load and poll as services of their own, in three zones, into Redshift. For some hundred to some
# thousand events a second; README.md says what breaks first.
#
# Redshift itself has never been run by Waybill: docs/WAREHOUSE.md, "Redshift". Try it with your own data first.

terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.20, < 7.0"
    }
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = { application = "waybill" }
  }
}

module "network" {
  source = "../../modules/network"

  name         = var.name
  zones        = [for letter in ["a", "b", "c"] : "${var.region}${letter}"]
  nat_gateways = 3

  # At this rate the NAT gateway's price for each GB would be the largest part of the bill.
  interface_endpoints = ["sqs", "logs", "secretsmanager", "kms", "ecr.api", "ecr.dkr"]
}

module "waybill" {
  source = "../../modules/waybill"

  name   = var.name
  layout = "apart"

  image                = var.image
  image_repository_arn = var.image_repository_arn

  vpc_id             = module.network.vpc_id
  public_subnet_ids  = module.network.public_subnet_ids
  private_subnet_ids = module.network.private_subnet_ids
  domain_name        = var.domain_name
  certificate_arn    = var.certificate_arn

  warehouse_kind              = "redshift"
  warehouse_security_group_id = aws_security_group.warehouse.id

  poll_enabled      = true
  freshness_seconds = var.freshness_seconds

  sizes = {
    receive   = { cpu = 1024, memory_mib = 2048 }
    batch     = { cpu = 1024, memory_mib = 2048 }
    load      = { cpu = 2048, memory_mib = 4096 }
    poll      = { cpu = 256, memory_mib = 512 }
    reconcile = { cpu = 1024, memory_mib = 4096 }
  }
  receive_tasks = { min = 3, max = 12 }
  # Of those that work in bursts two hold as much as SQS hands out.
  batch_tasks           = { min = 2, max = var.freshness_seconds >= 600 ? 2 : 6 }
  requests_per_receiver = 2000

  allowed_source_cidrs   = var.allowed_source_cidrs
  ops_security_group_ids = var.ops_security_group_ids
  operator_arns          = var.operator_arns
  alarm_emails           = var.alarm_emails
  runbook_url            = var.runbook_url

  secret_values_version = var.secrets_version
  secret_values = {
    webhook-secrets   = var.webhook_secrets
    ops-token         = var.ops_token
    privacy-key       = var.privacy_key
    aftership-api-key = var.aftership_api_key
    warehouse         = local.warehouse_url
  }
}
