# Services of SysV init. $service is the name of a script in /etc/init.d.
# shellcheck disable=SC2154 # $patience comes from set.sh

# processes prints all processes: number, state, parent, group (proc(5)).
processes() {
	cat /proc/[0-9]*/stat 2>/dev/null | sed -n 's/^\([0-9]*\) (.*) \([A-Za-z]\) \([0-9]*\) \([0-9]*\) .*/\1 \2 \3 \4/p'
}

# stopped is not empty when this run has seen that nothing of the service runs.
sysv_name() {
	[ "$1" = "${service-}" ] || stopped=
	service=$1
}

sysv_exists() { [ -x "/etc/init.d/$service" ]; }

# pids prints the processes that the service's pid files name and that are
# alive. Which files these are the script may say; the rest is custom.
sysv_pids() {
	mentioned=$(grep -o '/[A-Za-z0-9/._-]*\.pid' "/etc/init.d/$service" 2>/dev/null)
	for file in $mentioned "/var/run/$service.pid" "/var/run/$service"/*.pid "/var/run/$service"/*/*.pid; do
		[ -f "$file" ] || continue
		read -r pid _ <"$file" 2>/dev/null || [ -n "${pid-}" ] || continue
		case $pid in
		'' | *[!0-9]*) ;;
		*) if kill -0 "$pid" 2>/dev/null; then echo "$pid"; fi ;;
		esac
	done | sort -u
}

# programs prints the binaries that the script names as its daemons.
sysv_programs() {
	sed -n "s/^[[:space:]]*[A-Z_]*DAEMON=[\"']\{0,1\}\(\/[A-Za-z0-9\/._\$-]*\)[\"']\{0,1\}.*/\1/p" "/etc/init.d/$service" |
		while read -r program; do
			case $program in
			*/\$NAME) program=${program%/*}/$(sed -n "s/^[[:space:]]*NAME=[\"']\{0,1\}\([A-Za-z0-9._-]*\).*/\1/p" "/etc/init.d/$service" | head -n 1) ;;
			esac
			[ -x "$program" ] || continue
			program=$(readlink -f "$program")
			# A script runs as its interpreter, which tells nothing.
			[ "$(head -c 2 "$program")" = '#!' ] || echo "$program"
		done | sort -u
}

# running_programs prints the processes that run one of the programs listed in
# a file.
running_programs() { # FILE
	# shellcheck disable=SC2012 # the names are numbers; ls reads all links at once
	ls -l /proc/[0-9]*/exe 2>/dev/null | awk '
		FNR == NR { wanted[$1] = 1; next }
		/ -> / {
			sub(/ \(deleted\)$/, "")
			program = $0; sub(/.* -> /, "", program)
			pid = $0; sub(/\/exe -> .*/, "", pid); sub(/.*\/proc\//, "", pid)
			if (program in wanted) print pid
		}' "$1" -
}

# alive prints the processes of the daemons themselves.
sysv_alive() {
	sysv_pids
	list=$(mktemp /tmp/cutover-service.XXXXXX) || return
	sysv_programs >"$list"
	if [ -s "$list" ]; then running_programs "$list"; fi
	rm -f "$list"
}

# A status action is believed when it says that nothing runs (exit codes of
# the LSB: 1 to 3). When it says that something runs, it may be one that
# always says so, as Sendmail's does on Debian: then a process must be there,
# where it can be known which.
sysv_running() {
	[ -z "$stopped" ] || return 1
	code=4
	if grep -q 'status' "/etc/init.d/$service"; then
		"/etc/init.d/$service" status >/dev/null 2>&1 </dev/null
		code=$?
	fi
	case $code in
	0) [ -z "$(sysv_programs)" ] || [ -n "$(sysv_alive)" ] ;;
	1 | 2 | 3) return 1 ;;
	*) [ -n "$(sysv_alive)" ] ;;
	esac
}

sysv_stopped() {
	if sysv_running; then return 1; fi
	stopped=yes
}

# settle waits for a stop that is under way, whoever began it: the script may sleep
# when nothing of its service is left.
sysv_settle() {
	[ -z "$stopped" ] || return 0
	began=$(date +%s)
	while cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n' |
		awk -v script="/etc/init.d/$service" 'before == script && $0 == "stop" { found = 1 } { before = $0 } END { exit !found }' &&
		[ "$(date +%s)" -lt $((began + 10)) ]; do pause; done
}

# links prints the service's start links of the runlevels that it may boot to.
sysv_links() {
	level=$(sed -n 's/^[^#:]*:\([2-5]\):initdefault:.*/\1/p' /etc/inittab 2>/dev/null)
	for dir in "/etc/rc${level:-2}.d" "/etc/rc.d/rc${level:-2}.d" /etc/rcS.d; do
		for link in "$dir"/S[0-9][0-9]"$service"; do
			if [ -h "$link" ] || [ -e "$link" ]; then echo "$link"; fi
		done
	done
}

sysv_enabled() { [ -n "$(sysv_links)" ]; }

sysv_words() { :; }

sysv_known() { ls /etc/init.d; }

# action runs an action of the script with the bare environment of a boot, and
# with files for its output: a daemon that keeps them open would keep the
# connection open, too.
sysv_action() { # ACTION
	log=$(mktemp /tmp/cutover-service.XXXXXX) || return 1
	env -i PATH="$PATH" LC_ALL=C TERM=dumb "/etc/init.d/$service" "$1" >"$log" 2>&1 </dev/null
	code=$?
	tail -n 8 "$log" >&2
	rm -f "$log"
	return "$code"
}

