# Deals with a job that was started.
#
#   look NAME SECONDS FILE     says how it is getting on; waits SECONDS for its
#                              end, or for the job's FILE to be there ("" for none)
#   cancel NAME TOKEN SECONDS  ends it and all its processes; it has SECONDS to do
#                              so by itself. What it left is still there to be
#                              read. A job with another token goes on
#   remove NAME TOKEN          forgets it when it has ended
#   put NAME TOKEN FILE        gives it a file while it runs; stdin is the content
#
# look prints lines of a word, a blank and a value: phase, token, code, status,
# and file, result and error once for each line of FILE, of the job's result,
# and of what it said on stderr. It only reads.
#
# Exit code 3 of remove and put: there is no such job; of two that remove one at
# once, one gets this. 75 (EX_TEMPFAIL of sysexits.h): it still runs.
set -u
action=$1 name=$2
run=/run
[ -d /run ] || run=/var/run
dir=$run/cutover/job-$name

# phase says where the job is: none, starting, running, ended or died.
phase() {
	if [ ! -d "$dir" ]; then
		echo none
	elif [ -s "$dir/code" ]; then
		echo ended
	elif alive; then
		echo running
	elif [ -s "$dir/code" ]; then # while this script looked
		echo ended
	elif [ -s "$dir/pid" ]; then
		echo died
	elif [ -n "$(find "$dir" -prune -mmin +1 2>/dev/null)" ]; then
		echo died # its start broke off
	else
		echo starting
	fi
}

alive() {
	pid='' started=''
	read -r pid started 2>/dev/null <"$dir/pid" || return 1
	now=$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | cut -d' ' -f1,20)
	case $now in Z* | X*) return 1 ;; esac
	[ -n "$now" ] && [ "${now#* }" = "$started" ]
}

pause() { sleep 0.2 2>/dev/null || sleep 1; }

# glance FILE: a pause that ends as soon as the job does, or has FILE.
glance() {
	for _ in 1 2 3 4 5 6 7 8; do
		if [ -s "$dir/code" ] || { [ -n "$1" ] && [ -s "$dir/$1" ]; }; then return; fi
		sleep 0.03 2>/dev/null || { sleep 1 && return; }
	done
}

look() {
	awaited=$2
	until=$(($(date +%s) + $1))
	while
		now=$(phase)
		case $now in starting | running) ;; *) false ;; esac
	do
		if [ -n "$awaited" ] && [ -s "$dir/$awaited" ]; then break; fi
		if [ "$(date +%s)" -ge "$until" ]; then break; fi
		glance "$awaited"
	done
	echo "phase $now"
	if [ "$now" = none ]; then exit 0; fi
	sed 's/^/token /' "$dir/token" 2>/dev/null
	sed 's/^/code /' "$dir/code" 2>/dev/null
	sed 's/^/status /' "$dir/status" 2>/dev/null
	if [ -n "$awaited" ]; then sed 's/^/file /' "$dir/$awaited" 2>/dev/null; fi
	case $now in
	ended | died)
		sed 's/^/result /' "$dir/result" 2>/dev/null
		tail -c 20000 "$dir/errors" 2>/dev/null | sed 's/^/error /'
		;;
	esac
	exit 0
}

cancel() {
	if ! alive || [ "$(cat "$dir/token")" != "$1" ]; then return; fi
	kill -s TERM -- "-$pid" 2>/dev/null || kill -s TERM "$pid" 2>/dev/null
	until=$(($(date +%s) + $2))
	while alive && [ "$(date +%s)" -lt "$until" ]; do pause; done
	if alive; then kill -s KILL -- "-$pid" 2>/dev/null; fi
	tries=0
	while alive; do
		tries=$((tries + 1))
		if [ "$tries" -gt 25 ]; then
			echo "process $pid does not end" >&2
			exit 1
		fi
		pause
	done
}

remove() {
	case $(phase) in
	none) exit 3 ;;
	starting | running) exit 75 ;;
	esac
	if [ "$(cat "$dir/token" 2>/dev/null)" != "$1" ]; then exit 3; fi
	# Of two that come at once, one gets it.
	mv "$dir" "$dir.read-$$" 2>/dev/null || exit 3
	rm -rf "$dir.read-$$"
	if [ -d /run/systemd/system ]; then systemctl reset-failed "cutover-$name.service" 2>/dev/null; fi
	rmdir "$run/cutover" 2>/dev/null
	exit 0
}

put() {
	if ! alive || [ "$(cat "$dir/token")" != "$1" ]; then exit 3; fi
	# Several may give it at once; the last one's stays.
	cat >"$dir/$2.new-$$" && mv "$dir/$2.new-$$" "$dir/$2" && return
	if [ -d "$dir" ]; then exit 1; fi
	exit 3 # it was removed meanwhile
}

umask 077
shift 2
"$action" "$@"
