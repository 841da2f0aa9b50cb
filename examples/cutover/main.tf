# Moves a live web and mail server to a new machine, phase by phase:
#
#   terraform apply -var phase=prepare    accounts, homes, a first pass; repeat at will
#   terraform apply -var phase=rehearse   a warm pass, and checks against the new host
#   terraform apply -var phase=cutover    the night itself: minutes of downtime
#   terraform apply -var phase=retire     once every name has moved
#
# Each phase contains the ones before it. Going back a phase is a rollback: the old
# services serve again. Mail that came in meanwhile stays on the new host.

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

# Copy /home and /var/spool/mail from the old machine to the new, while it is live.
resource "cutover_sync_pass" "first" {
  from     = "old"
  to       = "new"
  paths    = var.paths
  excludes = local.excludes

  depends_on = [cutover_home_skeleton.people]
}

# Again, to make sure there are only minor changes for the final pass.
resource "cutover_sync_pass" "warm" {
  count    = local.reached.rehearse ? 1 : 0
  from     = "old"
  to       = "new"
  paths    = var.paths
  excludes = local.excludes

  depends_on = [cutover_sync_pass.first]
}

# Make sure everything works, before any name points to the new machine. What does not is
# a warning: it must neither keep you from mending it nor from going back.
data "cutover_service_check" "new" {
  for_each = var.phase == "rehearse" ? var.ports : {}

  address     = var.new
  port        = each.value
  protocol    = each.key
  server_name = var.site
  fail        = false

  depends_on = [cutover_sync_pass.warm]
}

check "new" {
  assert {
    condition     = alltrue([for answer in data.cutover_service_check.new : answer.ok])
    error_message = "Not ready for the cutover:\n${join("\n", [for answer in data.cutover_service_check.new : "- ${answer.error}" if !answer.ok])}"
  }
}

# From now on, who comes waits a moment instead of being refused.
resource "cutover_connection_hold" "ports" {
  count = var.phase == "cutover" ? 1 : 0
  host  = "old"
  ports = values(var.ports)

  depends_on = [cutover_sync_pass.warm]
}

# Stop services on the old machine, and keep them from coming back at boot.
resource "cutover_service" "old" {
  for_each = local.reached.cutover ? var.old_services : []

  host       = "old"
  name       = each.key
  running    = false
  enabled    = false
  on_destroy = "restore"

  depends_on = [cutover_connection_hold.ports]
}

# Again, final time. Data transferred here is the data that will be live in a sec.
resource "cutover_sync_pass" "final" {
  count    = local.reached.cutover ? 1 : 0
  from     = "old"
  to       = "new"
  paths    = var.paths
  excludes = local.excludes
  final    = true

  depends_on = [cutover_service.old]
}

# Start services on the new machine.
resource "cutover_service" "new" {
  for_each = local.reached.cutover ? var.new_services : []

  host    = "new"
  name    = each.key
  running = true
  enabled = true

  depends_on = [cutover_sync_pass.final]
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
