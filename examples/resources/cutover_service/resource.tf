# Stopped on the old host for the final pass, and not started by a reboot.
# Destroying it, as going back a phase does, puts back what was found.
resource "cutover_service" "old" {
  for_each = toset(["sendmail", "apache2", "dovecot"])

  host       = "old"
  name       = each.key
  running    = false
  enabled    = false
  on_destroy = "restore"
}

# Running on the new host, and restarted when its configuration changes.
resource "cutover_service" "dovecot" {
  host       = "new"
  name       = "dovecot"
  running    = true
  enabled    = true
  restart_on = { config = filesha256("${path.module}/dovecot.conf") }
}
