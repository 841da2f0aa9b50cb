data "cutover_vhosts" "old" {
  host = "old"
}

# The same sites on the new host.
resource "cutover_vhost" "sites" {
  for_each = data.cutover_vhosts.old.sites

  host          = "new"
  name          = each.value.name
  server_name   = each.value.server_name
  aliases       = each.value.aliases
  ports         = each.value.ports
  document_root = each.value.document_root
  extra         = each.value.extra
}

output "to_do_by_hand" {
  value = data.cutover_vhosts.old.not_understood
}
