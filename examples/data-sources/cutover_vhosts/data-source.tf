data "cutover_vhosts" "old" {
  host = "old"
}

# The same sites on the new host, but for those that need a look first.
resource "cutover_vhost" "sites" {
  for_each = { for key, site in data.cutover_vhosts.old.sites : key => site if length(site.problems) == 0 }

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
