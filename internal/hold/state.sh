# What a host has of holds, and what a new one depends on there. Reads only.
# Prints lines:
#   now SECONDS          since 1970, by the host's clock
#   uptime SECONDS       since this boot
#   boot ID              of this boot
#   arrived PORT         of the sshd through which this script was started
#   ipv6                 the host speaks IPv6
#   tool NAME            nft, iptables, ip6tables: works here
#   record NAME KEY VALUE...
#   nft NAME LINE        a line of the hold's table, '_' in NAME being '-' in the hold's
#   iptables RULE, ip6tables RULE
#   list NAME            a list of xt_recent of a hold that has begun
set -u
echo "now $(date +%s)"
read -r uptime _ </proc/uptime
echo "uptime ${uptime%%.*}"
echo "boot $(cat /proc/sys/kernel/random/boot_id 2>/dev/null)"

# sudo clears the environment; that of the process which sshd started still has it.
pid=$$
while [ "${pid:-0}" -gt 1 ]; do
	connection=$(tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | sed -n 's/^SSH_CONNECTION=//p' | head -n 1)
	if [ -n "$connection" ]; then
		echo "arrived ${connection##* }"
		break
	fi
	pid=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$pid/status" 2>/dev/null)
done

if read -r _ 2>/dev/null </proc/net/if_inet6; then
	echo ipv6
fi

for file in /var/lib/cutover/hold-*; do
	[ -f "$file" ] || continue
	case $file in *.new) continue ;; esac
	while read -r line; do
		case $line in '#'*) ;; *) echo "record ${file#/var/lib/cutover/hold-} $line" ;; esac
	done <"$file"
done

if command -v nft >/dev/null 2>&1 && tables=$(nft list tables 2>/dev/null); then
	echo "tool nft"
	for table in $(printf '%s\n' "$tables" | sed -n 's/^table inet \(cutover_hold_[a-z0-9_]*\)$/\1/p'); do
		# -nn: ports as numbers. A table that goes meanwhile has no lines.
		nft -nn list table inet "$table" 2>/dev/null | sed "s/^/nft ${table#cutover_hold_} /"
	done
fi
for tool in iptables ip6tables; do
	# Without -t, which would make a table that is not there.
	if command -v "$tool-restore" >/dev/null 2>&1 && rules=$("$tool-save" 2>/dev/null); then
		echo "tool $tool"
		printf '%s\n' "$rules" | grep -e '^-A PREROUTING .*-j CUTOVER-HOLD-' -e '^-A CUTOVER-HOLD-' | sed "s/^/$tool /"
	fi
done
for list in /proc/net/xt_recent/CUTOVER-HOLD*; do
	if read -r _ 2>/dev/null <"$list"; then
		echo "list ${list##*/}"
	fi
done
exit 0
