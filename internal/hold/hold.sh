# Begins a hold, or changes one. What is written down comes first: it is what
# lifting goes by.
#   $1 the hold's name
#   $2 nft, iptables, or none for the record alone
#   $3 the hold's chain in iptables
#   $4 yes where IPv6 is to be held by ip6tables too
# Standard input has the hold's record, a line "rules", and the rules: for nft
# as they are, for iptables without the jump to the chain and without COMMIT.
set -eu
umask 022
file=/var/lib/cutover/hold-$1
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

# restore TOOL RULES CHAIN
restore() {
	jump="-A PREROUTING -j $3"
	wait=
	# Two programs that change iptables at once fail where they cannot wait.
	if "$1-restore" --help 2>&1 | grep -q -e --wait; then
		wait='-w 10'
	fi
	# shellcheck disable=SC2086 # two words, or none
	{
		printf '%s\n' "$2"
		"$1-save" 2>/dev/null | grep -q -x -e "$jump" || printf -- '-I PREROUTING 1 -j %s\n' "$3"
		echo COMMIT
	} | "$1-restore" $wait --noflush
}

case $2 in
nft)
	printf '%s\n' "$rules" | nft -f -
	;;
iptables)
	alone iptables-restore
	restore iptables "$rules" "$3"
	if [ "$4" = yes ]; then
		restore ip6tables "$rules" "$3"
	fi
	;;
esac
