# Moves the sites of a server, and leaves its mail where it is: the worked example
# (../cutover) without its mail, and with a pass over the sites' files.
#
#   terraform apply -var phase=prepare     accounts, a first pass, sites
#   terraform apply -var phase=cutover     the night itself
#   terraform apply -var phase=retire      once the names have moved
#
# Going back a phase is a rollback: uploads come back.

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

variable "former_addresses" {
  description = "Addresses of the old machine in DNS; none: the tunnel is retired when you say so."
  type        = list(string)
  default     = []
}

variable "ports" {
  type    = list(number)
  default = [80, 443]
}

variable "web_server" {
  description = "Service of the web server on both machines. Lines in its own language can only move to one of the same kind."
  type        = string
  default     = "apache2"
}

locals {
  live     = var.phase != "prepare"
  way_back = var.phase != "retire"
  sites    = { for key, site in data.cutover_vhosts.old.sites : key => site if length(site.problems) == 0 }

  # Homes without mail, and what lies outside of them; "/etc/letsencrypt" = [] where there is one.
  # What is left out is written as rsync reads it.
  paths = {
    "/home"    = concat([for name in var.staying : "/${name}"], ["/*/mail", "/*/Maildir"])
    "/var/www" = []
  }
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

resource "cutover_sync_pass" "first" {
  for_each = local.paths

  from     = "old"
  to       = "new"
  paths    = [each.key]
  excludes = each.value

  depends_on = [cutover_host_user.people]
}

data "cutover_vhosts" "old" {
  host = "old"
}

resource "cutover_vhost" "sites" {
  for_each = local.sites

  host              = "new"
  server            = data.cutover_vhosts.old.server
  name              = each.value.name
  priority          = each.value.priority
  server_name       = each.value.server_name
  aliases           = each.value.aliases
  default_server    = each.value.default_server
  ports             = each.value.ports
  tls_ports         = each.value.tls_ports
  document_root     = each.value.document_root
  certificate       = each.value.certificate
  certificate_key   = each.value.certificate_key
  php_fpm_socket    = each.value.php_fpm_socket
  redirect_to_https = each.value.redirect_to_https
  extra             = each.value.extra
  adopt             = true

  depends_on = [cutover_sync_pass.first]
}

# Each site, asked of the new machine before any name points there.
data "cutover_service_check" "sites" {
  for_each = var.phase == "prepare" ? { for key, site in local.sites : key => site.server_name if site.server_name != null } : {}

  address     = var.new
  port        = 80
  protocol    = "http"
  server_name = each.value
  timeout     = "5s"
  fail        = false

  depends_on = [cutover_vhost.sites]
}

check "sites" {
  assert {
    condition     = alltrue([for answer in data.cutover_service_check.sites : answer.ok])
    error_message = "Not ready for the cutover:\n${join("\n", [for answer in data.cutover_service_check.sites : "- ${answer.error}" if !answer.ok])}"
  }
}

resource "cutover_connection_hold" "ports" {
  count = var.phase == "cutover" ? 1 : 0
  host  = "old"
  ports = var.ports

  depends_on = [cutover_sync_pass.first]
}

resource "cutover_service" "old" {
  count = local.live ? 1 : 0

  host       = "old"
  name       = var.web_server
  running    = false
  enabled    = false
  on_destroy = local.way_back ? "restore" : "leave"

  depends_on = [cutover_connection_hold.ports]
}

resource "cutover_sync_pass" "final" {
  for_each = local.live ? local.paths : {}

  from       = "old"
  to         = "new"
  paths      = [each.key]
  excludes   = each.value
  final      = true
  on_destroy = local.way_back ? "bring_back" : "forget"

  depends_on = [cutover_service.old]
}

resource "cutover_service" "new" {
  count = local.live ? 1 : 0

  host       = "new"
  name       = var.web_server
  running    = true
  enabled    = true
  on_destroy = local.way_back ? "stop" : "leave"

  depends_on = [cutover_sync_pass.final, cutover_vhost.sites]
}

resource "cutover_forwarding_tunnel" "relay" {
  count        = var.phase == "cutover" ? 1 : 0
  from         = "old"
  to           = "new"
  ports        = var.ports
  release_hold = one(cutover_connection_hold.ports[*].id)
  retire_when = length(var.former_addresses) == 0 ? null : {
    domains          = distinct(compact([for site in local.sites : site.server_name]))
    former_addresses = var.former_addresses
  }

  depends_on = [cutover_service.new]
}
