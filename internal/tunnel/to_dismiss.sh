# Ends the relays' sessions on the new host and removes their account and its
# home. What is gone already is no error.
#   $1 account
#   $2 home
set -eu
account=$1
home=$2
# No key, no new session while the old ones are ended.
rm -f "$home/.ssh/authorized_keys"
if getent passwd "$account" >/dev/null; then
	tries=0
	while pids=$(ps -o pid= -u "$account"); [ -n "$pids" ]; do
		# shellcheck disable=SC2086 # a list of process numbers
		kill $pids 2>/dev/null || true
		tries=$((tries + 1))
		if [ "$tries" -gt 10 ]; then
			echo "processes of $account do not end: $pids" >&2
			exit 1
		fi
		sleep 0.2 2>/dev/null || sleep 1
	done
	userdel "$account"
fi
if getent group "$account" >/dev/null; then
	groupdel "$account"
fi
rm -rf "$home"
[ ! -d /var/lib/cutover ] || rmdir /var/lib/cutover 2>/dev/null || true
