# What a mail server has accepted is delivered before it stops, or at least
# known: a message in the queue of a host that nobody calls any more is as good
# as lost. $service and $init are set; PATIENCE of a drain is $drain_for seconds.
# shellcheck disable=SC2154 # $service comes from the kinds of init

drain_for=15

# mail_server prints which mail server the service is, or nothing.
mail_server() {
	case ${service%.service} in
	sendmail) echo sendmail ;;
	postfix | postfix@*) echo postfix ;;
	esac
}

sendmail_queue() {
	directory=$(sed -n 's/^O QueueDirectory=//p' /etc/mail/sendmail.cf 2>/dev/null)
	echo "${directory:-/var/spool/mqueue}"
}

# undelivered counts messages that a mail server has accepted. Of Postfix's
# deferred ones, too; unless "fresh" is given, those that nothing stands in the
# way of.
undelivered() { # MAIL-SERVER [fresh]
	# Its directory may be a pattern, for several queues.
	# shellcheck disable=SC2046
	case $1 in
	sendmail) find $(sendmail_queue) -type f -name 'qf*' 2>/dev/null ;;
	postfix)
		set -- "${2-}" "$(postconf -h queue_directory 2>/dev/null)"
		[ -n "$2" ] || return 0
		[ "$1" = fresh ] || find "$2/deferred" -type f 2>/dev/null
		find "$2/incoming" "$2/active" "$2/maildrop" -type f 2>/dev/null
		;;
	esac | wc -l
}

# drain_first has what is on its way delivered while the service runs.
drain_first() {
	case $(mail_server)/$init in
	postfix/*) settle_postfix ;;
	sendmail/sysv) end_sendmail ;;
	esac
}

settle_postfix() {
	until=$(($(date +%s) + drain_for))
	while [ "$(undelivered postfix fresh)" -gt 0 ] && [ "$(date +%s)" -lt "$until" ]; do pause; done
}

# Sendmail's daemons end at once on SIGTERM; those of their children that
# deliver, or talk to a client, go on, and are waited for. Its script would do
# the same, and sleep for two seconds after each.
end_sendmail() {
	groups=$(sysv_groups | tr '\n' ' ')
	daemons=$(sysv_pids | tr '\n' ' ')
	for pid in $daemons; do kill "$pid" 2>/dev/null; done
	began=$(date +%s)
	while [ -n "$(members "$groups")" ] && [ "$(date +%s)" -lt $((began + drain_for)) ]; do
		# A client that keeps its session open without a word is told to go. Sendmail
		# shows in its arguments what it does.
		if [ "$(date +%s)" -gt $((began + 2)) ]; then
			for pid in $(members "$groups"); do
				if grep -q 'cmd read' "/proc/$pid/cmdline" 2>/dev/null; then kill "$pid" 2>/dev/null; fi
			done
		fi
		pause
	done
}

# drain_last sees to what is in the queue although the service has stopped, and
# says how much stays there.
drain_last() {
	server=$(mail_server)
	case $server in
	'') return ;;
	sendmail)
		# Those alone that nobody has tried to deliver yet, however busy the host.
		if [ "$(undelivered sendmail)" -gt 0 ]; then
			bounded sendmail -OQueueLA=1000000 -OMinQueueAge=1d -qf
		fi
		;;
	postfix)
		tries=0
		while [ "$(undelivered postfix fresh)" -gt 0 ] && [ "$tries" -lt 2 ]; do
			"${init}_start" '' && settle_postfix
			"${init}_stop" || return 1
			wait_for "${init}_stopped" || return 1
			tries=$((tries + 1))
		done
		;;
	esac
	echo "queued $(undelivered "$server")"
}

# bounded runs a command for $drain_for seconds at most.
bounded() { # COMMAND...
	"$@" >/dev/null 2>&1 </dev/null &
	child=$!
	until=$(($(date +%s) + drain_for))
	while kill -0 "$child" 2>/dev/null && [ "$(date +%s)" -lt "$until" ]; do pause; done
	kill "$child" 2>/dev/null
	wait "$child" 2>/dev/null
}
