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
    new = { address = var.new, retired = var.new_is_lost }
  }

  # The names decide when the tunnel is retired. Who goes back does not wait for them.
  force_destroy = var.phase != "retire"
}

variable "phase" {
  description = "How far to go: prepare, rehearse, cutover or retire."
  type        = string
  default     = "prepare"

  validation {
    condition     = contains(["prepare", "rehearse", "cutover", "retire"], var.phase)
    error_message = "The phase is one of prepare, rehearse, cutover, retire."
  }
}

locals {
  phases = ["prepare", "rehearse", "cutover", "retire"]
  # The phases up to the wanted one.
  reached = { for position, phase in local.phases : phase => position <= index(local.phases, var.phase) }
  # Once the tunnel is retired, nothing goes back: a destroy stops no service and copies no file.
  way_back = var.phase != "retire"
  # Below each of the paths, as rsync reads it.
  excludes = [for name in var.staying : "/${name}"]
  # The sites that can be moved as they are. Lines in the server's own language (extra) need a server of the same kind.
  sites = {
    for key, site in data.cutover_vhosts.old.sites : key => site
    if length(site.problems) == 0 && (site.extra == null || data.cutover_vhosts.old.server == var.web_server)
  }
  sites_left = {
    for key, site in data.cutover_vhosts.old.sites : key => site.problems if !contains(keys(local.sites), key)
  }
}

variable "old" {
  description = "Address of the old machine, or its alias in ~/.ssh/config."
  type        = string
}

variable "new" {
  description = "Address of the new machine."
  type        = string
}

variable "new_is_lost" {
  description = "The new machine is gone or out of reach, and terraform destroy goes back without it: what it has received stays there."
  type        = bool
  default     = false
}

variable "site" {
  description = "A site that the new machine must serve before the cutover."
  type        = string
}

variable "web_server" {
  description = "Web server of the new machine: apache or nginx."
  type        = string
  default     = "apache"
}

variable "minor" {
  description = "How many entries may have changed since the warm pass, for the night to be short."
  type        = number
  default     = 10000
}

variable "paths" {
  description = "What moves."
  type        = list(string)
  default     = ["/home", "/var/mail"]
}

variable "staying" {
  description = "Accounts that do not move, with their homes and mail: those of the administrators, say."
  type        = list(string)
  default     = []
}

variable "ports" {
  description = "Ports that are relayed, by protocol."
  type        = map(number)
  default     = { smtp = 25, http = 80, pop3 = 110, imap = 143, submission = 587 }
}

variable "old_services" {
  description = "Services to stop on the old machine."
  type        = set(string)
  default     = ["apache2", "dovecot", "sendmail"]
}

variable "new_services" {
  description = "Services to start on the new machine."
  type        = set(string)
  default     = ["apache2", "dovecot", "postfix"]
}

variable "domains" {
  description = "Names that must have moved before the tunnel is retired; none: it goes when you say so."
  type        = list(string)
  default     = []
}

variable "former_addresses" {
  description = "Addresses of the old machine in DNS."
  type        = list(string)
  default     = []
}

variable "idle_for" {
  description = "How long nobody must have come through the tunnel before it is retired."
  type        = string
  default     = "24h"
}
