# What a host has that a layer-3 tunnel depends on. Reads only.
#   $1 the tunnel's name, whose own drop-in of sshd is no obstacle
# Prints "key value" lines.
set -u
name=$1

if [ -d /run/systemd/system ]; then
	echo "init systemd"
fi
if [ -c /dev/net/tun ]; then
	# The last of the three groups of a mode: what everybody may.
	mode=$(ls -lL /dev/net/tun)
	mode=${mode%% *}
	echo "tun ${mode#???????}"
fi
ip tuntap help 2>&1 | grep -qi tuntap && echo "tuntap present"
command -v nft >/dev/null 2>&1 && echo "nft present"
if command -v iptables-restore >/dev/null 2>&1 && command -v ip6tables-restore >/dev/null 2>&1; then
	echo "iptables present"
fi

# before tells a setting as it was before other tunnels changed it.
before() {
	value=$(awk -v setting="$1" '$1 == setting { print $2; exit }' /var/run/cutover/forwarding.found 2>/dev/null)
	echo "${value:-$(cat "$1")}"
}
echo "forwarding4 $(before /proc/sys/net/ipv4/ip_forward)"
[ -w /proc/sys/net/ipv4/ip_forward ] && echo "writable4 yes"
if [ -f /proc/sys/net/ipv6/conf/all/forwarding ] && [ "$(cat /proc/sys/net/ipv6/conf/all/disable_ipv6)" = 0 ]; then
	echo "forwarding6 $(before /proc/sys/net/ipv6/conf/all/forwarding)"
	[ -w /proc/sys/net/ipv6/conf/all/forwarding ] && echo "writable6 yes"
fi

ip -o addr show scope global 2>/dev/null | awk '{ sub("/.*", "", $4); print "address", $4 }'
for device in /sys/class/net/*; do
	echo "device ${device##*/}"
done
for version in 4 6; do
	# A route of another kind than unicast begins with that kind.
	ip -"$version" route show table all 2>/dev/null | awk '
		{ it = $1 ~ /^[a-z]+$/ && $1 != "default" ? $2 : $1; if (it != "default") print "route", it }
		{ for (i = 1; i < NF; i++) if ($i == "table") print "table", $(i + 1) }'
	ip -"$version" rule show 2>/dev/null | awk '{ sub(":", "", $1); print "table", $1; for (i = 1; i < NF; i++) if ($i == "lookup") print "table", $(i + 1) }'
done | sort -u

# Tables whose chains keep out what is forwarded, by policy or by a last rule
# without a condition, unless they know a device of ours.
if command -v nft >/dev/null 2>&1; then
	nft list ruleset 2>/dev/null | awk '
		$1 == "table" { table = $2 " " $3; forward = 0 }
		$1 == "chain" { forward = 0 }
		/hook forward/ { forward = 1; if (/policy drop/) drops[table] = 1 }
		forward && $0 ~ /^[ \t]+(counter [a-z0-9 ]*)?(drop|reject.*)$/ { drops[table] = 1 }
		/"tun7/ { knows[table] = 1 }
		END { for (t in drops) if (!knows[t]) print "drops", t }'
fi
if grep -qs filter /proc/net/ip_tables_names; then
	iptables -S FORWARD 2>/dev/null | grep -Eq '^-P FORWARD DROP|^-A FORWARD -j (DROP|REJECT)' && echo "drops ip filter"
fi

for config in /etc/ssh/sshd_config /etc/ssh/sshd_config.d/*.conf; do
	if [ -f "$config" ] && [ "$config" != "/etc/ssh/sshd_config.d/cutover-link-$name.conf" ]; then
		grep -qiE '^[[:space:]]*PermitTunnel[[:space:]=]+(no|ethernet)' "$config" && echo "forbids $config"
		grep -qiE '^[[:space:]]*Include[[:space:]]+/etc/ssh/sshd_config\.d/\*\.conf' "$config" && echo "include yes"
	fi
done

# Listening TCP sockets, so that it is known what answers beside localhost.
ss -ltn 2>/dev/null | awk 'NR > 1 { print "listens", $4 }'
exit 0
