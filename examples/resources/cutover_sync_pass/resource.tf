# The first pass, while everything runs on the old host. Mail goes where the new
# host keeps it.
resource "cutover_sync_pass" "first" {
  from     = "old"
  to       = "new"
  paths    = ["/home", "/var/spool/mail"]
  targets  = { "/var/spool/mail" = "/var/mail" }
  excludes = ["/admin"] # her home on the new host is her own
}

# The last one, with the services stopped. The same paths, targets and excludes
# make it one of the first one's chain: it copies what has changed since, and
# takes away what has gone.
resource "cutover_sync_pass" "final" {
  from     = cutover_sync_pass.first.from
  to       = cutover_sync_pass.first.to
  paths    = cutover_sync_pass.first.paths
  targets  = cutover_sync_pass.first.targets
  excludes = cutover_sync_pass.first.excludes
  final    = true

  # More than this means that something still writes on the old host.
  max_changes = 5000

  # Run it again whenever this changes.
  triggers = { run = "1" }
}
