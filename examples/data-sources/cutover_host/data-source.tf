data "cutover_host" "old" {
  host = "old"
}

# What has to move, and whether anything was forgotten.
output "listening" {
  value = { for l in data.cutover_host.old.listeners : "${l.address} port ${l.port}" => l.process }
}

output "mail_server" {
  value = "${data.cutover_host.old.mta} ${data.cutover_host.old.mta_version}"
}
