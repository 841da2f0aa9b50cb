# Hands messages to the mail server of this host, each once.
#   $1 their directory
#   $2 inject; or settle, which only finds out what became of one that was being handed
#      over when this program was ended
# The directory has of a message KEY:
#   KEY.message    the message
#   KEY.envelope   its Message-ID or an empty line, its sender, and its recipients
#   KEY.ready      it was set aside on the old host, and is to be handed over
#   KEY.injecting  it is being handed over: the number of the first recipient, its
#                  Message-ID, and how long each log was before
#   KEY.next       number of the first recipient for whom it was not handed over yet
#   KEY.refused    the mail server did not take it, and said this
#   KEY.done       it was handed over; it has what KEY.injecting had
set -u
umask 077
spool=$1 what=$2
at_once=500 # recipients that go onto one command line

# The lock ends with this program, however it ends, and not with what it starts.
exec 9>"$spool/lock"
flock -n 9 || exit 0

logs='/var/log/mail.log /var/log/maillog /var/log/exim4/mainlog /var/log/exim/mainlog /var/log/exim/main.log'

# put writes a file in one step.
put() { # FILE < CONTENT
	cat >"$spool/new" && mv "$spool/new" "$1" && { sync "$1" "$spool" 2>/dev/null || sync; }
}

lengths() {
	journalctl -q -n 0 --show-cursor 2>/dev/null | sed -n 's/^-- cursor: /journal /p'
	for log in $logs; do
		if [ -f "$log" ]; then echo "log $(stat -c '%i %s' "$log") $log"; fi
	done
}

# since prints what came to the logs since a message's mark was made.
since() { # MARK
	while read -r word first second path; do
		case $word in
		journal) journalctl -q -o cat --after-cursor="$first" 2>/dev/null ;;
		log)
			if [ "$(stat -c %i "$path" 2>/dev/null)" = "$first" ]; then
				tail -c "+$((second + 1))" "$path"
			else # the log was rotated
				for rotated in "$path.1" "$path.0"; do
					if [ "$(stat -c %i "$rotated" 2>/dev/null)" = "$first" ]; then tail -c "+$((second + 1))" "$rotated"; fi
				done
				cat "$path" 2>/dev/null
			fi
			;;
		esac
	done <"$1"
}

# taken says whether the mail server has a message whose handing over broke off: whether
# its queue, or a log, has had its Message-ID since. One that cannot be told from another
# by that is not found, and is handed over again: twice is better than never.
taken() { # KEY
	id=$(head -n 1 "$spool/$1.envelope")
	if [ -z "$id" ] || [ -f "$spool/$1.next" ]; then return 1; fi
	if [ "$(find "$spool" -maxdepth 1 -type f \( -name '*.done' -o -name '*.injecting' \) -exec grep -l -x -F -e "id $id" {} + | wc -l)" -gt 1 ]; then
		return 1
	fi
	if since "$spool/$1.injecting" | grep -q -a -F -e "$id"; then return 0; fi
	for queue in "$(postconf -h queue_directory 2>/dev/null)" /var/spool/exim4/input /var/spool/exim/input /var/spool/mqueue /var/spool/mqueue-client; do
		if [ -d "$queue" ] && find "$queue" -type f -newer "$spool/$1.injecting" ! -name 'cutover-*' -exec grep -l -a -s -F -e "$id" {} + 2>/dev/null | grep -q .; then
			return 0
		fi
	done
	return 1
}

# handed notes that a message was handed over, for the recipients before a number.
handed() { # KEY NUMBER
	if [ "$2" -gt "$(($(wc -l <"$spool/$1.envelope") - 2))" ]; then
		mv "$spool/$1.injecting" "$spool/$1.done"
		sync "$spool" 2>/dev/null || sync
		rm -f "$spool/$1.next" "$spool/$1.ready" "$spool/$1.message" "$spool/$1.envelope"
	else
		echo "$2" | put "$spool/$1.next" || exit 1
		rm -f "$spool/$1.injecting"
	fi
}

# inject hands a message over, and goes on where that has broken off.
inject() { # KEY
	key=$1
	sender=$(sed -n 2p "$spool/$key.envelope")
	while [ ! -e "$spool/$key.done" ]; do
		next=1
		if [ -f "$spool/$key.next" ]; then next=$(cat "$spool/$key.next"); fi
		set --
		while IFS= read -r recipient; do set -- "$@" "$recipient"; done <<RECIPIENTS
$(sed -n "$((next + 2)),$((next + 1 + at_once))p" "$spool/$key.envelope")
RECIPIENTS
		{
			echo "next $next"
			echo "id $(head -n 1 "$spool/$key.envelope")"
			lengths
		} | put "$spool/$key.injecting" || exit 1
		# -odb: the answer of Sendmail is that it has the message, and not whether it
		# could deliver it; to the others it means nothing, or the same.
		if said=$(sendmail -odb -i -f "$sender" -- "$@" <"$spool/$key.message" 2>&1 9>&-); then
			handed "$key" $((next + at_once))
		else
			echo "exit code $?: $said" | put "$spool/$key.refused" || exit 1
			rm -f "$spool/$key.injecting"
			return
		fi
	done
}

for mark in "$spool"/*.injecting; do
	[ -f "$mark" ] || continue
	key=${mark##*/}
	key=${key%.injecting}
	# What was started may still be reading it; then its log is on its way.
	while find /proc/[0-9]*/fd -lname "$spool/$key.message" 2>/dev/null | grep -q .; do sleep 1; done
	sleep 1
	if taken "$key"; then
		handed "$key" "$(($(sed -n 's/^next //p' "$mark") + at_once))"
	else
		rm -f "$mark"
	fi
done
for complete in "$spool"/*.done; do
	complete=${complete%.done}
	if [ -f "$complete.ready" ] || [ -f "$complete.message" ] || [ -f "$complete.envelope" ]; then
		rm -f "$complete.next" "$complete.ready" "$complete.message" "$complete.envelope"
	fi
done
[ "$what" = inject ] || exit 0

# Others may become ready meanwhile.
more=yes
while [ -n "$more" ]; do
	more=''
	for ready in "$spool"/*.ready; do
		[ -f "$ready" ] || continue
		key=${ready##*/}
		key=${key%.ready}
		if [ ! -e "$spool/$key.done" ] && [ ! -e "$spool/$key.refused" ]; then
			more=yes
			inject "$key"
		fi
	done
done
exit 0
