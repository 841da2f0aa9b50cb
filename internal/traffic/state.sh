# What was counted for a tunnel, and what can count on this host. Changes
# nothing but the clock of its own that iptables needs.
#   $1 the tunnel's name
#   $2 its table in nftables
# Prints lines:
#   now SECONDS, since SECONDS    since 1970, by the host's clock
#   init KIND                     systemd or sysv
#   tool NAME                     nft, iptables, ip6tables: works here
#   file NAME                     is in the tunnel's directory
#   ports TEXT                    the ports, as they are written there
#   nft LINE                      of the table
#   iptables RULE, ip6tables RULE with counters in front
#   recent LIST LINE              of a list of xt_recent
#   jiffies NUMBER, later NUMBER  its clock, and again a second later
set -u
name=$1
directory=/etc/cutover/traffic-$name
echo "now $(date +%s)"
if [ -s "/var/run/cutover/traffic-$name" ]; then
	echo "since $(cat "/var/run/cutover/traffic-$name")"
fi
if [ -d /run/systemd/system ]; then
	echo "init systemd"
elif [ -f /etc/inittab ]; then
	echo "init sysv"
fi
for file in "$directory"/*; do
	[ ! -f "$file" ] || echo "file ${file##*/}"
done
[ ! -f "$directory/ports" ] || echo "ports $(cat "$directory/ports")"

if command -v nft >/dev/null 2>&1 && nft list tables >/dev/null 2>&1; then
	echo "tool nft"
	# -nn: ports as numbers.
	nft -nn list table inet "$2" 2>/dev/null | sed 's/^/nft /'
fi
for tool in iptables ip6tables; do
	# Without -t, which would make a table that is not there.
	if command -v "$tool-restore" >/dev/null 2>&1 && rules=$("$tool-save" -c 2>/dev/null); then
		echo "tool $tool"
		printf '%s\n' "$rules" | grep -e "-A CVC-$name " | sed "s/^/$tool /"
	fi
done

for file in "/proc/net/xt_recent/cvc-$name-"* "/proc/net/xt_recent/cvc6-$name-"*; do
	[ ! -f "$file" ] || sed "s/^/recent ${file##*/} /" "$file"
done
# xt_recent tells times in ticks of the kernel, and nobody how many of them are
# in a second. An entry of our own shows the tick of now.
clock=/proc/net/xt_recent/cvc-$name-now
if [ -f "$clock" ]; then
	tick() {
		echo +192.0.2.1 >"$clock"
		sed -n 's/.*last_seen: \([0-9]*\) .*/\1/p' "$clock"
	}
	echo "jiffies $(tick)"
	sleep 1
	echo "later $(tick)"
fi
exit 0
