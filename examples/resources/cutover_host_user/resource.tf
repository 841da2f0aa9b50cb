# Everybody of the old host, with the same numbers and passwords.
data "cutover_host_users" "old" {
  host = "old"
}

resource "cutover_host_user" "people" {
  for_each = data.cutover_host_users.old.users

  host          = "new"
  name          = each.key
  uid           = each.value.uid
  gid           = each.value.gid
  group         = each.value.group
  groups        = each.value.groups
  group_gids    = each.value.group_gids
  gecos         = each.value.gecos
  home          = each.value.home
  shell         = each.value.shell
  password_from = "old"
}

# One account, with a password hash that reaches neither plan nor state.
resource "cutover_host_user" "backup" {
  host                     = "new"
  name                     = "backup-agent"
  system                   = true
  home                     = "/var/lib/backup-agent"
  shell                    = "/bin/sh"
  password_hash_wo         = var.backup_password_hash
  password_hash_wo_version = 1
  on_destroy               = "remove"
}

variable "backup_password_hash" {
  type      = string
  ephemeral = true
}
