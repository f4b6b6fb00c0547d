# 1.11: values of secrets are written without being kept in the state (write-only arguments).
# 6.20: queues take messages of 1 MiB (`max_message_size`).
terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.20, < 7.0"
    }
  }
}
