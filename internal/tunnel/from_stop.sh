# Stops the relays, keeps init from starting them, and removes all that the
# tunnel has on the old host. What is gone already is no error.
#   $1 the tunnel's name
# Prints "forwards THING" for each thing for which forwarding was left on.
set -eu
name=$1
directory=/etc/cutover/tunnel-$name
unit=cutover-tunnel-$name.service

# alone PROGRAM: waits until nothing else of ours changes what the program is
# for. The lock is on the program's own file, so that it leaves no trace; it ends
# with this script.
alone() {
	if command -v flock >/dev/null 2>&1 && program=$(command -v "$1"); then
		exec 9<"$program"
		flock 9
	fi
}

if [ -d /run/systemd/system ]; then
	if [ -f "/etc/systemd/system/$unit" ]; then
		systemctl stop "$unit"
		systemctl disable "$unit" 2>/dev/null || systemctl disable "$unit"
		rm -f "/etc/systemd/system/$unit"
		systemctl daemon-reload
		systemctl reset-failed "$unit" 2>/dev/null || true
	fi
elif [ -f /etc/inittab ] && grep -q ":respawn:$directory/supervise\$" /etc/inittab; then
	alone telinit
	cp -p /etc/inittab /etc/inittab.cutover-new
	grep -v ":respawn:$directory/supervise\$" /etc/inittab >/etc/inittab.cutover-new || true
	mv /etc/inittab.cutover-new /etc/inittab
	telinit q
	exec 9<&-
fi

# What init has let go of ends by itself; what it never knew is ended here.
ours() {
	for process in /proc/[0-9]*; do
		case "$(tr '\0' ' ' <"$process/cmdline" 2>/dev/null)" in
		"/bin/sh $directory/supervise "* | *"ssh "*"-F $directory/ssh_config relay "*) echo "${process#/proc/}" ;;
		esac
	done
}
tries=0
while pids=$(ours); [ -n "$pids" ]; do
	signal=TERM
	[ "$tries" -lt 5 ] || signal=KILL
	# shellcheck disable=SC2086 # a list of process numbers
	kill -"$signal" $pids 2>/dev/null || true
	tries=$((tries + 1))
	if [ "$tries" -gt 10 ]; then
		echo "relays that do not end: process $pids" >&2
		exit 1
	fi
	sleep 1
done

if [ -x "$directory/link" ] && [ -f "$directory/link.conf" ]; then
	"$directory/link" down "$directory"
fi
if [ -f /var/run/cutover/forwarding.kept ]; then
	sed 's/^/forwards /' /var/run/cutover/forwarding.kept
	rm -f /var/run/cutover/forwarding.*
fi
rm -rf "$directory"
rm -f "/var/run/cutover/tunnel-$name.pid"
for empty in /etc/cutover /var/run/cutover; do
	[ ! -d "$empty" ] || rmdir "$empty" 2>/dev/null || true
done
