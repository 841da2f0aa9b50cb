# Ends the relays' sessions on the new host and removes their account and its
# home. What is gone already is no error.
#   $1 account
#   $2 home
set -eu
account=$1
home=$2
name=${account#cutover-}
directory=/etc/cutover/link-$name
unit=cutover-link-$name.service
config=/etc/ssh/sshd_config
dropin=/etc/ssh/sshd_config.d/cutover-link-$name.conf
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
fi

# This end of a layer-3 tunnel, and sshd's leave to carry it.
if [ -f "/etc/systemd/system/$unit" ]; then
	systemctl stop "$unit"
	systemctl disable "$unit" 2>/dev/null || systemctl disable "$unit"
	rm -f "/etc/systemd/system/$unit"
	systemctl daemon-reload
	systemctl reset-failed "$unit" 2>/dev/null || true
fi
if [ -d "$directory" ]; then
	if [ -x "$directory/link" ] && [ -f "$directory/link.conf" ]; then
		"$directory/link" down "$directory"
	fi
	rm -rf "$directory"
	rmdir /etc/cutover 2>/dev/null || true
fi
reload=
if [ -f "$dropin" ]; then
	rm -f "$dropin"
	reload=yes
fi
# One at a time: another tunnel may have its line in the same file. The lock is
# on sshd's own file, so that it leaves no trace, and ends with this script.
sshd=$(command -v sshd || echo /usr/sbin/sshd)
if command -v flock >/dev/null 2>&1 && [ -f "$sshd" ]; then
	exec 9<"$sshd"
	flock 9
fi
begin="^# BEGIN cutover-link-$name\\( \\|\$\\)"
if grep -q "$begin" "$config" 2>/dev/null; then
	unended=$(grep -c "^# BEGIN cutover-link-$name (" "$config" || true)
	cp -p "$config" "$config.cutover-new"
	sed "/$begin/,/^# END cutover-link-$name\$/d" "$config" >"$config.cutover-new"
	if [ "$unended" != 0 ]; then
		# Its last line had no end before the block was added.
		text=$(cat "$config.cutover-new")
		printf %s "$text" >"$config.cutover-new"
	fi
	mv "$config.cutover-new" "$config"
	reload=yes
fi
if [ -n "$reload" ]; then
	for service in ssh sshd; do
		if systemctl -q is-active "$service.service"; then
			systemctl reload "$service.service"
			break
		fi
	done
fi

if getent passwd "$account" >/dev/null; then
	userdel "$account"
fi
if getent group "$account" >/dev/null; then
	groupdel "$account"
fi
rm -rf "$home"
[ ! -d /var/lib/cutover ] || rmdir /var/lib/cutover 2>/dev/null || true
