# Counts no more, and removes all that was there for it. What is gone already
# is no error.
#   $1 the tunnel's name
#   $2 its table in nftables
set -eu
name=$1
directory=/etc/cutover/traffic-$name
chain=CVC-$name
unit=cutover-traffic-$name.service

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
	systemctl disable "$unit" 2>/dev/null || systemctl disable "$unit"
	rm -f "/etc/systemd/system/$unit"
	systemctl daemon-reload
elif [ -f /etc/inittab ] && grep -q "::boot:/bin/sh $directory/count $name\$" /etc/inittab; then
	cp -p /etc/inittab /etc/inittab.cutover-new
	grep -v "::boot:/bin/sh $directory/count $name\$" /etc/inittab >/etc/inittab.cutover-new || true
	mv /etc/inittab.cutover-new /etc/inittab
fi

# look FILE COMMAND...: what the command prints; it must not fail where the
# rules are its own.
look() {
	file=$1
	shift
	if [ -f "$directory/$file" ]; then
		"$@"
	else
		"$@" 2>/dev/null || true
	fi
}

tables=$(look rules.nft nft list tables)
if printf '%s\n' "$tables" | grep -q -x -e "table inet $2"; then
	nft delete table inet "$2"
fi
alone iptables-restore
for tool in iptables ip6tables; do
	# Without -t, which would make a table that is not there.
	rules=$(look "rules.$tool" "$tool-save")
	printf '%s\n' "$rules" | grep -q -e "^:$chain " || continue
	wait=
	if "$tool-restore" --help 2>&1 | grep -q -e --wait; then
		wait='-w 10'
	fi
	# shellcheck disable=SC2086 # two words, or none
	{
		echo '*mangle'
		printf '%s\n' "$rules" | grep -x -e "-A PREROUTING -j $chain" | sed 's/^-A/-D/' || true
		printf -- '-F %s\n-X %s\nCOMMIT\n' "$chain" "$chain"
	} | "$tool-restore" $wait --noflush
	unmake "$tool" mangle
done

rm -rf "$directory"
rm -f "/var/run/cutover/traffic-$name"
for empty in /etc/cutover /var/run/cutover; do
	[ ! -d "$empty" ] || rmdir "$empty" 2>/dev/null || true
done
