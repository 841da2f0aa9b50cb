# Ends a process group: asks first, and kills what has not ended after a while.
#   $1 process group
#   $2 tenths of a second that it gets (seconds where sleep knows no fractions)
case $1 in '' | *[!0-9]* | 0 | 1) exit 64 ;; esac
kill -s TERM -- "-$1" 2>/dev/null || exit 0
tenths=$2
while [ "$tenths" -gt 0 ]; do
	sleep 0.1 2>/dev/null || {
		sleep 1
		tenths=$((tenths - 9))
	}
	kill -s 0 -- "-$1" 2>/dev/null || exit 0
	tenths=$((tenths - 1))
done
kill -s KILL -- "-$1" 2>/dev/null || exit 0
