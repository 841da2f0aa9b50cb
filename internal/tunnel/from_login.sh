# Logs in to the new host as the relays do and opens one connection there.
# Nothing is sent; that it opens is the answer.
#   $1 ssh_config of the tunnel
#   $2 target, as host:port; nothing for a tunnel whose key may only log in
set -eu
if [ -n "$2" ]; then
	exec ssh -F "$1" -o ClearAllForwardings=yes -o ExitOnForwardFailure=no -W "$2" relay </dev/null >/dev/null
fi
# The account runs nothing and says so with a code of its own; 255 is ssh's.
status=0
ssh -F "$1" -o ClearAllForwardings=yes -o Tunnel=no relay </dev/null >/dev/null || status=$?
[ "$status" != 255 ] || exit 255
