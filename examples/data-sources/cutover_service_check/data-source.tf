# A site on the new machine, while DNS still names the old one.
data "cutover_service_check" "site" {
  address     = "192.0.2.20"
  port        = 80
  server_name = "www.example.org"
  expect_text = "Welcome"
}

# Its mail server, as the old machine sees it; the answer is wanted whatever it is.
data "cutover_service_check" "mail" {
  address = "192.0.2.20"
  port    = 25
  via     = "old"
  fail    = false
}

# A user's inbox there, by a password in a file that no one else can read. The name's own certificate
# is still on the old machine: that it lacks here is told, and is no error.
data "cutover_service_check" "inbox" {
  address       = "192.0.2.20"
  port          = 993
  server_name   = "mail.example.org"
  insecure_tls  = true
  username      = "anna"
  password_path = "~/anna.password"
  fail          = false
}

# A check block says in plan and apply what is wrong, and stops nothing.
check "inbox" {
  assert {
    condition     = data.cutover_service_check.inbox.ok
    error_message = "Anna's inbox: ${coalesce(data.cutover_service_check.inbox.error, "in order")}"
  }
  assert {
    condition     = try(data.cutover_service_check.inbox.certificate.problem, null) == null
    error_message = "The certificate of mail.example.org: ${try(data.cutover_service_check.inbox.certificate.problem, "")}"
  }
}

output "mail" {
  value = data.cutover_service_check.mail.ok ? data.cutover_service_check.mail.greeting : data.cutover_service_check.mail.error
}
