# One end of a layer-3 tunnel: its device, address, routes, firewall rules, and
# what the kernel has to be told to let the traffic through.
#   $1 up, down or status; up may be repeated, and down too
#   $2 the tunnel's directory, which has link.conf and the rules
# status changes nothing and prints a line for each thing that is amiss.
set -eu
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
directory=$2
# What link.conf sets: which end this is, what it is called, and its firewall.
end='' name='' account='' number='' address4='' address6='' firewall=''
# shellcheck disable=SC1091 # the tunnel writes it
. "$directory/link.conf"
device=tun$number
chain=CUTOVER-$number
run=/var/run/cutover
marker=$run/tunnel-$name.link
found=$run/forwarding.found   # what the settings were
others=$run/forwarding.others # who might have needed forwarding then
kept=$run/forwarding.kept     # for whom it was left on
sys=/proc/sys/net

# Hooks of iptables with the chain of ours that each leads to, as table:hook:chain.
if [ "$end" = from ]; then
	hooks="nat:PREROUTING:$chain nat:OUTPUT:$chain nat:POSTROUTING:$chain-POST mangle:FORWARD:$chain filter:FORWARD:$chain filter:INPUT:$chain-IN"
	owner=root table=cutover_tunnel_$(printf %s "$name" | tr - _)
else
	hooks="filter:FORWARD:$chain filter:INPUT:$chain-IN"
	owner=$account table=cutover_link_$(printf %s "$name" | tr - _)
fi

# families runs a function for each IP version that the link carries, with the
# version's mark in names of programs: nothing, or 6.
families() {
	if [ -n "$address4" ]; then
		"$1" '' "$address4/32"
	fi
	if [ -n "$address6" ]; then
		"$1" 6 "$address6/128"
	fi
}

device_up() {
	if [ ! -d "/sys/class/net/$device" ]; then
		ip tuntap add dev "$device" mode tun user "$owner"
	fi
	ip link set dev "$device" mtu 1500 up
}

# The old host's end has no address of its own: what it sends has the address
# by which the world knows it. At the new host's end a rule sends back what came
# through the tunnel, so that no other route of the host changes.
routes_up() {
	version=${1:-4}
	if [ "$end" = from ]; then
		ip -"$version" route replace "$2" dev "$device"
		return
	fi
	flags=
	[ "$version" = 4 ] || flags=nodad
	ip -"$version" addr replace "$2" dev "$device" $flags
	ip -"$version" route replace default dev "$device" table "$number"
	ip -"$version" rule show | grep -q "^$number:" ||
		ip -"$version" rule add pref "$number" from "${2%/*}" lookup "$number"
}

routes_down() {
	[ "$end" = to ] || return 0
	while ip -"${1:-4}" rule del pref "$number" from "${2%/*}" lookup "$number" 2>/dev/null; do :; done
}

# Forwarding is switched on for as long as tunnels need it. What was there
# before lies in files that a reboot takes away, as it takes away what we set.
forwarding_up() {
	mkdir -p "$run"
	: >"$marker"
	rm -f "$kept"
	if [ ! -f "$others" ]; then
		forwarders >"$others.new"
		mv "$others.new" "$others"
	fi
	# Replies to what this host asked by 127.0.0.1.
	echo 1 >"$sys/ipv4/conf/$device/route_localnet"
	if [ -n "$address4" ]; then
		switch_on "$sys/ipv4/ip_forward" "$sys"/ipv4/conf/*/forwarding "$sys/ipv4/conf/all/accept_redirects"
	fi
	if [ -n "$address6" ]; then
		# A host that forwards ignores router advertisements, and forgets the
		# routes that it has from them, unless it is told otherwise (accept_ra=2).
		heeding=
		for setting in "$sys"/ipv6/conf/*/accept_ra; do
			if [ "$(cat "$setting")" = 1 ] && [ "$(cat "${setting%accept_ra}forwarding")" = 0 ]; then
				heeding="$heeding $setting"
			fi
		done
		# shellcheck disable=SC2086 # a list of files
		switch_on "$sys/ipv6/conf/all/forwarding" "$sys"/ipv6/conf/*/forwarding $heeding
	fi
}

# switch_on MAIN SETTING...: sets MAIN to 1, and accept_ra to 2 where it is among
# the others, which the kernel changes with it. What they were is kept, but only of
# what is changed here.
switch_on() {
	[ "$(cat "$1")" != 1 ] || return 0
	if ! grep -qs "^$1 " "$found"; then
		{
			[ ! -f "$found" ] || cat "$found"
			for setting; do
				case $setting in */"$device"/*) ;; *) echo "$setting $(cat "$setting")" ;; esac
			done
		} >"$found.new"
		mv "$found.new" "$found"
	fi
	for setting; do
		case $setting in */accept_ra) echo 2 >"$setting" ;; esac
	done
	echo 1 >"$1"
}

