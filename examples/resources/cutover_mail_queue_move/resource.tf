# The old mail server is stopped. It delivers first what it can.
resource "cutover_service" "old_mail" {
  host    = "old"
  name    = "sendmail"
  running = false
  enabled = false
}

# What it could not deliver goes on from the new host.
resource "cutover_mail_queue_move" "mail" {
  from = cutover_service.old_mail.host
  to   = "new"
}

# Nothing of it stays on a host that will be switched off.
check "mail_queue" {
  assert {
    condition     = cutover_mail_queue_move.mail.status == "complete" && cutover_mail_queue_move.mail.left == 0
    error_message = "Mail is still on the old host: ${cutover_mail_queue_move.mail.status}, ${cutover_mail_queue_move.mail.left} left."
  }
}
