# Writes a new host from an old one: its people and its sites. What comes out in
# the plan is what you would otherwise have typed.

data "cutover_host_users" "old" {
  host = "old"
}

resource "cutover_host_user" "people" {
  for_each = { for name, user in data.cutover_host_users.old.users : name => user if length(user.problems) == 0 && !contains(var.staying, name) }

  host          = "new"
  name          = each.key
  uid           = each.value.uid
  gid           = each.value.gid
  group         = each.value.group
  groups        = each.value.groups
  group_gids    = { for group, gid in each.value.group_gids : group => gid if !contains(var.renumbered, group) }
  gecos         = each.value.gecos
  home          = each.value.home
  shell         = each.value.shell
  password_from = "old"
}

# Those whom a cutover_host_user cannot be, such as a name that useradd refuses.
check "people" {
  assert {
    condition     = alltrue([for user in data.cutover_host_users.old.users : length(user.problems) == 0])
    error_message = "Left out, and yours to see to: ${jsonencode({ for name, user in data.cutover_host_users.old.users : name => user.problems if length(user.problems) > 0 })}"
  }
}

data "cutover_vhosts" "old" {
  host = "old"
}

resource "cutover_vhost" "sites" {
  for_each = { for key, site in data.cutover_vhosts.old.sites : key => site if length(site.problems) == 0 }

  host              = "new"
  server            = data.cutover_vhosts.old.server # extra is in its language
  name              = each.value.name
  priority          = each.value.priority
  server_name       = each.value.server_name
  aliases           = each.value.aliases
  default_server    = each.value.default_server
  ports             = each.value.ports
  tls_ports         = each.value.tls_ports
  document_root     = each.value.document_root
  certificate       = each.value.certificate
  certificate_key   = each.value.certificate_key
  access_log        = each.value.access_log
  error_log         = each.value.error_log
  php_fpm_socket    = each.value.php_fpm_socket
  redirect_to_https = each.value.redirect_to_https
  extra             = each.value.extra
  adopt             = true # the default site is there on a new host as well

  depends_on = [cutover_host_user.people]
}

# What has to be looked after by hand, with file and line.
output "not_understood" {
  value = data.cutover_vhosts.old.not_understood
}
