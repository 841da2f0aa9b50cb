# FROM/TO/NAME
terraform import cutover_forwarding_tunnel.relay old/new/relay
