# Ends the SSH, SFTP and FTP sessions of the users that standard input names,
# one a line, and what runs in them. Their mail and everything else that did
# not come out of such a session goes on. Prints how many sessions there were.
set -u

uids=' '
while read -r name; do
	uids="$uids$(id -u "$name" 2>/dev/null) "
done

# sessions prints "session PID" for servers that run as one of the users, and
# "inside PID" for the users' processes below them.
sessions() {
	cat /proc/[0-9]*/status 2>/dev/null | awk -v uids="$uids" '
		/^Name:/ { name = $2 }
		/^Pid:/ { pid = $2 }
		/^PPid:/ { parent[pid] = $2 }
		/^Uid:/ {
			theirs[pid] = index(uids, " " $2 " ") || index(uids, " " $3 " ")
			if (theirs[pid] && name ~ /^(sshd|sshd-session|sftp-server|vsftpd|proftpd|pure-ftpd|ftpd|in\.ftpd|wu-ftpd)$/)
				session[pid] = 1
		}
		END {
			for (pid in session) print "session", pid
			for (pid in theirs) {
				if (!theirs[pid] || pid in session) continue
				for (p = pid; p > 1 && !(p in session); p = parent[p]) if (!(p in parent)) break
				if (p in session) print "inside", pid
			}
		}'
}

send() { # SIGNAL KIND
	for pid in $(sessions | sed -n "s/^$2 //p"); do
		kill "-$1" "$pid" 2>/dev/null || :
	done
}

found=$(sessions | grep -c '^session')
tries=0
# What logged in while the lock was being made shows only a moment later.
while [ "$tries" -lt 25 ]; do
	if [ -z "$(sessions)" ]; then
		[ "$tries" -le 4 ] || break
	elif [ "$tries" -lt 15 ]; then
		send HUP inside
		send TERM session
	else
		send KILL inside
		send KILL session
	fi
	tries=$((tries + 1))
	sleep 0.2 2>/dev/null || sleep 1
done
if left=$(sessions) && [ -n "$left" ]; then
	echo "sessions do not end: $left" >&2
	exit 1
fi
echo "$found"
