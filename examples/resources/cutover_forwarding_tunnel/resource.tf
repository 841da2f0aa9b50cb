# The ports of the original procedure. It is not to be destroyed before every name has
# moved and nobody has come through it for a day.
resource "cutover_forwarding_tunnel" "relay" {
  from  = "old"
  to    = "new"
  ports = [25, 80, 110, 143, 587]

  retire_when = {
    domains          = ["example.org", "www.example.org"]
    former_addresses = ["192.0.2.10", "2001:db8::10"]
    resolvers        = ["9.9.9.9", "203.0.113.53"] # such as those of your users' providers
    idle_for         = "24h"
  }
}

# Another port, on one address of the old host only, to a third machine that
# the new one can reach.
resource "cutover_forwarding_tunnel" "admin" {
  from = "old"
  to   = "new"
  name = "admin"
  forwards = [
    { listen_address = "192.0.2.10", listen_port = 8443, target_host = "10.0.0.5", target_port = 443 },
  ]
}

# Mail and web with the clients' own addresses in the new host's logs, and no
# localhost that a mail server might trust.
resource "cutover_forwarding_tunnel" "transparent" {
  from  = "old"
  to    = "new"
  name  = "clients"
  mode  = "transparent"
  ports = [465, 443, 993, 995]
}

# From an old host whose network lets it call nobody: the new one calls it.
resource "cutover_forwarding_tunnel" "called" {
  from          = "old"
  to            = "new"
  name          = "called"
  initiate_from = "new"
  from_address  = "old.internal.example.net" # as the new host knows it
  ports         = [2525]
}
