# How a change of sites is tried and taken over. The arguments are the server,
# its program, its unit, the TCP ports that must have a listener afterwards,
# with blanks between, and the logs of the sites.
: "${work:?}" # managedfile's first part is in front of this

# logs_before notes which logs are not there: nginx makes them while it tests.
logs_before() {
	shift 4
	for log in "$@"; do
		[ -e "$log" ] || say "$log"
	done >"$work/logs"
}

try() { # COMMAND…
	with=$1
	shift
	logs_before "$@"
	case $1 in
	apache) "$with" "$2" -t ;;
	nginx) "$with" "$2" -t ;;
	esac
}

undo() {
	[ -f "$work/logs" ] || return 0
	while IFS= read -r log; do
		[ -s "$log" ] || rm -f "$log"
	done <"$work/logs"
}

# reload is what the init system does for a reload, never a restart. Without
# systemd the master gets the signal that its own control program would send.
reload() { # SERVER UNIT MASTER
	if [ -d /run/systemd/system ] && systemctl is-active --quiet "$2.service"; then
		systemctl reload "$2.service"
		return
	fi
	case $1 in
	apache) kill -USR1 "$3" ;; # graceful: httpd.apache.org/docs/current/stopping.html
	nginx) kill -HUP "$3" ;;   # nginx.org/en/docs/control.html
	esac
}

# listening prints the ports on which the server listens, as far as the host
# says whose a socket is.
listening() { # SERVER
	case $1 in
	apache) names='apache2|httpd' ;;
	*) names=nginx ;;
	esac
	if command -v ss >/dev/null 2>&1; then
		ss -ltnp | awk -v names="$names" 'NR > 1 && ($6 == "" || $6 ~ names) { sub(".*:", "", $4); print $4 }'
	else
		netstat -ltnp 2>/dev/null | awk -v names="$names" '$1 ~ /^tcp/ && ($7 == "-" || $7 ~ names) { sub(".*:", "", $4); print $4 }'
	fi
}

error_log() { # SERVER
	for log in "/var/log/$1/error.log" "/var/log/${1}2/error.log" /var/log/httpd/error_log /usr/local/nginx/logs/error.log; do
		if [ -f "$log" ]; then
			say "$log"
			return
		fi
	done
}

log_size() {
	if [ -n "$1" ] && [ -f "$1" ]; then wc -c <"$1"; else echo 0; fi
}

# retire waits, two seconds at most, until the old workers take no more
# requests: nginx says so in their command lines, Apache ends them.
retire() {
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		left=
		while read -r old; do
			case $(tr '\0' ' ' <"/proc/$old/cmdline" 2>/dev/null) in
			'' | *'shutting down'*) ;;
			*) left=1 ;;
			esac
		done <"$work/workers"
		[ -n "$left" ] || return 0
		sleep 0.2 2>/dev/null || sleep 1
	done
}

# activate is over when the master has made a new worker: a server that could
# not take over its files goes on with the old workers, or is gone.
activate() {
	chief=$(master "$1") || {
		say "running no"
		return 0
	}
	workers "$chief" >"$work/workers"
	log=$(error_log "$1")
	size=$(log_size "$log")
	problem=
	if ! said=$(reload "$1" "$2" "$chief" 2>&1); then
		problem="reload failed"
		say "$said" | quoted
	fi
	tries=0
	while [ -z "$problem" ]; do
		if ! [ -d "/proc/$chief" ]; then
			problem=died
		elif workers "$chief" | grep -vxFf "$work/workers" >/dev/null; then
			break
		elif [ "$tries" -ge 75 ]; then
			problem=stale
		fi
		tries=$((tries + 1))
		sleep 0.2 2>/dev/null || sleep 1
	done
	[ -n "$problem" ] || retire
	tries=0
	[ "$problem" != stale ] || tries=10 # which ports it lacks may say why
	silent=
	while [ -z "$problem" ] || [ "$problem" = stale ]; do
		silent=
		open=$(listening "$1")
		for port in $4; do
			say "$open" | grep -qx "$port" || silent="$silent $port"
		done
		if [ -z "$silent" ] || [ "$tries" -ge 10 ]; then
			break
		fi
		tries=$((tries + 1))
		sleep 0.2 2>/dev/null || sleep 1
	done
	for port in $silent; do
		say "silent $port"
	done
	[ -z "$problem" ] || say "problem $problem"
	[ -n "$problem$silent" ] || return 0
	[ -z "$log" ] || tail -c "+$((size + 1))" "$log" | tail -n 8 | quoted
	return 1
}

# revive makes the server take over what was put back; one that has died over
# the change is started.
revive() {
	if chief=$(master "$1"); then
		reload "$1" "$2" "$chief"
	elif [ ! -f "$work/workers" ]; then
		: # it did not run before either
	elif [ -d /run/systemd/system ]; then
		systemctl start "$2.service"
	elif [ -x "/etc/init.d/$2" ]; then
		"/etc/init.d/$2" start
	else
		"$3" -k start
	fi >/dev/null 2>&1 </dev/null || :
}
