# Counts from now on, and again after each boot.
#   $1 the tunnel's name
# Standard input has the files for it: each a line "== PATH", then its lines.
set -eu
umask 022
name=$1
mkdir -p "/etc/cutover/traffic-$name"
while IFS= read -r line; do
	case $line in
	'== '*) exec 3>"${line#== }" ;;
	*) printf '%s\n' "$line" >&3 ;;
	esac
done
exec 3>&-
command="/bin/sh /etc/cutover/traffic-$name/count $name"
unit=cutover-traffic-$name.service
sh "/etc/cutover/traffic-$name/count" "$name"

# alone PROGRAM: waits until nothing else of ours changes what the program is
# for. The lock is on the program's own file, so that it leaves no trace; it ends
# with this script.
alone() {
	if command -v flock >/dev/null 2>&1 && program=$(command -v "$1"); then
		exec 9<"$program"
		flock 9
	fi
}

alone telinit
if [ -f "/etc/systemd/system/$unit" ]; then
	systemctl daemon-reload
	systemctl enable "$unit" 2>/dev/null || systemctl enable "$unit"
elif [ -f /etc/inittab ] && ! grep -q "::boot:$command\$" /etc/inittab; then
	# An entry's id is four characters that no other entry has (inittab(5)).
	number=0
	while id=$(printf 'ct%02d' "$number"); grep -q "^$id:" /etc/inittab; do
		number=$((number + 1))
	done
	cp -p /etc/inittab /etc/inittab.cutover-new
	printf '%s::boot:%s\n' "$id" "$command" >>/etc/inittab.cutover-new
	mv /etc/inittab.cutover-new /etc/inittab
fi
