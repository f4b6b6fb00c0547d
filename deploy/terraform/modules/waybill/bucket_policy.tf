# What nobody may do to the buckets, whatever their own policies say.

locals {
  # Folders of the lake (src/lake/layout.rs) whose objects are written once and never again.
  written_once = ["manifests", "receipts", "receivers", "audit", "suppressed"]

  # The same, but that an erasure rewrites them in place.
  written_once_and_erased = ["events", "dead-letters"]

  lake_arn     = aws_s3_bucket.this["lake"].arn
  lake_objects = "${local.lake_arn}/${var.lake_prefix}"

  tls_only = {
    for name, bucket in aws_s3_bucket.this : name => [
      {
        Sid       = "OnlyWithTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [bucket.arn, "${bucket.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "OnlyWithTls12"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [bucket.arn, "${bucket.arn}/*"]
        Condition = { NumericLessThan = { "s3:TlsVersion" = "1.2" } }
      },
    ]
  }

  lake_only = concat(
    [
      {
        # A put without If-None-Match could replace what is there. The program never sends one here.
        Sid       = "WrittenOnce"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:PutObject"
        Resource  = [for folder in local.written_once : "${local.lake_objects}/${folder}/*"]
        Condition = { Null = { "s3:if-none-match" = "true" } }
      },
      {
        Sid       = "WrittenOnceButForErasing"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:PutObject"
        Resource  = [for folder in local.written_once_and_erased : "${local.lake_objects}/${folder}/*"]
        Condition = {
          Null         = { "s3:if-none-match" = "true" }
          ArnNotEquals = { "aws:PrincipalArn" = aws_iam_role.person["forget"].arn }
        }
      },
    ],
    # Lifecycle rules are not held up by this.
    [
      for statement in [{
        Sid       = "NobodyDeletes"
        Effect    = "Deny"
        Principal = "*"
        Action    = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
        Resource  = "${local.lake_arn}/*"
        Condition = {}
      }] : statement if var.lake_deletion_denied
    ],
  )

  bucket_statements = {
    for name, statements in local.tls_only : name => concat(
      statements, [for statement in local.lake_only : statement if name == "lake"],
    )
  }
}

resource "aws_s3_bucket_policy" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [for statement in local.bucket_statements[each.key] : { for key, value in statement : key => value if key != "Condition" || length(value) > 0 }]
  })

  # Its own change of policy would be refused by a public-access block that comes later.
  depends_on = [aws_s3_bucket_public_access_block.this]
}
