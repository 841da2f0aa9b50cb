# The last words of the relays.
#   $1 the tunnel's name
#   $2 systemd or sysv
set -u
case $2 in
systemd) journalctl --no-pager -n 15 -u "cutover-tunnel-$1.service" 2>&1 ;;
sysv)
	for log in /var/log/auth.log /var/log/syslog /var/log/messages; do
		[ -f "$log" ] && grep 'ssh\[' "$log" | tail -n 15
	done
	;;
esac
exit 0
