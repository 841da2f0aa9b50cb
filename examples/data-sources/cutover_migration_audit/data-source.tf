# Is everything on the new host that the old one has?
data "cutover_migration_audit" "move" {
  from        = "old"
  to          = "new"
  report_path = "${path.root}/audit.html"

  # Known, and meant: an account that does not move, and a port of the old panel.
  ignore = ["*/backup*", "ports/10000/tcp"]

  timeline = [
    { name = "first pass", started = cutover_sync_pass.first.started, finished = cutover_sync_pass.first.finished },
    { name = "final pass", started = cutover_sync_pass.final.started, finished = cutover_sync_pass.final.finished },
    { name = "clients waited", started = cutover_connection_hold.ports.held_at, finished = cutover_connection_hold.ports.released_at, downtime = true },
  ]
}

# A warning at each plan, and no obstacle: neither on the way forward nor back.
check "nothing_is_missing" {
  assert {
    condition     = data.cutover_migration_audit.move.errors == 0
    error_message = data.cutover_migration_audit.move.summary
  }
}

resource "cutover_sync_pass" "first" {
  from  = "old"
  to    = "new"
  paths = ["/home"]
}

resource "cutover_connection_hold" "ports" {
  host  = "old"
  ports = [25, 80, 143]

  depends_on = [cutover_sync_pass.first]
}

resource "cutover_sync_pass" "final" {
  from  = "old"
  to    = "new"
  paths = ["/home"]
  final = true

  depends_on = [cutover_connection_hold.ports]
}
