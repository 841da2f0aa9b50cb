# While the last pass runs, nobody changes files on the old host.
resource "cutover_login_lock" "old" {
  host         = "old"
  groups       = ["customers"]
  users        = ["webmaster"]
  end_sessions = true
  message      = <<-EOT
    This server is moving. Your files are on new.example.net now;
    mail and web sites work as before.
  EOT
}
