# Who still sends clients to the old machine?
data "cutover_dns_propagation" "sites" {
  host               = "old"                 # the names of its sites, and its mail domains
  names              = ["panel.example.org"] # and one that neither knows
  former_addresses   = ["192.0.2.10", "2001:db8:1::10"]
  expected_addresses = ["192.0.2.20", "2001:db8:1::20"]
  resolvers          = ["192.0.2.53", "198.51.100.53"]
}

output "behind" {
  value = data.cutover_dns_propagation.sites.behind
}

# Warns as long as a name still leads to the old machine.
check "moved" {
  assert {
    condition     = data.cutover_dns_propagation.sites.complete
    error_message = "Names still lead to the old machine, until ${coalesce(data.cutover_dns_propagation.sites.complete_by, "the zone is changed")}."
  }
}
