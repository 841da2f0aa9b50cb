# Logs in to the new host as the relays do and opens one connection there.
# Nothing is sent; that it opens is the answer.
#   $1 ssh_config of the tunnel
#   $2 target, as host:port
set -eu
exec ssh -F "$1" -o ClearAllForwardings=yes -o ExitOnForwardFailure=no -W "$2" relay </dev/null >/dev/null
