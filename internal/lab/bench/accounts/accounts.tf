terraform {
  required_providers {
    cutover = { source = "cutover-dev/cutover" }
  }
}

variable "address" { type = string }
variable "people" { type = map(map(string)) } # comment by name, by group

provider "cutover" {
  hosts = { new = { address = var.address } }
}

# For each instance of a resource, Terraform goes through all instances of that
# resource: what it takes grows with the square of their number, and is most of
# the time of a thousand. In groups it does not.
module "people" {
  source   = "./people"
  for_each = var.people

  people = each.value
}
