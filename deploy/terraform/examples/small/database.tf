# The warehouse.

locals {
  # /etc/waybill/rds-ca.pem is the CA of RDS, which the image has to hold: README.md, step 2.
  warehouse_url = "postgres://${aws_db_instance.this.username}:${var.database_password}@${aws_db_instance.this.address}:5432/${aws_db_instance.this.db_name}?sslmode=verify-full&sslrootcert=/etc/waybill/rds-ca.pem"
}

resource "aws_security_group" "database" {
  name_prefix = "${var.name}-database-"
  description = "Waybill's warehouse"
  vpc_id      = module.network.vpc_id

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_db_subnet_group" "this" {
  name       = var.name
  subnet_ids = module.network.private_subnet_ids
}

resource "aws_db_parameter_group" "this" {
  name   = "${var.name}-${var.database_version}"
  family = "postgres${var.database_version}"

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }
}

resource "aws_db_instance" "this" {
  # checkov:skip=CKV_AWS_118:enhanced monitoring costs more than it tells of a database of this size; performance insights are on
  # checkov:skip=CKV_AWS_157:one zone: the lake can rebuild every table, and events wait there meanwhile
  # checkov:skip=CKV_AWS_161:Waybill signs in with a password, from a secret
  # checkov:skip=CKV2_AWS_30:statements may hold what couriers wrote
  identifier     = var.name
  engine         = "postgres"
  engine_version = var.database_version
  instance_class = var.database_class

  # Grows by itself. What a million events take is in README.md.
  allocated_storage     = 20
  max_allocated_storage = var.database_storage_gb_max
  storage_type          = "gp3"
  storage_encrypted     = true
  kms_key_id            = module.waybill.key_arn

  db_name             = "waybill"
  username            = "waybill"
  password_wo         = var.database_password
  password_wo_version = var.secrets_version

  db_subnet_group_name   = aws_db_subnet_group.this.name
  parameter_group_name   = aws_db_parameter_group.this.name
  vpc_security_group_ids = [aws_security_group.database.id]
  publicly_accessible    = false

  auto_minor_version_upgrade      = true
  backup_retention_period         = 7
  copy_tags_to_snapshot           = true
  deletion_protection             = var.database_deletion_protection
  enabled_cloudwatch_logs_exports = ["postgresql", "upgrade"]
  performance_insights_enabled    = true
  performance_insights_kms_key_id = module.waybill.key_arn
  final_snapshot_identifier       = "${var.name}-last"
}
