# Who comes from now on waits ...
resource "cutover_connection_hold" "night" {
  host          = "old"
  ports         = [25, 80, 110, 143, 587]
  expires_after = "5m"
}

# ... while the old services stop ...
resource "cutover_service" "old" {
  for_each = toset(["sendmail", "apache2", "dovecot"])

  host    = "old"
  name    = each.key
  running = false

  depends_on = [cutover_connection_hold.night]
}

# ... and is served by the new host once the relays were tried.
resource "cutover_forwarding_tunnel" "relay" {
  from         = "old"
  to           = "new"
  ports        = [25, 80, 110, 143, 587]
  release_hold = cutover_connection_hold.night.id

  depends_on = [cutover_service.old]
}
