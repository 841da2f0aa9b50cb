# Moves a live web and mail server to a new machine, phase by phase:
#
#   terraform apply -var phase=prepare    accounts, homes, a first pass, sites, mail; repeat at will
#   terraform apply -var phase=rehearse   a warm pass, and checks of the new host
#   terraform apply -var phase=cutover    the night itself: minutes of downtime
#   terraform apply -var phase=retire     once every name has moved
#
# Each phase contains the ones before it. Going back a phase is a rollback: clients wait,
# what the new machine has received comes back, and the old services serve again.

# Create all desired users on the new machine ...
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

# Those whom a cutover_host_user cannot be, such as a name that useradd refuses.
check "people" {
  assert {
    condition     = alltrue([for user in data.cutover_host_users.old.users : length(user.problems) == 0])
    error_message = "Left out, and yours to see to: ${jsonencode({ for name, user in data.cutover_host_users.old.users : name => user.problems if length(user.problems) > 0 })}"
  }
}

# ... and the home skeletons.
resource "cutover_home_skeleton" "people" {
  for_each = cutover_host_user.people

  host = "new"
  user = each.value.name
  directories = {
    "mail"        = { mode = "0700" }
    "public_html" = { mode = "0755" }
  }
}

# Rsync /home and /var/spool/mail from the old machine to the new, while it is live.
resource "cutover_sync_pass" "first" {
  from     = "old"
  to       = "new"
  paths    = var.paths
  excludes = local.excludes

  depends_on = [cutover_home_skeleton.people]
}

# Configure services: Apache's vhosts, as the old machine has them ...
data "cutover_vhosts" "old" {
  host = "old"
}

resource "cutover_vhost" "sites" {
  for_each = local.sites

  host              = "new"
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
  adopt             = true # the default site is there on a new host as well

  depends_on = [cutover_sync_pass.first]
}

check "sites" {
  assert {
    condition     = length(local.sites_left) == 0
    error_message = "Left out, and yours to see to: ${jsonencode(local.sites_left)}"
  }
}

# ... and where Dovecot keeps mail.
data "cutover_mail" "old" {
  host = "old"
}

resource "cutover_maildir" "mail" {
  count = length(data.cutover_mail.old.problems) == 0 ? 1 : 0

  host   = "new"
  path   = data.cutover_mail.old.path
  layout = data.cutover_mail.old.layout
  users  = [for user in cutover_host_user.people : user.name]

  depends_on = [cutover_sync_pass.first]
}

check "mail" {
  assert {
    condition     = length(data.cutover_mail.old.problems) == 0
    error_message = "Dovecot's mail location is yours to see to: ${join("; ", data.cutover_mail.old.problems)}"
  }
}

# Rsync again, to make sure there are only minor changes for the final pass.
resource "cutover_sync_pass" "warm" {
  count    = local.reached.rehearse ? 1 : 0
  from     = "old"
  to       = "new"
  paths    = var.paths
  excludes = local.excludes

  depends_on = [cutover_sync_pass.first]
}

data "cutover_sync_preview" "final" {
  count    = var.phase == "rehearse" ? 1 : 0
  from     = "old"
  to       = "new"
  paths    = var.paths
  excludes = local.excludes

  depends_on = [cutover_sync_pass.warm]
}

check "minor_changes" {
  assert {
    condition     = alltrue([for preview in data.cutover_sync_preview.final : preview.changes <= var.minor])
    error_message = "The old machine has changed more than ${var.minor} entries since the warm pass: ${jsonencode([for preview in data.cutover_sync_preview.final : preview.changes])}. Rehearse again."
  }
}

# Make sure everything works, before any name points to the new machine. What does not is
# a warning: it must neither keep you from mending it nor from going back.
data "cutover_service_check" "new" {
  for_each = var.phase == "rehearse" ? var.ports : {}

  address     = var.new
  port        = each.value
  protocol    = each.key
  server_name = var.site
  timeout     = "5s"
  fail        = false

  depends_on = [cutover_sync_pass.warm, cutover_vhost.sites, cutover_maildir.mail]
}

check "new" {
  assert {
    condition     = alltrue([for answer in data.cutover_service_check.new : answer.ok])
    error_message = "Not ready for the cutover:\n${join("\n", [for answer in data.cutover_service_check.new : "- ${answer.error}" if !answer.ok])}"
  }
}

