# The warehouse.

locals {
  # Redshift's certificate is one of ACM's, whose root is among those that the image holds.
  warehouse_url = "redshift://${aws_redshift_cluster.this.master_username}:${var.database_password}@${aws_redshift_cluster.this.dns_name}:5439/${aws_redshift_cluster.this.database_name}?sslmode=verify-full&sslrootcert=system"
}

resource "aws_security_group" "warehouse" {
  name_prefix = "${var.name}-warehouse-"
  description = "Waybill's warehouse"
  vpc_id      = module.network.vpc_id

  lifecycle {
    create_before_destroy = true
  }
}

# COPY reads the staging bucket from inside the VPC, by its gateway endpoint.
resource "aws_vpc_security_group_egress_rule" "warehouse" {
  security_group_id = aws_security_group.warehouse.id
  description       = "S3, for COPY"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_redshift_subnet_group" "this" {
  name       = var.name
  subnet_ids = module.network.private_subnet_ids
}

resource "aws_redshift_parameter_group" "this" {
  name   = var.name
  family = "redshift-2.0"

  parameter {
    name  = "require_ssl"
    value = "true"
  }
}

resource "aws_redshift_cluster" "this" {
  # checkov:skip=CKV_AWS_71:its log of statements would hold what couriers wrote
  cluster_identifier = var.name
  node_type          = var.redshift_node_type
  number_of_nodes    = var.redshift_nodes
  cluster_type       = var.redshift_nodes > 1 ? "multi-node" : "single-node"

  database_name              = "waybill"
  master_username            = "waybill"
  master_password_wo         = var.database_password
  master_password_wo_version = var.secrets_version

  cluster_subnet_group_name    = aws_redshift_subnet_group.this.name
  cluster_parameter_group_name = aws_redshift_parameter_group.this.name
  vpc_security_group_ids       = [aws_security_group.warehouse.id]
  publicly_accessible          = false
  enhanced_vpc_routing         = true

  encrypted  = true
  kms_key_id = module.waybill.key_arn
  iam_roles  = [module.waybill.redshift_role_arn]

  automated_snapshot_retention_period = 7
  allow_version_upgrade               = true
  skip_final_snapshot                 = false
  final_snapshot_identifier           = "${var.name}-last"
}
