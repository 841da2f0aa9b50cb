# Ends a hold: removes its rules, whichever made them. What is gone already is
# no error.
#   $1 the hold's name
#   $2 its table in nftables
#   $3 its chain in iptables
#   $4 what made its rules, nft, iptables or iptables-clock, or nothing where that
#      is not known
# Standard input is what to write down of it, or empty to forget it.
set -eu
umask 022
made=${4%-clock}
record=$(cat)
file=/var/lib/cutover/hold-$1
if [ -n "$record" ]; then
	mkdir -p /var/lib/cutover
	printf '%s\n' "$record" >"$file.new"
	mv "$file.new" "$file"
fi

# look TOOL COMMAND...: what the command prints; nothing where it fails, unless
# TOOL is what made the rules.
look() {
	tool=$1
	shift
	if [ "$tool" = "$made" ]; then
		"$@"
	else
		"$@" 2>/dev/null || true
	fi
}

# alone PROGRAM: waits until nothing else of ours changes what the program is
# for. The lock is on the program's own file, so that it leaves no trace; it ends
# with this script.
alone() {
	if command -v flock >/dev/null 2>&1 && program=$(command -v "$1"); then
		exec 9<"$program"
		flock 9
	fi
}

tables=$(look nft nft list tables)
if printf '%s\n' "$tables" | grep -q -x -e "table inet $2"; then
	nft delete table inet "$2"
fi
alone iptables-restore
for tables in iptables ip6tables; do
	# Without -t, which would make a table that is not there.
	rules=$(look "$tables" "$tables-save")
	printf '%s\n' "$rules" | grep -q -e "^:$3 " || continue
	wait=
	if "$tables-restore" --help 2>&1 | grep -q -e --wait; then
		wait='-w 10'
	fi
	# shellcheck disable=SC2086 # two words, or none
	{
		echo '*mangle'
		printf '%s\n' "$rules" | grep -x -e "-A PREROUTING -j $3" | sed 's/^-A/-D/' || true
		printf -- '-F %s\n-X %s\nCOMMIT\n' "$3" "$3"
	} | "$tables-restore" $wait --noflush
	unmake "$tables" mangle
done

if [ -z "$record" ]; then
	rm -f "$file" "$file.new"
	[ ! -d /var/lib/cutover ] || rmdir /var/lib/cutover 2>/dev/null || true
fi
