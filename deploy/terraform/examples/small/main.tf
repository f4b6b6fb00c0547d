# One task that runs everything (`waybill up`), SQS, S3, and a small PostgreSQL. For up to some tens of events a second.
#
# The task keeps nothing: queue, lake and warehouse are outside. A restart, a crash or a lost zone loses nothing that was
# acknowledged; while no task runs AfterShip repeats, for about 68 hours.

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

  name  = var.name
  zones = [for letter in ["a", "b"] : "${var.region}${letter}"]
}

module "waybill" {
  source = "../../modules/waybill"

  name   = var.name
  layout = "one"

  image                = var.image
  image_repository_arn = var.image_repository_arn

  vpc_id             = module.network.vpc_id
  public_subnet_ids  = module.network.public_subnet_ids
  private_subnet_ids = module.network.private_subnet_ids
  domain_name        = var.domain_name
  certificate_arn    = var.certificate_arn

  warehouse_kind              = "postgres"
  warehouse_security_group_id = aws_security_group.database.id

  poll_enabled = var.poll_enabled

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
