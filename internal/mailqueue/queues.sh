# Finds the mail queues of this host. For the scripts that stand behind it.

# sendmail_queues prints the queue directories of Sendmail, its queue groups' and
# that of what users of the host hand in, one a line.
#   $1 directory with sendmail.cf and submit.cf
sendmail_queues() {
	for cf in "$1/sendmail.cf" "$1/submit.cf"; do
		[ -f "$cf" ] || continue
		sed -n -e 's/^O *QueueDirectory *= *//p' -e '/^Q/s/.*[, ]P[a-z]* *= *\([^,]*\).*/\1/p' "$cf"
	done | sort -u | while IFS= read -r pattern; do
		# Its name may be a pattern, for several directories.
		# shellcheck disable=SC2086
		for directory in $pattern; do
			if [ -d "$directory" ]; then printf '%s\n' "$directory"; fi
		done
	done
}

# part prints where files of a kind (qf, df, xf) lie in a queue directory of
# Sendmail: in a directory of that name where there is one.
part() { # DIRECTORY KIND
	if [ -d "$1/$2" ]; then printf '%s\n' "$1/$2"; else printf '%s\n' "$1"; fi
}

# postfix_queues prints for each instance of Postfix: NAME CONFIGURATION QUEUE,
# where NAME is "postfix" for the first and the instance's own name for others.
postfix_queues() {
	command -v postconf >/dev/null 2>&1 || return 0
	{ postmulti -l 2>/dev/null || echo - - y "$(postconf -h config_directory 2>/dev/null)"; } | while read -r name _ _ config; do
		if [ "$name" = - ]; then name=postfix; fi
		queue=$(postconf -c "$config" -h queue_directory 2>/dev/null)
		if [ -d "$queue" ]; then printf '%s %s %s\n' "$name" "$config" "$queue"; fi
	done
}

exim_program() { command -v exim4 || command -v exim; }

# exim_spool prints Exim's spool directory, or nothing.
exim_spool() {
	exim=$(exim_program) || return 0
	spool=$("$exim" -bP spool_directory 2>/dev/null | sed -n 's/^spool_directory = //p')
	if [ -d "$spool" ]; then printf '%s\n' "$spool"; fi
}

# programs prints the programs that work on the queues of a mail server.
programs() { # MTA
	case $1 in
	postfix*) echo "$(postconf -h daemon_directory 2>/dev/null)/master" ;;
	exim) exim_program ;;
	sendmail)
		echo /usr/sbin/sendmail-mta
		echo /usr/sbin/sendmail-msp
		echo /usr/sbin/sendmail.sendmail
		# The sendmail of Postfix and of Exim is another program.
		if ! command -v postconf >/dev/null 2>&1 && ! exim_program >/dev/null; then
			command -v sendmail
		fi
		;;
	esac
}

# running says whether a mail server works on its queue: its daemon, or somebody
# else's run of it. Programs of a container are other files.
running() { # MTA
	ours=$(programs "$1" | while IFS= read -r program; do stat -L -c '%d:%i' "$program" 2>/dev/null; done)
	[ -n "$ours" ] || return 1
	stat -L -c '%d:%i' /proc/[0-9]*/exe 2>/dev/null | grep -q -x -F -e "$ours"
}