sysv_start() {
	stopped=
	sysv_settle
	sysv_action start
}

sysv_restart() {
	stopped=
	sysv_action restart
}

# groups prints the process groups of the daemons themselves, which no process
# but init has started. Sessions that a daemon has let go, such as logins, have
# groups of their own; whatever this script runs under is never among them.
sysv_groups() {
	alive=$(sysv_alive | tr '\n' ' ')
	processes | awk -v alive=" $alive" -v self="$$" '
		{ parent[$1] = $3; group[$1] = $4 }
		END {
			for (pid = self; pid > 1 && pid in parent; pid = parent[pid]) ours[group[pid]] = 1
			for (pid in parent)
				if (index(alive, " " pid " ") && parent[pid] == 1 && !(group[pid] in ours)) found[group[pid]] = 1
			for (g in found) print g
		}'
}

# members prints the processes of some groups that are not zombies.
members() { # GROUPS
	processes | awk -v groups=" $1 " '$2 != "Z" && index(groups, " " $4 " ") { print $1 }'
}

# over reports whether a stop that is under way has nothing to do any more but
# sleep, where that is known. Apache's script looks once a second whether the
# daemon is gone; Dovecot's master sleeps for a second when all that it has started
# is gone but the process that writes its log, and its anvil never is before.
over() { # GROUPS
	left=$(members "$1")
	case $service in
	apache2) [ -z "$left" ] ;;
	dovecot)
		[ -n "$left" ] || return 0
		read -r master 2>/dev/null </var/run/dovecot/master.pid || return 1
		logs=
		for pid in $left; do
			if grep -q '^dovecot/log' "/proc/$pid/cmdline" 2>/dev/null; then
				logs=yes
			elif [ "$pid" != "$master" ]; then
				return 1
			fi
		done
		[ -n "$logs" ]
		;;
	*) false ;;
	esac
}

# useless prints those of some processes that can do nothing any more without their
# daemon: one of Dovecot's login processes has clients that have not logged in yet.
useless() { # PROCESS...
	[ "$service" = dovecot ] || return 0
	for pid; do
		if grep -q '^dovecot/[a-z0-9]*-login' "/proc/$pid/cmdline" 2>/dev/null; then echo "$pid"; fi
	done
}

# stop does not leave children of the daemon behind: what still runs after ten
# seconds, such as an SMTP session that a client does not end, is ended. Nobody
# waits for what only sleeps: clients do for the stop.
sysv_stop() {
	groups=$(sysv_groups | tr '\n' ' ')
	log=$(mktemp /tmp/cutover-service.XXXXXX) || return 1
	(
		trap '' HUP
		exec env -i PATH="$PATH" LC_ALL=C TERM=dumb "/etc/init.d/$service" stop >"$log" 2>&1 </dev/null
	) &
	script=$!
	while kill -0 "$script" 2>/dev/null; do
		if [ -n "$groups" ] && over "$groups"; then
			rm -f "$log"
			stopped=yes
			return 0
		fi
		pause
	done
	wait "$script"
	code=$?
	tail -n 8 "$log" >&2
	rm -f "$log"
	# shellcheck disable=SC2046 # a list of numbers
	set -- $(useless $(members "$groups"))
	if [ "$#" -gt 0 ]; then kill "$@" 2>/dev/null; fi
	began=$(date +%s)
	ended=
	while [ -n "$(members "$groups")" ] && [ "$(date +%s)" -lt $((began + patience)) ]; do
		if [ -z "$ended" ] && [ "$(date +%s)" -ge $((began + 10)) ]; then
			# shellcheck disable=SC2046 # a list of numbers
			kill $(members "$groups") 2>/dev/null
			ended=1
		fi
		pause
	done
	for pid in $(members "$groups"); do
		echo "still running: $pid $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)" >&2
		code=1
	done
	return "$code"
}

# in_turn runs a command alone: insserv has no lock of its own.
in_turn() { # COMMAND...
	began=$(date +%s)
	until mkdir /var/run/cutover-service.lock 2>/dev/null; do
		# Whoever made it has been killed: no run takes this long.
		[ "$(date +%s)" -lt $((began + 30)) ] || rmdir /var/run/cutover-service.lock 2>/dev/null
		pause
	done
	log=$("$@" 2>&1 </dev/null)
	code=$?
	rmdir /var/run/cutover-service.lock
	[ "$code" -eq 0 ] || printf '%s\n' "$log" >&2
	return "$code"
}

has_links() {
	for link in /etc/rc?.d/[SK][0-9][0-9]"$service"; do
		if [ -h "$link" ]; then return 0; fi
	done
	return 1
}

sysv_enable() {
	if command -v update-rc.d >/dev/null 2>&1; then
		has_links || in_turn update-rc.d "$service" defaults || return 1
		sysv_enabled || in_turn update-rc.d "$service" enable
	elif command -v chkconfig >/dev/null 2>&1; then
		in_turn chkconfig "$service" on
	else
		echo "there is neither update-rc.d nor chkconfig" >&2
		return 1
	fi
}

sysv_disable() {
	if command -v update-rc.d >/dev/null 2>&1; then
		in_turn update-rc.d "$service" disable
	elif command -v chkconfig >/dev/null 2>&1; then
		in_turn chkconfig "$service" off
	else
		echo "there is neither update-rc.d nor chkconfig" >&2
		return 1
	fi
}

sysv_explain() { "/etc/init.d/$service" status 2>&1 </dev/null | tail -n 6; }
