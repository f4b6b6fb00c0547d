# --- what has to be said ----------------------------------------------------------------------------------------------

variable "image" {
  description = "Container image of Waybill, by its digest (…@sha256:…). It must hold the database's CA file that the warehouse's address names."
  type        = string
}

variable "vpc_id" {
  description = "VPC that everything runs in."
  type        = string
}

variable "public_subnet_ids" {
  description = "Subnets of the load balancer: two at least, in different availability zones."
  type        = list(string)

  validation {
    condition     = length(var.public_subnet_ids) >= 2
    error_message = "A load balancer needs subnets in two availability zones."
  }
}

variable "private_subnet_ids" {
  description = "Subnets of the processes. They need a way to AWS (NAT or endpoints), and to AfterShip's API when `poll_enabled`."
  type        = list(string)
}

variable "domain_name" {
  description = "Public host name of the webhook, such as hooks.example.com."
  type        = string
}

variable "certificate_arn" {
  description = "ACM certificate for `domain_name`, in the same region."
  type        = string
}

variable "warehouse_security_group_id" {
  description = "Security group of the database; it gets a rule that lets the processes in."
  type        = string
}

# --- what runs --------------------------------------------------------------------------------------------------------

variable "name" {
  description = "Name of everything, and prefix of names. 2 to 20 small letters, digits and hyphens: bucket names are made of it."
  type        = string
  default     = "waybill"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", var.name))
    error_message = "name must be 2 to 20 small letters, digits and hyphens, beginning with a letter."
  }
}

variable "layout" {
  description = "`one`: all movers in one task (`waybill up`). `apart`: receive, batch, load and poll as services of their own."
  type        = string
  default     = "one"

  validation {
    condition     = contains(["one", "apart"], var.layout)
    error_message = "layout must be one or apart."
  }
}

variable "warehouse_kind" {
  description = "`postgres` or `redshift`. DuckDB needs a local disk that outlives the process, which Fargate does not have."
  type        = string
  default     = "postgres"

  validation {
    condition     = contains(["postgres", "redshift"], var.warehouse_kind)
    error_message = "warehouse_kind must be postgres or redshift."
  }
}

variable "poll_enabled" {
  description = "Ask AfterShip's REST API too; needs the secret aftership-api-key."
  type        = bool
  default     = false
}

variable "canary_enabled" {
  description = "Post a signed canary at the public door each minute and look for it in the facts. With `allowed_source_cidrs` set, the addresses of your NAT gateways have to be among them."
  type        = bool
  default     = true
}

variable "retail_enabled" {
  description = "Make a bucket for the shop's own files, and load them."
  type        = bool
  default     = true
}

variable "reconcile_schedule" {
  description = "When `waybill reconcile` runs, as a schedule expression of EventBridge; null: never. It looks back three hours."
  type        = string
  default     = "rate(1 hour)"
}

# --- settings of the program ------------------------------------------------------------------------------------------

variable "freshness_seconds" {
  description = "WAYBILL_FRESHNESS: how old an event may be when it can be queried. From 600 on events go in bursts, which costs fewer requests."
  type        = number
  default     = 60

  validation {
    condition     = var.freshness_seconds >= 10 && var.freshness_seconds <= 86400
    error_message = "freshness_seconds must be from 10 to 86400."
  }
}

variable "signature_products" {
  description = "WAYBILL_SIGNATURE_PRODUCTS: which AfterShip products' signature headers count."
  type        = list(string)
  default     = ["tracking"]
}

variable "privacy" {
  description = "WAYBILL_PRIVACY: what is done to personal data before it lands: keep, hash or drop."
  type        = string
  default     = "keep"
}

variable "business_time_zone" {
  description = "WAYBILL_BUSINESS_TIME_ZONE: zone of the shop's clock, such as Europe/Berlin; null: the one that the warehouse has."
  type        = string
  default     = null
}

variable "environment" {
  description = "Further settings for all processes, by their names (WAYBILL_…; docs/reference/settings.md). Not for secrets."
  type        = map(string)
  default     = {}
}

variable "lake_prefix" {
  description = "Prefix of all keys in the lake's bucket."
  type        = string
  default     = "waybill"

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9/_-]*[A-Za-z0-9]$", var.lake_prefix))
    error_message = "lake_prefix must be letters, digits, hyphens and slashes, with a letter or digit at both ends."
  }
}

# --- secrets ----------------------------------------------------------------------------------------------------------

variable "secret_values" {
  description = "Values by secret: webhook-secrets, ops-token, warehouse (the database's address with its password), privacy-key, and aftership-api-key with `poll_enabled`. Ephemeral: in no plan and no state, so every plan and apply wants all of them, unless `secret_values_version` is 0."
  type        = map(string)
  default     = {}
  ephemeral   = true

  # The provider takes no version of a value without the value, and says so in words that nobody would understand here.
  validation {
    condition = var.secret_values_version == 0 || alltrue([
      for name in keys(local.secret_settings) : try(length(var.secret_values[name]) > 0, false)
    ])
    error_message = "secret_values must hold ${join(", ", keys(local.secret_settings))}, each not empty, for every plan and apply: they are in no state. Set TF_VAR_aftership_api_key too with poll_enabled, or set secret_values_version to 0 and put the values by hand."
  }
}

