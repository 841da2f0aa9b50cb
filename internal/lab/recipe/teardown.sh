#!/bin/sh
# Kills everything that runs in a control group, and removes the group.
#
#   teardown.sh MOUNTPOINT PARENT/CHILD
#
# Runs in a mount namespace of its own. MOUNTPOINT is an empty directory.
set -eu
mount -t cgroup2 none "$1"
cg=$1/$2
[ -d "$cg" ] || exit 0
tries=0
while grep -q 'populated 1' "$cg/cgroup.events"; do
	if [ -e "$cg/cgroup.kill" ]; then
		echo 1 >"$cg/cgroup.kill"
	else
		# A kernel before 5.14.
		find "$cg" -name cgroup.procs -exec cat {} + | while read -r pid; do
			kill -KILL "$pid" 2>/dev/null || true
		done
	fi
	tries=$((tries + 1))
	if [ "$tries" -gt 200 ]; then
		echo "processes of $2 are still there after 20 s" >&2
		exit 1
	fi
	sleep 0.1
done
find "$cg" -depth -type d -exec rmdir {} +
# The parent goes with its last child.
rmdir "${cg%/*}" 2>/dev/null || true
