# Services of systemd. $service is a unit with its suffix.

systemd_name() { # NAME
	case $1 in
	*.service | *.socket | *.path | *.timer | *.target | *.mount) service=$1 ;;
	*) service=$1.service ;;
	esac
}

newline='
'

# look asks once for what get is to be asked for, until blink.
look() {
	seen=$newline$(systemctl show "$service" -p LoadState -p ActiveState -p SubState -p TriggeredBy -p ConsistsOf -p UnitFileState)
}
blink() { seen=; }

get() { # UNIT PROPERTY
	if [ -n "${seen-}" ] && [ "$1" = "$service" ]; then
		# Without another process: clients may be waiting.
		value=${seen#*"$newline$2="}
		[ "$value" = "$seen" ] || printf '%s\n' "${value%%"$newline"*}"
		return
	fi
	systemctl show "$1" -p "$2" | sed "s/^$2=//"
}

systemd_exists() {
	loaded=$(get "$service" LoadState)
	[ -n "$loaded" ] || {
		echo "systemctl does not answer" >&2
		exit 1
	}
	[ "$loaded" != not-found ]
}

# triggers are the units that start the service when something happens.
systemd_triggers() {
	for trigger in $(get "$service" TriggeredBy); do
		case $trigger in
		*.socket | *.path) echo "$trigger" ;;
		esac
	done
}

is_active() { # UNIT
	case $(get "$1" ActiveState) in
	active | reloading | refreshing) return 0 ;;
	esac
	return 1
}

is_enabled() { # UNIT
	if [ -n "${seen-}" ] && [ "$1" = "$service" ]; then
		case $(get "$1" UnitFileState) in
		enabled | enabled-runtime) return 0 ;;
		disabled | static | masked) return 1 ;;
		esac
	fi
	case $(systemctl is-enabled "$1" 2>/dev/null) in
	enabled | enabled-runtime | alias) return 0 ;;
	esac
	return 1
}

# A unit may stand for others that do the work, and be active (exited) while
# they are not, as Debian's postfix.service is.
systemd_running() {
	is_active "$service" || return 1
	[ "$(get "$service" SubState)" = exited ] || return 0
	parts=$(get "$service" ConsistsOf)
	[ -n "$parts" ] || return 0
	for part in $parts; do
		if is_active "$part"; then return 0; fi
	done
	return 1
}

systemd_stopped() {
	for part in "$service" $(get "$service" ConsistsOf); do
		case $(get "$part" ActiveState) in
		inactive | failed | maintenance) ;;
		*) return 1 ;;
		esac
	done
}

# settle waits, at most five seconds, for a change that is under way.
systemd_settle() {
	until=$(($(date +%s) + 5))
	while [ "$(date +%s)" -lt "$until" ]; do
		case $(get "$service" ActiveState)/$(get "$service" SubState) in
		*/auto-restart) return ;;
		activating/* | deactivating/*)
			pause
			if [ -n "${seen-}" ]; then look; fi
			;;
		*) return ;;
		esac
	done
}

systemd_enabled() { is_enabled "$service"; }

systemd_words() {
	echo "state $(get "$service" ActiveState) ($(get "$service" SubState)), $(systemctl is-enabled "$service" 2>/dev/null || :)"
	for trigger in $(systemd_triggers); do
		words=$trigger
		if is_active "$trigger"; then words="$words active"; fi
		if is_enabled "$trigger"; then words="$words enabled"; fi
		echo "trigger $words"
	done
}

systemd_known() {
	systemctl list-unit-files --no-legend --no-pager --type=service --type=socket 2>/dev/null | sed 's/[[:space:]].*//; s/\.service$//'
}

systemd_start() { # TRIGGERS
	for trigger in $1; do
		systemctl start "$trigger" || return 1
	done
	systemctl start "$service"
}

systemd_restart() { systemctl restart "$service"; }

systemd_stop() {
	for trigger in $(systemd_triggers); do
		if is_active "$trigger"; then systemctl stop "$trigger" || return 1; fi
	done
	systemctl stop "$service"
}

systemd_enable() { # TRIGGERS
	# shellcheck disable=SC2086 # a list of units
	systemctl enable "$service" $1
}

systemd_disable() {
	for trigger in $(systemd_triggers); do
		if is_enabled "$trigger"; then systemctl disable "$trigger" || return 1; fi
	done
	systemctl disable "$service"
}

systemd_explain() {
	systemctl status --no-pager --lines=0 "$service" 2>&1 | sed -n '2,4p'
	journalctl -u "$service" -n 7 --no-pager -o cat 2>/dev/null
}
