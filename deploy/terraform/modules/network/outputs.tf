output "vpc_id" {
  description = "Id of the VPC."
  value       = aws_vpc.this.id
}

output "public_subnet_ids" {
  description = "Subnets with a way in from the internet, for the load balancer."
  value       = aws_subnet.public[*].id
}

output "private_subnet_ids" {
  description = "Subnets with a way out only, for processes and database."
  value       = aws_subnet.private[*].id
}

output "nat_addresses" {
  description = "Where the processes come from, seen from outside. Allow them at the public door if you allow some only: the canary comes from there."
  value       = aws_eip.nat[*].public_ip
}
