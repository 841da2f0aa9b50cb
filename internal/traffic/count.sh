#!/bin/sh
# Managed by Terraform: counts who comes to the ports of a cutover_forwarding_tunnel.
# Destroying the tunnel removes this file. Loads the rules beside it, at boot
# and when the tunnel begins; what was counted before is forgotten.
#   $1 the tunnel's name
set -eu
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
directory=/etc/cutover/traffic-$1
chain=CVC-$1

# alone PROGRAM: waits until nothing else of ours changes what the program is
# for. The lock is on the program's own file, so that it leaves no trace; it ends
# with this script.
alone() {
	if command -v flock >/dev/null 2>&1 && program=$(command -v "$1"); then
		exec 9<"$program"
		flock 9
	fi
}

# restore TOOL
restore() {
	wait=
	# Two programs that change iptables at once fail where they cannot wait.
	if "$1-restore" --help 2>&1 | grep -q -e --wait; then
		wait='-w 10'
	fi
	# shellcheck disable=SC2086 # two words, or none
	{
		cat "$directory/rules.$1"
		"$1-save" 2>/dev/null | grep -q -x -e "-A PREROUTING -j $chain" || printf -- '-A PREROUTING -j %s\n' "$chain"
		echo COMMIT
	} | "$1-restore" $wait --noflush
}

if [ -f "$directory/rules.nft" ]; then
	nft -f "$directory/rules.nft"
fi
alone iptables-restore
for tool in iptables ip6tables; do
	if [ -f "$directory/rules.$tool" ]; then
		restore "$tool"
	fi
done
mkdir -p /var/run/cutover
date +%s >"/var/run/cutover/traffic-$1"
