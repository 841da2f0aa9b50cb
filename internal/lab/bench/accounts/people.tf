terraform {
  required_providers {
    cutover = { source = "cutover-dev/cutover" }
  }
}

variable "people" { type = map(string) } # comment by name

resource "cutover_host_user" "people" {
  for_each = var.people

  host                   = "new"
  name                   = each.key
  gecos                  = each.value
  shell                  = "/bin/bash"
  on_destroy             = "remove"
  remove_home_on_destroy = true
}

# One thing that waits for all accounts and that all skeletons wait for: where
# each skeleton waits for each account, Terraform spends minutes on a graph of a
# million edges.
resource "terraform_data" "accounts" {
  depends_on = [cutover_host_user.people]
}

resource "cutover_home_skeleton" "homes" {
  for_each = var.people

  host        = "new"
  user        = each.key
  directories = { mail = { mode = "0700" } }

  depends_on = [terraform_data.accounts]
}
