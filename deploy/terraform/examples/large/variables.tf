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
  description = "Container image of Waybill by its digest."
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

variable "freshness_seconds" {
  description = "How old an event may be when it can be queried."
  type        = number
  default     = 60
}

variable "redshift_node_type" {
  description = "Node type of Redshift."
  type        = string
  default     = "ra3.xlplus"
}

variable "redshift_nodes" {
  description = "Nodes of Redshift."
  type        = number
  default     = 2
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
  description = "Key of AfterShip's REST API."
  type        = string
  ephemeral   = true
  sensitive   = true
  nullable    = false
}

variable "database_password" {
  description = "Password of Redshift: letters and digits only, since it becomes part of an address; one capital, one small letter and one digit at least."
  type        = string
  ephemeral   = true
  sensitive   = true
  nullable    = false

  validation {
    condition = alltrue([
      for form in ["^[A-Za-z0-9]{16,64}$", "[A-Z]", "[a-z]", "[0-9]"] : can(regex(form, var.database_password))
    ])
    error_message = "database_password must be 16 to 64 letters and digits, with a capital, a small letter and a digit among them."
  }
}
