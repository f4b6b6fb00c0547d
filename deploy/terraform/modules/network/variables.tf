variable "name" {
  description = "Name of the VPC, and prefix of names in it."
  type        = string
}

variable "cidr" {
  description = "Addresses of the VPC, a /16; each subnet gets a /20 of it."
  type        = string
  default     = "10.64.0.0/16"
}

variable "zones" {
  description = "Availability zones by their names: two at least, which the load balancer asks for. Add at the end only, or subnets change places."
  type        = list(string)

  validation {
    condition     = length(var.zones) >= 2 && length(var.zones) <= 4
    error_message = "zones must be 2 to 4 names."
  }
}

variable "nat_gateways" {
  description = "One for all zones is cheaper; one for each goes on when a zone fails."
  type        = number
  default     = 1

  validation {
    condition     = var.nat_gateways >= 1
    error_message = "The processes need a way to AfterShip's API, to the registry and to their own public door."
  }
}

variable "interface_endpoints" {
  description = "AWS services that are reached without the NAT gateway, such as sqs, logs and secretsmanager. Each costs by the hour and the zone, and saves the gateway's price for each GB: worth it from some hundred events a second on."
  type        = list(string)
  default     = []
}
