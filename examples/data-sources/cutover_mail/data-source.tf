data "cutover_mail" "old" {
  host = "old"
}

data "cutover_host_users" "old" {
  host = "old"
}

# Maildirs on the new host where they are on the old one.
resource "cutover_maildir" "new" {
  host   = "new"
  path   = data.cutover_mail.old.path
  layout = data.cutover_mail.old.layout
  users  = keys(data.cutover_host_users.old.users)

  lifecycle {
    precondition {
      condition     = length(data.cutover_mail.old.problems) == 0
      error_message = join("\n", data.cutover_mail.old.problems)
    }
  }
}

# What has to be looked at by a person: programs in .forward files, and what was not read.
output "mail_to_look_at" {
  value = {
    pipes = [for user, kinds in data.cutover_mail.old.forwards : user if contains(kinds, "pipe")]
    rest  = data.cutover_mail.old.not_understood
  }
}
