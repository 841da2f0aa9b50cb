terraform {
  required_providers {
    cutover = { source = "cutover-dev/cutover" }
  }
}

variable "old" { type = string }
variable "new" { type = string }

provider "cutover" {
  hosts = {
    old = { address = var.old }
    new = { address = var.new }
  }
}

# The hand-run tunnel has port 8001.
resource "cutover_forwarding_tunnel" "forward" {
  name     = "forward"
  from     = "old"
  to       = "new"
  forwards = [{ listen_port = 8002, target_port = 80 }]
}

resource "cutover_forwarding_tunnel" "transparent" {
  name     = "transparent"
  mode     = "transparent"
  from     = "old"
  to       = "new"
  forwards = [{ listen_port = 8003, target_port = 80 }]
}

resource "cutover_forwarding_tunnel" "forward_from_new" {
  name          = "forward-from-new"
  initiate_from = "new"
  from          = "old"
  to            = "new"
  forwards      = [{ listen_port = 8004, target_port = 80 }]
}

resource "cutover_forwarding_tunnel" "transparent_from_new" {
  name          = "transparent-from-new"
  mode          = "transparent"
  initiate_from = "new"
  from          = "old"
  to            = "new"
  forwards      = [{ listen_port = 8005, target_port = 80 }]
}
