# Brings a service to a state and describes it then. Arguments: NAME, RUNNING
# and ENABLED (yes, no, or - for "as it is"), RESTART (yes or -), PATIENCE in
# seconds, and the units, between commas, that are started and enabled along
# with it, or -. Those of a service that is to be stopped or disabled are what
# had been found beside it: a socket that waits. Last DRAIN, yes or -: whether a
# mail server that is stopped delivers first; then "queued NUMBER" says how many
# messages it has not. Then what was found before the first change, as describe
# says it, to be remembered here; "forget" it; or -.
# shellcheck disable=SC2154 # $init comes from detect.sh

name=$1 running=$2 enabled=$3 restart=$4 patience=$5 drain=$8 found=$9
start_along=$(printf '%s\n' "${6#-}" | tr , ' ')
enable_along=$(printf '%s\n' "${7#-}" | tr , ' ')
echo "init $init"
"${init}_name" "$name"
if ! "${init}_exists"; then
	describe "$name"
	exit 0
fi

# Terraform may be killed before it has written down what it found.
memory=/var/lib/cutover/service-$name
case $found in
- | forget) ;;
*)
	mkdir -p /var/lib/cutover
	printf '%s\n' "$found" >"$memory.new" && mv "$memory.new" "$memory" || exit 1
	;;
esac

give_up() { # MESSAGE
	"${init}_explain" >&2
	echo "$1" >&2
	exit 1
}

wait_for() { # CONDITION
	deadline=$(($(date +%s) + patience))
	until "$@"; do
		[ "$(date +%s)" -lt "$deadline" ] || return 1
		pause
	done
}

boot() { # whether it starts then
	case $enabled in
	yes)
		if ! "${init}_enabled" || [ -n "$enable_along" ]; then
			"${init}_enable" "$enable_along" >/dev/null || give_up "$name could not be enabled."
		fi
		"${init}_enabled" || give_up "$name is still not enabled: nothing at boot wants it."
		;;
	no)
		if "${init}_enabled" || "${init}_words" | grep -q '^trigger .* enabled'; then
			"${init}_disable" >/dev/null || give_up "$name could not be disabled."
		fi
		if "${init}_enabled"; then give_up "$name is still enabled."; fi
		for trigger in $enable_along; do
			systemctl enable "$trigger" >/dev/null || give_up "$trigger could not be enabled."
		done
		;;
	esac
}

"${init}_settle"
# Clients wait for a stop, and for nothing else.
[ "$running" = no ] || boot
case $running in
no)
	if ! "${init}_stopped" || "${init}_words" | grep -q '^trigger .* active'; then
		if [ "$drain" = yes ]; then drain_first; fi
		"${init}_stop" || give_up "$name could not be stopped."
	fi
	wait_for "${init}_stopped" || give_up "$name is still running after $patience s."
	if [ "$drain" = yes ]; then drain_last || give_up "$name could not be stopped."; fi
	for trigger in $start_along; do
		systemctl start "$trigger" || give_up "$trigger could not be started."
	done
	boot
	;;
yes)
	if ! "${init}_running" || [ -n "$start_along" ]; then
		"${init}_start" "$start_along" || give_up "$name could not be started."
		restart=-
		started=1
	fi
	;;
esac
if [ "$restart" = yes ] && "${init}_running"; then
	"${init}_restart" || give_up "$name could not be restarted."
	running=yes
	started=1
fi
if [ "$running" = yes ]; then
	wait_for "${init}_running" || give_up "$name was started, but is not running after $patience s."
	# A daemon may end a moment after its start has succeeded.
	if [ -n "${started-}" ]; then
		sleep 1
		"${init}_running" || give_up "$name was started, but ended at once."
	fi
fi
if [ "$found" = forget ]; then
	rm -f "$memory"
	rmdir /var/lib/cutover 2>/dev/null || :
fi
describe "$name"
