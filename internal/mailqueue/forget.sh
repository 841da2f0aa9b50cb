# Takes away what the new host has of messages that are moved to it.
#   $1 their directory
#   $2 settle: finds out what became of one whose handing over broke off, and sees to it
#      that no other is handed over; forget: takes the directory away
# With forget, standard input has the KEY of each message that may go although it was not
# handed over, a line each. Exit code 75 (EX_TEMPFAIL of sysexits.h): messages are being
# handed over at this moment. 69 (EX_UNAVAILABLE): something is there that may not go.
set -u
spool=$1
[ -d "$spool" ] || exit 0
if [ -f "$spool/lock" ] && ! flock -n "$spool/lock" true; then exit 75; fi
case $2 in
settle)
	if [ -f "$spool/inject" ]; then sh "$spool/inject" "$spool" settle || exit 1; fi
	rm -f "$spool"/*.ready
	;;
forget)
	while read -r key; do
		[ ! -e "$spool/$key.done" ] || continue
		rm -f "$spool/$key.message" "$spool/$key.envelope" "$spool/$key.next" "$spool/$key.refused"
	done
	for left in "$spool"/*.envelope "$spool"/*.message "$spool"/*.injecting; do
		if [ -f "$left" ]; then
			echo "$left is still there" >&2
			exit 69
		fi
	done
	rm -f "$spool"/*.done "$spool"/*.refused "$spool"/*.next "$spool/inject" "$spool/inject.new" "$spool/new" "$spool/lock" "$spool/receiving"
	rm -rf "$spool/incoming"
	rmdir "$spool" || exit 1
	rmdir "${spool%/*}" "$(dirname "${spool%/*}")" 2>/dev/null
	;;
esac
exit 0
