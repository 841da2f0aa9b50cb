# Begins a hold, or changes one. What is written down comes first: it is what
# lifting goes by.
#   $1 the hold's name
#   $2 nft, iptables, iptables-clock, or none for the record alone
#   $3 the hold's chain in iptables
#   $4 yes where IPv6 is to be held by ip6tables too
# Standard input has the hold's record, a line "rules", and the rules: for nft
# as they are, for iptables without the jump to the chain and without COMMIT. In
# those, LIST stands for the name of a list of xt_recent, and ANY for its mask.
set -eu
umask 022
name=$1 made=$2 chain=$3
file=/var/lib/cutover/hold-$name
mkdir -p /var/lib/cutover
while IFS= read -r line && [ "$line" != rules ]; do
	printf '%s\n' "$line"
done >"$file.new"
mv "$file.new" "$file"
rules=$(cat)

# alone PROGRAM: waits until nothing else of ours changes what the program is
# for. The lock is on the program's own file, so that it leaves no trace; it ends
# with this script.
alone() {
	if command -v flock >/dev/null 2>&1 && program=$(command -v "$1"); then
		exec 9<"$program"
		flock 9
	fi
}

# restore MARK ANY: puts the rules in, for the IP version with this mark in names
# of programs (nothing, or 6) and this address of no bits.
restore() {
	tool=ip${1}tables
	list=CUTOVER-HOLD$1-$name
	entry=/proc/net/xt_recent/$list
	# The kernel drops for as many seconds as the rules say from the moment of this
	# entry. There is a list only where a hold is changed: it begins before its
	# new rules do, so that nothing comes through between.
	[ "$made" = iptables-clock ] || [ ! -f "$entry" ] || echo "+$2" >"$entry"
	wait=
	# Two programs that change iptables at once fail where they cannot wait.
	if "$tool-restore" --help 2>&1 | grep -q -e --wait; then
		wait='-w 10'
	fi
	# shellcheck disable=SC2086 # two words, or none
	{
		printf '%s\n' "$rules" | sed "s/ LIST / $list /; s/ ANY / $2 /"
		"$tool-save" 2>/dev/null | grep -q -x -e "-A PREROUTING -j $chain" || printf -- '-I PREROUTING 1 -j %s\n' "$chain"
		echo COMMIT
	} | "$tool-restore" $wait --noflush
	[ "$made" = iptables-clock ] || echo "+$2" >"$entry"
}

case $made in
nft)
	printf '%s\n' "$rules" | nft -f -
	;;
iptables | iptables-clock)
	alone iptables-restore
	restore '' 0.0.0.0
	if [ "$4" = yes ]; then
		restore 6 ::
	fi
	;;
esac
