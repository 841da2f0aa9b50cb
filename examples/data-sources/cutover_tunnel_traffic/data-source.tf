# Who still comes to the old address?
data "cutover_tunnel_traffic" "relay" {
  host = "old"
  name = cutover_forwarding_tunnel.relay.name
}

output "still_at_the_old_address" {
  value = { for port, seen in data.cutover_tunnel_traffic.relay.ports : port => seen.clients }
}

# The tunnel may go when nobody came for a week.
check "idle" {
  assert {
    condition     = timecmp(coalesce(data.cutover_tunnel_traffic.relay.last_connection, data.cutover_tunnel_traffic.relay.since), timeadd(plantimestamp(), "-168h")) < 0
    error_message = "Clients still come to the old address."
  }
}
