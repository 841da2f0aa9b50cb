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
# The guests first: their keepers then end in order by themselves, and nothing is left for the machine's init to
# reap. What is still there after a second is killed.
for kill in "$cg"/*/box/payload/cgroup.kill; do
	[ ! -e "$kill" ] || echo 1 >"$kill"
done
tries=0
while grep -q 'populated 1' "$cg/cgroup.events"; do
	if ls "$cg"/*/box/payload >/dev/null 2>&1 && [ "$tries" -lt 10 ]; then
		: # a guest's keeper is at work
	elif [ -e "$cg/cgroup.kill" ]; then
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
