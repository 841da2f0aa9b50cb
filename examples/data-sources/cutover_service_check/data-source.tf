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

output "mail" {
  value = data.cutover_service_check.mail.ok ? data.cutover_service_check.mail.greeting : data.cutover_service_check.mail.error
}
