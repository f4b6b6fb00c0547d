# Roles that people take on, with a second factor and for an hour: to bring dead letters back, to erase
# somebody, and for `waybill reconcile --heal`. Commands that need the warehouse are run from inside the VPC.
# Also the role that Redshift itself reads the staging bucket with.

locals {
  people = ["dead-letters", "forget", "heal"]
}

resource "aws_iam_role" "person" {
  for_each = toset(local.people)

  name                 = "${var.name}-${each.key}"
  max_session_duration = 3600

  # Without anybody in `operator_arns` the role is there (the bucket's policy names it) and nobody can take it on.
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = length(var.operator_arns) == 0 ? "Deny" : "Allow"
      Principal = { AWS = length(var.operator_arns) == 0 ? ["arn:${local.partition}:iam::${local.account}:root"] : var.operator_arns }
      Action    = "sts:AssumeRole"
      Condition = { Bool = { "aws:MultiFactorAuthPresent" = "true" } }
    }]
  })
}

resource "aws_iam_role_policy" "person" {
  for_each = aws_iam_role.person

  name = "waybill"
  role = each.value.id

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [for statement in local.statements[each.key] : { for key, value in statement : key => value if key != "Condition" || length(value) > 0 }]
  })
}

resource "aws_iam_role" "redshift" {
  count = local.is_redshift ? 1 : 0

  name = "${var.name}-redshift-copy"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "redshift.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_iam_role_policy" "redshift" {
  count = local.is_redshift ? 1 : 0

  name = "copy"
  role = aws_iam_role.redshift[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "StagingGet"
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = ["${aws_s3_bucket.this["staging"].arn}/staging/*"]
      },
      {
        Sid       = "StagingList"
        Effect    = "Allow"
        Action    = ["s3:ListBucket"]
        Resource  = [aws_s3_bucket.this["staging"].arn]
        Condition = { StringLike = { "s3:prefix" = ["staging/*"] } }
      },
      {
        Sid       = "KeyOfBuckets"
        Effect    = "Allow"
        Action    = ["kms:Decrypt"]
        Resource  = [aws_kms_key.this.arn]
        Condition = { StringEquals = { "kms:ViaService" = ["s3.${local.region}.amazonaws.com"] } }
      },
    ]
  })
}
