# Secrets, and who may read which. Their values are never in a plan or in the state: they come by `secret_values`, which
# is written and not kept, or by `aws secretsmanager put-secret-value`.
#
# A process gets them as environment variables when it starts, so a new value counts after a new deployment; README.md,
# "Rotate a secret". On Linux other processes of the same user cannot read the environment of ours.

resource "aws_secretsmanager_secret" "this" {
  # checkov:skip=CKV2_AWS_57:both sides of each secret have to change together (AfterShip's settings, the database), which a rotation function of AWS cannot do
  for_each = local.secret_settings

  name                    = "${var.name}/${each.key}"
  description             = "Waybill: ${each.value}"
  kms_key_id              = aws_kms_key.this.arn
  recovery_window_in_days = 7
}

resource "aws_secretsmanager_secret_version" "this" {
  for_each = var.secret_values_version == 0 ? {} : aws_secretsmanager_secret.this

  secret_id                = each.value.id
  secret_string_wo         = lookup(var.secret_values, each.key, null)
  secret_string_wo_version = var.secret_values_version
}

# What ECS itself does before the program begins: fetch the image, the secrets of this one process, and open its log.
resource "aws_iam_role" "start" {
  for_each = toset(local.processes)

  name = "${var.name}-${each.key}-start"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:ecs:${local.region}:${local.account}:*" }
      }
    }]
  })
}

resource "aws_iam_role_policy" "start" {
  for_each = aws_iam_role.start

  name = "start"
  role = each.value.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      for statement in [
        {
          Sid       = "Secrets"
          Effect    = "Allow"
          Action    = ["secretsmanager:GetSecretValue"]
          Resource  = [for name in local.secrets[each.key] : aws_secretsmanager_secret.this[name].arn]
          Condition = {}
        },
        {
          Sid       = "KeyOfSecrets"
          Effect    = "Allow"
          Action    = ["kms:Decrypt"]
          Resource  = [aws_kms_key.this.arn]
          Condition = { StringEquals = { "kms:ViaService" = ["secretsmanager.${local.region}.amazonaws.com"] } }
        },
        {
          Sid       = "Log"
          Effect    = "Allow"
          Action    = ["logs:CreateLogStream", "logs:PutLogEvents"]
          Resource  = ["${aws_cloudwatch_log_group.process[each.key].arn}:*"]
          Condition = {}
        },
        {
          # AWS knows no narrower resource for it.
          Sid       = "Registry"
          Effect    = "Allow"
          Action    = ["ecr:GetAuthorizationToken"]
          Resource  = var.image_repository_arn == null ? [] : ["*"]
          Condition = {}
        },
        {
          Sid       = "Image"
          Effect    = "Allow"
          Action    = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
          Resource  = [for arn in [var.image_repository_arn] : arn if arn != null]
          Condition = {}
        },
      ] : { for key, value in statement : key => value if key != "Condition" || length(value) > 0 } if length(statement.Resource) > 0
    ]
  })
}
