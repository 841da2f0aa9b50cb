# What the old host has of a tunnel, and what else the relays depend on there.
# Reads only.
#   $1    the tunnel's name
#   $2... files to return whole
# Prints "key value" lines, then sections: "file PATH BYTES" with the content,
# and "listeners" with what ss or netstat says, one listener a line:
# local address, process.
set -u
name=$1
shift

# An init script that has stopped its service may sleep before the service's ports
# are free.
tries=0
while [ "$tries" -lt 50 ] && cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n' |
	awk 'before ~ /^\/etc\/init\.d\// && $0 == "stop" { found = 1 } { before = $0 } END { exit !found }'; do
	sleep 0.1 2>/dev/null || sleep 1
	tries=$((tries + 1))
done

if [ -d /run/systemd/system ]; then
	echo "init systemd"
	echo "active $(systemctl is-active "cutover-tunnel-$name.service" 2>/dev/null)"
	echo "enabled $(systemctl is-enabled "cutover-tunnel-$name.service" 2>/dev/null)"
	if [ -s "/var/run/cutover/tunnel-$name.pid" ]; then
		# Its main process is our supervisor.
		echo "relay $(cat "/var/run/cutover/tunnel-$name.pid")"
	else
		pid=$(systemctl show -p MainPID "cutover-tunnel-$name.service" 2>/dev/null)
		echo "relay ${pid#MainPID=}"
	fi
elif [ -f /etc/inittab ] && command -v telinit >/dev/null 2>&1; then
	echo "init sysv"
	if grep -q ":respawn:/etc/cutover/tunnel-$name/supervise\$" /etc/inittab; then
		echo "enabled enabled"
	else
		echo "enabled disabled"
	fi
	active=inactive
	for process in /proc/[0-9]*; do
		# The supervisor, started by init as "/bin/sh /etc/cutover/tunnel-NAME/supervise".
		if [ "$(tr '\0' ' ' <"$process/cmdline" 2>/dev/null)" = "/bin/sh /etc/cutover/tunnel-$name/supervise " ]; then
			active=active
		fi
	done
	echo "active $active"
	[ -s "/var/run/cutover/tunnel-$name.pid" ] && echo "relay $(cat "/var/run/cutover/tunnel-$name.pid")"
else
	echo "init none"
fi

[ -d "/etc/cutover/tunnel-$name" ] && echo "directory present"
command -v ssh >/dev/null 2>&1 && echo "ssh $(ssh -V 2>&1)"
# What the client would offer, in its order; only where the processor has AES, so
# that its order may be changed.
if grep -q '^flags\|^Features' /proc/cpuinfo 2>/dev/null && ! grep -qw aes /proc/cpuinfo; then
	: # the client's own order suits it
else
	ssh -F /dev/null -G relay 2>/dev/null </dev/null | grep '^ciphers '
fi
command -v ssh-keygen >/dev/null 2>&1 && echo "keygen present"

# Ports that transparent tunnels of other names translate: nothing listens there.
for other in /etc/cutover/tunnel-*/link.conf; do
	if [ -f "$other" ] && [ "$other" != "/etc/cutover/tunnel-$name/link.conf" ]; then
		other=${other%/link.conf}
		sed -n "s/^forwards=\"\(.*\)\"/other ${other##*/tunnel-} \1/p" "$other/link.conf"
	fi
done

# Addresses under which the new host may see this one: not loopback, not link-local.
if command -v ip >/dev/null 2>&1; then
	ip -o addr show scope global 2>/dev/null | awk '{ sub("/.*", "", $4); print "address", $4 }'
else
	ifconfig -a 2>/dev/null | awk '$1 == "inet" || $1 == "inet6" { sub("addr:", "", $2); print "address", $2 }'
fi

for file in "$@"; do
	if [ -f "$file" ]; then
		printf 'file %s %d\n' "$file" "$(wc -c <"$file")"
		cat "$file"
		echo
	fi
done

echo listeners
if command -v ss >/dev/null 2>&1; then
	# "*:22" is IPv4's alone to ss of iproute2 before 4.18, and of both families later.
	ss -4ltnp | awk 'NR > 1 { sub(/^\*:/, "0.0.0.0:", $4); print $4, $6 }'
	ss -6ltnp | awk 'NR > 1 { print $4, $6 }'
elif command -v netstat >/dev/null 2>&1; then
	netstat -ltnp 2>/dev/null | awk '$1 ~ /^tcp/ { print $4, $7 }'
else
	echo "Neither ss (iproute2) nor netstat (net-tools) is installed; one of them has to tell which ports are free." >&2
	exit 1
fi
