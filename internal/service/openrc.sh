# Services of OpenRC. $service is the name of a script in /etc/init.d.

openrc_name() { service=$1; }

openrc_exists() { rc-service --exists "$service"; }

# The exit code of status is 0 for started alone (openrc-run(8)).
openrc_running() { rc-service "$service" status >/dev/null 2>&1 </dev/null; }

openrc_stopped() { ! openrc_running; }

openrc_settle() { :; }

openrc_enabled() {
	rc-update show 2>/dev/null | awk -F'|' -v name="$service" '
		{ gsub(/[[:space:]]/, "", $1); if ($1 == name && $2 ~ /[a-z]/) found = 1 }
		END { exit !found }'
}

openrc_words() { :; }

openrc_known() { rc-service --list; }

openrc_do() { # ACTION
	log=$(mktemp /tmp/cutover-service.XXXXXX) || return 1
	rc-service "$service" "$1" >"$log" 2>&1 </dev/null
	code=$?
	tail -n 8 "$log" >&2
	rm -f "$log"
	return "$code"
}

openrc_start() { openrc_do start; }

openrc_restart() { openrc_do restart; }

openrc_stop() { openrc_do stop; }

openrc_enable() { rc-update add "$service" default >/dev/null; }

openrc_disable() { rc-update del "$service" >/dev/null; }

openrc_explain() { rc-service "$service" status 2>&1 </dev/null | tail -n 6; }
