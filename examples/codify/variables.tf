terraform {
  required_providers {
    cutover = {
      source = "cutover-dev/cutover"
    }
  }
}

provider "cutover" {
  hosts = {
    old = { address = var.old } # ~/.ssh/config, agent and known_hosts apply
    new = { address = var.new }
  }
}

variable "old" {
  description = "Address of the old machine, or its alias in ~/.ssh/config."
  type        = string
}

variable "new" {
  description = "Address of the new machine, or its alias in ~/.ssh/config."
  type        = string
}

variable "staying" {
  description = "Accounts of the old machine that the new one has of its own, such as its admins."
  type        = list(string)
  default     = []
}

variable "renumbered" {
  description = "Groups of the old machine whose numbers belong to other groups on the new one, and which may have any number there."
  type        = list(string)
  default     = []
}
