# Mail in ~/Maildir, with the folders that everybody has.
resource "cutover_maildir" "new" {
  host    = "new"
  users   = ["anna", "bert"]
  folders = ["Sent", "Archive/2009"]
}

# The old spools go on as the inbox; folders are in ~/mail.
resource "cutover_maildir" "spools" {
  host       = "old"
  path       = "~/mail"
  mbox_spool = "inbox"
}
