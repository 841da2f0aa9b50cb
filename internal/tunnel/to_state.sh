# What the new host has of a tunnel, and what its sshd says to it. Reads only.
#   $1 the account of the relays
#   $2 its home
#   $3... files to return whole beside the authorized_keys, a unit's first
# Prints "key value" lines, then "file PATH BYTES" with the content of each.
set -u
account=$1
home=$2
shift 2

if entry=$(getent passwd "$account"); then
	echo "account $entry"
	# Where that cannot be told somebody may be.
	if ! command -v ps >/dev/null 2>&1 || [ -n "$(ps -o pid= -u "$account")" ]; then
		echo "busy"
	fi
fi
for shell in /usr/sbin/nologin /sbin/nologin /bin/false; do
	if [ -x "$shell" ]; then
		echo "nologin $shell"
		break
	fi
done

sshd=$(command -v sshd || echo /usr/sbin/sshd)
if [ -x "$sshd" ]; then
	echo "version $("$sshd" -V 2>&1 | grep -o 'OpenSSH_[0-9.]*' | head -n 1)"
	sshd_settings "$account" localhost 127.0.0.1 |
		grep -Ei '^(hostkey|allowtcpforwarding|gatewayports|permitlisten|disableforwarding|permitopen|pubkeyauthentication|authenticationmethods|allowusers|allowgroups|denyusers|denygroups|authorizedkeysfile|permittunnel) ' |
		sed 's/^/sshd /'
fi
for key in /etc/ssh/ssh_host_*_key.pub; do
	[ -f "$key" ] && awk '{ print "hostkey", $1, $2 }' "$key"
done

if [ -d "$home" ]; then
	echo "home present"
fi
if [ -f "$1" ]; then
	echo "link $(systemctl is-enabled "${1##*/}" 2>/dev/null)"
fi
for file in "$home/.ssh/authorized_keys" "$@"; do
	if [ -f "$file" ]; then
		printf 'file %s %d\n' "$file" "$(wc -c <"$file")"
		cat "$file"
		echo
	fi
done
