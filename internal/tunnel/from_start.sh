# Starts the relays, or starts them anew, and has init do so at boot.
#   $1 the tunnel's name
#   $2 systemd or sysv
#   $3 "again" where only what a layer-3 tunnel carries is new: its clients keep
#      their connections
set -eu
name=$1
directory=/etc/cutover/tunnel-$name
if [ "${3:-}" = again ]; then
	"$directory/link" up "$directory"
	kill "$(cat "/var/run/cutover/tunnel-$name.pid")" 2>/dev/null || true
	exit 0
fi
# alone PROGRAM: waits until nothing else of ours changes what the program is
# for. The lock is on the program's own file, so that it leaves no trace; it ends
# with this script.
alone() {
	if command -v flock >/dev/null 2>&1 && program=$(command -v "$1"); then
		exec 9<"$program"
		flock 9
	fi
}

case $2 in
systemd)
	systemctl daemon-reload
	systemctl enable "cutover-tunnel-$name.service" 2>/dev/null || systemctl enable "cutover-tunnel-$name.service"
	systemctl restart "cutover-tunnel-$name.service"
	;;
sysv)
	command=/etc/cutover/tunnel-$name/supervise
	alone telinit
	if ! grep -q ":respawn:$command\$" /etc/inittab; then
		# An entry's id is four characters that no other entry has (inittab(5)).
		number=0
		while id=$(printf 'cv%02d' "$number"); grep -q "^$id:" /etc/inittab; do
			number=$((number + 1))
		done
		cp -p /etc/inittab /etc/inittab.cutover-new
		printf '%s:2345:respawn:%s\n' "$id" "$command" >>/etc/inittab.cutover-new
		mv /etc/inittab.cutover-new /etc/inittab
	fi
	telinit q
	# A supervisor that runs already has read the files of before: init starts
	# it anew when it ends, which it does after its relays.
	if [ -s "/var/run/cutover/tunnel-$name.pid" ]; then
		for process in /proc/[0-9]*; do
			if [ "$(tr '\0' ' ' <"$process/cmdline" 2>/dev/null)" = "/bin/sh $command " ]; then
				kill "${process#/proc/}" 2>/dev/null || true
			fi
		done
	fi
	;;
esac
