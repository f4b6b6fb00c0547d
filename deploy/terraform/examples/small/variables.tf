variable "region" {
  description = "AWS region, such as eu-central-1."
  type        = string
}

variable "name" {
  description = "Name of everything, and prefix of names."
  type        = string
  default     = "waybill"
}

variable "image" {
  description = "Container image of Waybill by its digest, with the CA file of RDS in it."
  type        = string
}

variable "image_repository_arn" {
  description = "ARN of the image's ECR repository; null for a public one."
  type        = string
  default     = null
}

variable "domain_name" {
  description = "Public host name of the webhook."
  type        = string
}

variable "certificate_arn" {
  description = "ACM certificate for the host name."
  type        = string
}

variable "poll_enabled" {
  description = "Ask AfterShip's REST API too."
  type        = bool
  default     = false
}

variable "alarm_emails" {
  description = "Addresses that get alarms."
  type        = list(string)
  default     = []
}

variable "runbook_url" {
  description = "Where your copy of docs/OPERATIONS.md can be read."
  type        = string
  default     = "docs/OPERATIONS.md"
}

variable "allowed_source_cidrs" {
  description = "Who may reach the webhook. With a list of your own add the NAT gateways' addresses (output nat_addresses), each with /32."
  type        = list(string)
  default     = ["0.0.0.0/0"]
}

variable "ops_security_group_ids" {
  description = "Security groups that may reach the operators' listener."
  type        = list(string)
  default     = []
}

variable "operator_arns" {
  description = "IAM principals that may take on the roles for dead letters, erasing and healing."
  type        = list(string)
  default     = []
}

variable "database_version" {
  description = "Major version of PostgreSQL. 15 is what Waybill is tested with."
  type        = string
  default     = "15"
}

variable "database_class" {
  description = "Instance class of PostgreSQL."
  type        = string
  default     = "db.t4g.small"
}

variable "database_storage_gb_max" {
  description = "How far the database's disk may grow, GB."
  type        = number
  default     = 200
}

variable "database_deletion_protection" {
  description = "Keep the database from being deleted."
  type        = bool
  default     = true
}

# --- secrets: from TF_VAR_… in the environment, never from a file -----------------------------------------------------
# Nothing keeps them, so every plan and apply wants them anew: README.md, step 4. There is no default, since one would
# become the password of whoever forgets.

variable "secrets_version" {
  description = "Raise it by one when a secret below is new: all of them are written then. Every plan and apply wants all of them, new or not."
  type        = number
  default     = 1
}

variable "webhook_secrets" {
  description = "AfterShip's webhook secrets, newest first, comma separated."
  type        = string
  ephemeral   = true
  sensitive   = true
  nullable    = false
}

variable "ops_token" {
  description = "Bearer token of console and admin API, 16 characters or more."
  type        = string
  ephemeral   = true
  sensitive   = true
  nullable    = false
}

variable "privacy_key" {
  description = "What pseudonyms are made with, 16 characters or more. Never changed: keep a copy in a safe."
  type        = string
  ephemeral   = true
  sensitive   = true
  nullable    = false
}

variable "aftership_api_key" {
  description = "Key of AfterShip's REST API, with `poll_enabled`."
  type        = string
  default     = null
  ephemeral   = true
  sensitive   = true
}

variable "database_password" {
  description = "Password of the database: letters and digits only, since it becomes part of an address."
  type        = string
  ephemeral   = true
  sensitive   = true
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9]{16,64}$", var.database_password))
    error_message = "database_password must be 16 to 64 letters and digits."
  }
}
