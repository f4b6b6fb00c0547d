# What is let go of by itself. By default nothing of the lake is: it can rebuild every table.

locals {
  # Folder of the lake, and after how many days its objects go. Without an entry they stay.
  lake_expiry_days = {
    for folder, days in {
      events       = var.retention_days.events
      manifests    = var.retention_days.events
      dead-letters = var.retention_days.dead_letters
      receipts     = var.retention_days.receipts
      receivers    = var.retention_days.receipts
    } : folder => days if days != null
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "lake" {
  bucket = aws_s3_bucket.this["lake"].id

  # An erasure, or a poll's state, leaves the version before it, which holds what was erased.
  rule {
    id     = "versions-before"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.retention_days.noncurrent
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  dynamic "rule" {
    for_each = var.events_infrequent_after_days == null ? {} : { events = var.events_infrequent_after_days }

    content {
      id     = "${rule.key}-infrequent"
      status = "Enabled"

      filter {
        prefix = "${var.lake_prefix}/${rule.key}/"
      }

      # Never an archive that has to be restored first: the program takes such an object for gone.
      transition {
        days          = rule.value
        storage_class = "STANDARD_IA"
      }
    }
  }

  dynamic "rule" {
    for_each = local.lake_expiry_days

    content {
      id     = "${rule.key}-expire"
      status = "Enabled"

      filter {
        prefix = "${var.lake_prefix}/${rule.key}/"
      }

      expiration {
        days = rule.value
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_s3_bucket_lifecycle_configuration" "retail" {
  count = var.retail_enabled ? 1 : 0

  bucket = aws_s3_bucket.this["retail"].id

  rule {
    id     = "versions-before"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.retention_days.noncurrent
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

# Rows that a load could not remove, since it was ended.
resource "aws_s3_bucket_lifecycle_configuration" "staging" {
  count = local.is_redshift ? 1 : 0

  bucket = aws_s3_bucket.this["staging"].id

  rule {
    id     = "left-over"
    status = "Enabled"

    filter {}

    expiration {
      days = 1
    }

    noncurrent_version_expiration {
      noncurrent_days = 1
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}