variable "secret_values_version" {
  description = "Raise it by one to write `secret_values`. While it stays they are wanted all the same, and written only where a version is gone from Secrets Manager, as it is after rotations by hand: so give those that count. 0: all values are put by hand (`aws secretsmanager put-secret-value`)."
  type        = number
  default     = 0
}

# --- sizes ------------------------------------------------------------------------------------------------------------

variable "cpu_architecture" {
  description = "X86_64, which is what is tested; or ARM64, with an image for it."
  type        = string
  default     = "X86_64"
}

variable "sizes" {
  description = "CPU units (1024 are one vCPU) and memory of each process, in the pairs that Fargate has. `receive` and `batch` were measured at 40 and 42 MiB on one core; the rest is estimated."
  type = map(object({
    cpu        = number
    memory_mib = number
  }))
  default = {
    up        = { cpu = 1024, memory_mib = 2048 }
    receive   = { cpu = 512, memory_mib = 1024 }
    batch     = { cpu = 512, memory_mib = 1024 }
    load      = { cpu = 1024, memory_mib = 2048 }
    poll      = { cpu = 256, memory_mib = 512 }
    reconcile = { cpu = 512, memory_mib = 2048 }
  }
}

variable "receive_tasks" {
  description = "How many receivers there are at least and at most. Two, so that a zone may fail."
  type        = object({ min = number, max = number })
  default     = { min = 2, max = 10 }
}

variable "batch_tasks" {
  description = "How many batchers there are at least and at most. Each holds up to 20,000 messages (60,000 in bursts), and SQS hands out 120,000."
  type        = object({ min = number, max = number })
  default     = { min = 1, max = 5 }

  validation {
    condition     = var.batch_tasks.max * (var.freshness_seconds >= 600 ? 60000 : 20000) <= 120000
    error_message = "SQS hands out 120,000 messages at once: six batchers at most, two when events go in bursts (freshness_seconds from 600 on)."
  }
}

variable "requests_per_receiver" {
  description = "Requests a second that a receiver should get, before another one is added. On half a vCPU an estimate: one core of the bench took 11,500 with an SQS that answers in 10 ms."
  type        = number
  default     = 1000
}

variable "messages_per_batcher" {
  description = "Waiting messages for each batcher, before another one is added. One core of the bench landed 7,100 a second."
  type        = number
  default     = 50000
}

# --- who may come in --------------------------------------------------------------------------------------------------

variable "allowed_source_cidrs" {
  description = "Who may reach the webhook. AfterShip's own addresses, if you want a second fence: see README.md, and take the list from AfterShip, since it changes."
  type        = list(string)
  default     = ["0.0.0.0/0"]
}

variable "ops_security_group_ids" {
  description = "Security groups that may reach the operators' listener (8081) of all processes: Prometheus, a bastion."
  type        = list(string)
  default     = []
}

variable "operator_arns" {
  description = "IAM principals that may take on the roles for dead letters, erasing and healing, with a second factor."
  type        = list(string)
  default     = []
}

variable "image_repository_arn" {
  description = "ARN of the ECR repository of `image`; null for a public one."
  type        = string
  default     = null
}

# --- what is kept, and for how long -----------------------------------------------------------------------------------

variable "retention_days" {
  description = "Days until something is let go of; null: never. `events` after loading only: a table cannot be rebuilt from what is gone. `receipts` at most as long as `dead_letters` and `events`, or `reconcile` misses what is gone. `noncurrent`: versions before an erasure."
  type = object({
    events       = optional(number)
    dead_letters = optional(number)
    receipts     = optional(number)
    noncurrent   = optional(number, 30)
    access_logs  = optional(number, 90)
    logs         = optional(number, 30)
  })
  default = {}

  validation {
    condition = alltrue([
      for days in [var.retention_days.events, var.retention_days.dead_letters] :
      days == null ? true : (var.retention_days.receipts == null ? false : var.retention_days.receipts <= days)
    ])
    error_message = "receipts must not be kept for longer than events and dead_letters: set retention_days.receipts to the lesser of the two."
  }
}

variable "events_infrequent_after_days" {
  description = "Days after which events move to the class for infrequent access; null: never. Objects under 128 KB stay where they are, by S3's own default."
  type        = number
  default     = null
}

variable "lake_deletion_denied" {
  description = "Deny every deletion in the lake's bucket, to everybody. Turn it off only to take everything down."
  type        = bool
  default     = true
}

variable "deletion_protection" {
  description = "Keep the load balancer from being deleted."
  type        = bool
  default     = true
}

# --- alarms -----------------------------------------------------------------------------------------------------------

variable "alarm_emails" {
  description = "Addresses that get every alarm. For more, subscribe to the topics in `alarm_topic_arns`."
  type        = list(string)
  default     = []
}

variable "queue_depth_alarm" {
  description = "Waiting messages that make a ticket. In bursts (`freshness_seconds` from 600 on) five sixths of it are normal: set it above what comes in that time."
  type        = number
  default     = 500000
}

variable "refusals_alarm" {
  description = "Refused requests in five minutes that count as many, for half an hour."
  type        = number
  default     = 50
}

variable "runbook_url" {
  description = "Where your copy of docs/OPERATIONS.md can be read; the alarms link into it."
  type        = string
  default     = "docs/OPERATIONS.md"
}

variable "health_command" {
  description = "What ECS runs in a container to ask whether the process turns."
  type        = list(string)
  default     = ["CMD", "/opt/waybill/waybill", "health"]
}
