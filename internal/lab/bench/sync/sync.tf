terraform {
  required_providers {
    cutover = { source = "cutover-dev/cutover" }
  }
}

variable "old" { type = string } # address
variable "new" { type = string }
variable "path" { type = string }
variable "target" { type = string }
variable "final" { type = bool }
variable "turn" { type = string } # another one runs the pass again

provider "cutover" {
  hosts = {
    old = { address = var.old }
    new = { address = var.new }
  }
}

resource "cutover_sync_pass" "pass" {
  from     = "old"
  to       = "new"
  paths    = [var.path]
  targets  = { (var.path) = var.target }
  final    = var.final
  triggers = { turn = var.turn }
}
