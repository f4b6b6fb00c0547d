# The buckets: the lake, the shop's files, and what waits for Redshift's COPY. One hardening for all.

locals {
  bucket_suffix = "${local.account}-${local.region}"

  buckets = merge(
    { lake = "${var.name}-lake-${local.bucket_suffix}" },
    var.retail_enabled ? { retail = "${var.name}-retail-${local.bucket_suffix}" } : {},
    local.is_redshift ? { staging = "${var.name}-staging-${local.bucket_suffix}" } : {},
  )
}

resource "aws_s3_bucket" "this" {
  # checkov:skip=CKV_AWS_18:who reads and writes is recorded by CloudTrail's data events, which belong to the account; access logs would copy keys into another bucket
  # checkov:skip=CKV_AWS_144:a copy in another region doubles the price of everything kept, and copies personal data; take it up when one region is not enough
  # checkov:skip=CKV2_AWS_62:the loader lists manifests; nobody waits for notifications
  # checkov:skip=CKV2_AWS_61:each has one in bucket_lifecycle.tf, which checkov does not follow through for_each
  for_each = local.buckets

  bucket        = each.value
  force_destroy = false
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each = aws_s3_bucket.this

  bucket                  = each.value.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_versioning" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  rule {
    # One key for many objects, or KMS is asked, and paid, for each of them.
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.this.arn
    }
  }
}
