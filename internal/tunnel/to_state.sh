# What the new host has of a tunnel, and what its sshd says to it. Reads only.
#   $1 the account of the relays
#   $2 its home
# Prints "key value" lines, then "file PATH BYTES" with the authorized_keys.
set -u
account=$1
home=$2

if entry=$(getent passwd "$account"); then
	echo "account $entry"
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
	# -C makes sshd apply Match blocks; one of long ago only knows it without.
	{ "$sshd" -T -C "user=$account,host=localhost,addr=127.0.0.1" 2>/dev/null || "$sshd" -T 2>/dev/null; } |
		grep -Ei '^(hostkey|allowtcpforwarding|disableforwarding|permitopen|pubkeyauthentication|authenticationmethods|allowusers|allowgroups|denyusers|denygroups|authorizedkeysfile) ' |
		sed 's/^/sshd /'
fi
for key in /etc/ssh/ssh_host_*_key.pub; do
	[ -f "$key" ] && awk '{ print "hostkey", $1, $2 }' "$key"
done

if [ -d "$home" ]; then
	echo "home present"
fi
file=$home/.ssh/authorized_keys
if [ -f "$file" ]; then
	printf 'file %s %d\n' "$file" "$(wc -c <"$file")"
	cat "$file"
	echo
fi