# Both machines side by side: what does the old one have that the new one lacks? audit.html is for your files.
data "cutover_migration_audit" "both" {
  count       = var.phase == "rehearse" ? 1 : 0
  from        = "old"
  to          = "new"
  ignore      = [for name in var.staying : "*/${name}*"]
  report_path = "${path.root}/audit.html"

  depends_on = [cutover_sync_pass.warm, cutover_vhost.sites, cutover_maildir.mail]
}

check "nothing_forgotten" {
  assert {
    condition     = alltrue([for audit in data.cutover_migration_audit.both : audit.errors == 0])
    error_message = join("\n", [for audit in data.cutover_migration_audit.both : audit.summary])
  }
}

# On the old machine, disable SSH and FTP logins for the users who move.
resource "cutover_login_lock" "people" {
  count        = local.reached.cutover ? 1 : 0
  host         = "old"
  users        = [for user in cutover_host_user.people : user.name]
  end_sessions = true
  message      = "This server is moving. Log in at the new one: ${var.new}"

  depends_on = [cutover_sync_pass.warm]
}

# From now on, who comes waits a moment instead of being refused.
resource "cutover_connection_hold" "ports" {
  count = var.phase == "cutover" ? 1 : 0
  host  = "old"
  ports = values(var.ports)

  depends_on = [cutover_login_lock.people]
}

# Stop services on the old machine, and keep them from coming back at boot.
resource "cutover_service" "old" {
  for_each = local.reached.cutover ? var.old_services : []

  host       = "old"
  name       = each.key
  running    = false
  enabled    = false
  on_destroy = local.way_back ? "restore" : "leave"

  depends_on = [cutover_connection_hold.ports]
}

# On the way back: what the new mail server has accepted and could not deliver goes on from the old one.
resource "cutover_mail_queue_move" "back" {
  count = local.reached.cutover ? 1 : 0
  from  = "new"
  to    = "old"
  when  = local.way_back ? "destroy" : "never"
}

# Rsync again, final time. Data transferred here is the data that will be live in a sec.
resource "cutover_sync_pass" "final" {
  count    = local.reached.cutover ? 1 : 0
  from     = "old"
  to       = "new"
  paths    = var.paths
  excludes = local.excludes
  final    = true

  # On the way back: what the new machine has received since.
  on_destroy = local.way_back ? "bring_back" : "forget"

  depends_on = [cutover_service.old, cutover_mail_queue_move.back] # which come after this on the way back
}

# Start services on the new machine.
resource "cutover_service" "new" {
  for_each = local.reached.cutover ? var.new_services : []

  host       = "new"
  name       = each.key
  running    = true
  enabled    = true
  on_destroy = local.way_back ? "stop" : "leave"

  # On the sites and the mail location too, so that a destroy takes them away after the tunnel.
  depends_on = [cutover_sync_pass.final, cutover_vhost.sites, cutover_maildir.mail]
}

# What the old mail server had accepted and could not deliver goes on from the new one.
resource "cutover_mail_queue_move" "mail" {
  count = local.reached.cutover ? 1 : 0
  from  = "old"
  to    = "new"

  depends_on = [cutover_service.new]
}

# SSH forward the ports from the old machine to the new, until every name has moved.
# Once each was tried, those who wait are let in.
resource "cutover_forwarding_tunnel" "relay" {
  count        = var.phase == "cutover" ? 1 : 0
  from         = "old"
  to           = "new"
  ports        = values(var.ports)
  release_hold = one(cutover_connection_hold.ports[*].id)

  # Once all domains are over, kill the tunnels; not before.
  retire_when = length(var.domains) == 0 ? null : {
    domains          = var.domains
    former_addresses = var.former_addresses
    idle_for         = var.idle_for
  }

  depends_on = [cutover_service.new]
}

# Have the domains changed? Who is behind, and until when: those are who still comes through the tunnel.
data "cutover_dns_propagation" "names" {
  count            = var.phase == "cutover" && length(var.former_addresses) > 0 ? 1 : 0
  host             = "old"
  names            = length(var.domains) == 0 ? null : var.domains
  former_addresses = var.former_addresses

  depends_on = [cutover_forwarding_tunnel.relay]
}

check "names" {
  assert {
    condition     = alltrue([for names in data.cutover_dns_propagation.names : names.complete])
    error_message = "Not every name has moved yet:\n${join("\n", flatten(data.cutover_dns_propagation.names[*].behind))}"
  }
}
