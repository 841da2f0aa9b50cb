# The first pass, while everything runs on the old host.
resource "cutover_sync_pass" "first" {
  from     = "old"
  to       = "new"
  paths    = ["/home", "/var/mail"]
  excludes = ["/admin"] # her home on the new host is her own
}

# The last one, with the services stopped. Mail goes where the new host keeps it.
resource "cutover_sync_pass" "final" {
  from     = "old"
  to       = "new"
  paths    = ["/home", "/var/spool/mail"]
  targets  = { "/var/spool/mail" = "/var/mail" }
  excludes = ["/admin"]
  final    = true

  # Run it again whenever this changes.
  triggers = { run = "1" }

  depends_on = [cutover_sync_pass.first]
}