# forwarders prints a line for each thing of others that may need forwarding: a
# network device, as Docker, libvirt, LXC and VPNs make; a rule that lets
# forwarded packets pass or translates addresses; IPsec; a file that asks for it.
forwarders() {
	for other in /sys/class/net/*; do
		case ${other##*/} in lo | tun7[0-9][0-9][0-9]) ;; *) echo "the network device ${other##*/}" ;; esac
	done
	for tool in iptables ip6tables; do
		"$tool-save" 2>/dev/null | awk -v tool="$tool" '
			/CUTOVER-/ || /-j (DROP|REJECT)/ { next }
			/-j (MASQUERADE|SNAT|DNAT|NETMAP)/ || /^-A FORWARD / { print "the rule of " tool " " $0 }'
	done
	nft list ruleset 2>/dev/null | sed 's/ packets [0-9]* bytes [0-9]*//' | awk '
		$1 == "table" { table = $3; ours = forward = 0 }
		$1 == "chain" { forward = 0; ours = table ~ /^cutover_/ || $2 ~ /^CUTOVER-/ }
		/hook forward/ { forward = 1; next }
		ours || NF < 2 || /CUTOVER-|^[ \t]*#|drop|reject/ || $1 == "chain" || $1 == "table" { next }
		forward || /masquerade|snat|dnat/ { sub("^[ \t]*", ""); print "the rule of nft in table " table ": " $0 }'
	if ip xfrm policy 2>/dev/null | grep -q 'dir fwd'; then
		echo IPsec
	fi
	grep -s -e '^[[:space:]]*-*net[./]ipv[46].*forward.*=[[:space:]]*[12]' -e '^[[:space:]]*IP\(Forward\|Masquerade\|v[46]Forwarding\)[[:space:]]*=' \
		/etc/sysctl.conf /etc/sysctl.d/*.conf /run/sysctl.d/*.conf /usr/lib/sysctl.d/*.conf /etc/systemd/network/*.network | sed 's/^/the line of /'
}

# What has come since the tunnels began may need forwarding by now, and to
# switch it off would cut off containers or a VPN: then it stays on, until this
# is asked again and it has gone. from_stop.sh asks last, and tells.
forwarding_down() {
	rm -f "$marker"
	for other in "$run"/tunnel-*.link; do
		[ ! -f "$other" ] || return 0
	done
	if [ -f "$found" ]; then
		touch "$others"
		if forwarders | grep -vxF -f "$others" >"$kept"; then
			return 0
		fi
		while read -r setting value; do
			if [ -f "$setting" ] && [ "$(cat "$setting")" != "$value" ]; then
				echo "$value" >"$setting"
			fi
		done <"$found"
	fi
	rm -f "$found" "$others" "$kept"
	[ ! -d "$run" ] || rmdir "$run" 2>/dev/null || true
}

iptables_up() {
	# Our own chains are emptied and filled in one step; then the hooks.
	"ip${1}tables-restore" --noflush <"$directory/rules${1:-4}"
	for hook in $hooks; do
		in=${hook%%:*} rest=${hook#*:}
		"ip${1}tables-save" -t "$in" | grep -qxe "-A ${rest%:*} -j ${rest#*:}" ||
			"ip${1}tables" -t "$in" -I "${rest%:*}" -j "${rest#*:}"
	done
}

iptables_down() {
	for hook in $hooks; do
		in=${hook%%:*} rest=${hook#*:}
		while "ip${1}tables" -t "$in" -D "${rest%:*}" -j "${rest#*:}" 2>/dev/null; do :; done
	done
	# The chain that leads to another goes first.
	for hook in $hooks; do
		for ours in "${hook##*:}" "$chain"; do
			"ip${1}tables" -t "${hook%%:*}" -F "$ours" 2>/dev/null || true
			"ip${1}tables" -t "${hook%%:*}" -X "$ours" 2>/dev/null || true
		done
	done
	for hook in $hooks; do
		unmake "ip${1}tables" "${hook%%:*}"
	done
}

iptables_status() {
	now=$("ip${1}tables-save")
	loaded=$(printf '%s\n' "$now" | grep -ce "^-A $chain")
	if [ "$loaded" != "$(grep -ce "^-A $chain" "$directory/rules${1:-4}")" ]; then
		echo "firewall rules of ip${1}tables are gone or changed"
		return
	fi
	for hook in $hooks; do
		rest=${hook#*:}
		if ! printf '%s\n' "$now" | grep -qxe "-A ${rest%:*} -j ${rest#*:}"; then
			echo "firewall rules of ip${1}tables are gone or changed"
			return
		fi
	done
}

nft_down() {
	for family in ip ip6 inet; do
		nft delete table "$family" "$table" 2>/dev/null || true
	done
}

# nft lists a rule a line, indented as in our file.
nft_rules() { grep -c '^		[^ ]' "$@"; }

nft_status() {
	loaded=$(for family in ip ip6 inet; do nft list table "$family" "$table" 2>/dev/null || true; done | nft_rules)
	[ "$loaded" = "$(nft_rules "$directory/rules.nft")" ] || echo "firewall rules of nft are gone or changed"
}

routes_status() {
	version=${1:-4}
	if [ "$end" = from ]; then
		ip -"$version" route show | grep -q "^${2%/*} dev $device" || echo "the route to $2 is gone"
		return 0
	fi
	ip -"$version" addr show dev "$device" | grep -qF " $2 " || echo "address $2 is gone"
	ip -"$version" route show table "$number" 2>/dev/null | grep -q "^default dev $device" || echo "the default route of table $number is gone"
	ip -"$version" rule show | grep -q "^$number:" || echo "the routing rule from $2 is gone"
}

forwarding_status() {
	setting=$sys/ipv4/ip_forward
	[ -z "$1" ] || setting=$sys/ipv6/conf/all/forwarding
	[ "$(cat "$setting")" = 1 ] || echo "$setting is 0"
}

status() {
	if [ ! -d "/sys/class/net/$device" ]; then
		echo "$device is gone"
		return
	fi
	# Reading the carrier of a device that is down fails.
	[ "$(cat "/sys/class/net/$device/carrier" 2>/dev/null)" = 1 ] || echo "no SSH connection carries $device"
	families routes_status
	if [ "$firewall" = nft ]; then
		nft_status
	else
		families iptables_status
	fi
	[ "$end" = to ] || families forwarding_status
}

case $1 in
up | down)
	# One at a time, also beside what else of ours uses iptables. Locks on the
	# programs' own files leave no trace; they end with this script.
	if command -v flock >/dev/null 2>&1; then
		exec 8<"$(command -v ip)"
		flock 8
		if [ "$firewall" = iptables ] && command -v iptables-restore >/dev/null 2>&1; then
			exec 9<"$(command -v iptables-restore)"
			flock 9
		fi
	fi
	;;
esac
case $1 in
up)
	device_up
	families routes_up
	# Before forwarding is on, so that nothing else is ever forwarded.
	if [ "$firewall" = nft ]; then
		nft -f "$directory/rules.nft"
	else
		families iptables_up
	fi
	if [ "$end" = from ]; then
		forwarding_up
	fi
	;;
down)
	if [ "$end" = from ]; then
		forwarding_down
	fi
	if [ "$firewall" = nft ]; then
		nft_down
	else
		families iptables_down
	fi
	families routes_down
	[ ! -d "/sys/class/net/$device" ] || ip link delete dev "$device"
	;;
status)
	set +e
	status
	;;
esac
