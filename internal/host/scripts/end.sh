# Ends a process group: asks first, and kills what has not ended after a while.
#   $1 process group
#   $2 tenths of a second that it gets (seconds where sleep knows no fractions)
case $1 in '' | *[!0-9]* | 0 | 1) exit 64 ;; esac
ended() {
	tenths=$2
	while kill -s 0 -- "-$1" 2>/dev/null; do
		[ "$tenths" -gt 0 ] || return 1
		sleep 0.1 2>/dev/null || {
			sleep 1
			tenths=$((tenths - 9))
		}
		tenths=$((tenths - 1))
	done
}
kill -s TERM -- "-$1" 2>/dev/null || exit 0
ended "$1" "$2" && exit 0
kill -s KILL -- "-$1" 2>/dev/null || exit 0
ended "$1" 20 || {
	echo "process group $1 is still there after SIGKILL" >&2
	exit 1
}
