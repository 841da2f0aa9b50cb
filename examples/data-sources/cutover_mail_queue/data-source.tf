# What has the old mail server accepted, and not delivered?
data "cutover_mail_queue" "old" {
  host = "old"
}

output "queued_on_the_old_host" {
  value = {
    count    = data.cutover_mail_queue.old.message_count
    by_state = data.cutover_mail_queue.old.by_state
    reasons  = distinct([for message in data.cutover_mail_queue.old.messages : message.reason if message.reason != null])
  }
}
