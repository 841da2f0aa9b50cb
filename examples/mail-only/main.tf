# Moves the mail of a server, and leaves its sites where they are: the worked example
# (../cutover) without its sites, and with passes over mail alone.
#
#   terraform apply -var phase=prepare     accounts, mailboxes, a first pass
#   terraform apply -var phase=cutover     the night itself
#   terraform apply -var phase=retire      once the MX records have moved
#
# Going back a phase is a rollback: mail that has come in comes back.

terraform {
  required_providers {
    cutover = {
      source = "cutover-dev/cutover"
    }
  }
}

provider "cutover" {
  hosts = {
    old = { address = var.old }
    new = { address = var.new }
  }
  force_destroy = var.phase != "retire"
}

variable "old" { type = string }
variable "new" { type = string }

variable "phase" {
  type    = string
  default = "prepare"
  validation {
    condition     = contains(["prepare", "cutover", "retire"], var.phase)
    error_message = "The phase is one of prepare, cutover, retire."
  }
}

variable "staying" {
  description = "Accounts that do not move."
  type        = list(string)
  default     = []
}

variable "domains" {
  description = "Mail domains whose MX records must have moved before the tunnel is retired."
  type        = list(string)
  default     = []
}

variable "former_addresses" {
  description = "Addresses of the old machine in DNS."
  type        = list(string)
  default     = []
}

variable "old_services" {
  type    = set(string)
  default = ["dovecot", "sendmail"]
}

variable "new_services" {
  type    = set(string)
  default = ["dovecot", "postfix"]
}

locals {
  live     = var.phase != "prepare"
  way_back = var.phase != "retire"
  ports    = [25, 110, 143, 587]

  # Of /home, each user's ~/mail alone; of /var/mail, the spools. As rsync reads it.
  paths    = ["/home", "/var/mail"]
  excludes = concat([for name in var.staying : "/${name}"], ["+ /*/", "+ /*/mail/***", "/*/*"])
}

data "cutover_host_users" "old" {
  host = "old"
}

resource "cutover_host_user" "people" {
  for_each = { for name, user in data.cutover_host_users.old.users : name => user if length(user.problems) == 0 && !contains(var.staying, name) }

  host          = "new"
  name          = each.key
  groups        = each.value.groups
  gecos         = each.value.gecos
  home          = each.value.home
  shell         = each.value.shell
  password_from = "old"
}

data "cutover_mail" "old" {
  host = "old"
}

resource "cutover_maildir" "mail" {
  host   = "new"
  path   = data.cutover_mail.old.path
  layout = data.cutover_mail.old.layout
  users  = [for user in cutover_host_user.people : user.name]

  lifecycle {
    precondition {
      condition     = length(data.cutover_mail.old.problems) == 0
      error_message = join("\n", data.cutover_mail.old.problems)
    }
  }
}

resource "cutover_sync_pass" "first" {
  from     = "old"
  to       = "new"
  paths    = local.paths
  excludes = local.excludes

  depends_on = [cutover_maildir.mail]
}

resource "cutover_connection_hold" "ports" {
  count = var.phase == "cutover" ? 1 : 0
  host  = "old"
  ports = local.ports

  depends_on = [cutover_sync_pass.first]
}

resource "cutover_service" "old" {
  for_each = local.live ? var.old_services : []

  host       = "old"
  name       = each.key
  running    = false
  enabled    = false
  on_destroy = local.way_back ? "restore" : "leave"

  depends_on = [cutover_connection_hold.ports]
}

# On the way back: what the new mail server has accepted and could not deliver.
resource "cutover_mail_queue_move" "back" {
  count = local.live ? 1 : 0
  from  = "new"
  to    = "old"
  when  = local.way_back ? "destroy" : "never"
}

resource "cutover_sync_pass" "final" {
  count      = local.live ? 1 : 0
  from       = "old"
  to         = "new"
  paths      = local.paths
  excludes   = local.excludes
  final      = true
  on_destroy = local.way_back ? "bring_back" : "forget"

  depends_on = [cutover_service.old, cutover_mail_queue_move.back]
}

resource "cutover_service" "new" {
  for_each = local.live ? var.new_services : []

  host       = "new"
  name       = each.key
  running    = true
  enabled    = true
  on_destroy = local.way_back ? "stop" : "leave"

  depends_on = [cutover_sync_pass.final]
}

resource "cutover_forwarding_tunnel" "relay" {
  count        = var.phase == "cutover" ? 1 : 0
  from         = "old"
  to           = "new"
  ports        = local.ports
  release_hold = one(cutover_connection_hold.ports[*].id)
  retire_when = length(var.domains) == 0 ? null : {
    domains          = var.domains
    former_addresses = var.former_addresses
  }

  depends_on = [cutover_service.new]
}
