# Makes ready on the new host what a pass needs there, after taking away what a
# pass of the same chain left behind when it was cut off: also an rsync of it
# that still runs, for two at a time would undo each other's work.
#
#   $1       chain
#   $2       log of the pass, begun anew
#   $3       type of the key, as ssh-keygen names it
#   $4       bits of the key, "" for the type's own
#   $5       comment of the key
#   $6       ssh_config, %DIR% stands for the pass's directory
#   $7...    target directories, whose parents are made
#   stdin    known_hosts
#
# Prints the pass's directory and the public key, a line each.
set -eu
umask 077
chain=$1 log=$2 type=$3 bits=$4 comment=$5 config=$6
shift 6
run=/run
[ -d /run ] || run=/var/run
dir=$run/cutover/pass-$chain

ours() {
	for process in /proc/[0-9]*; do
		if tr '\0' ' ' 2>/dev/null <"$process/cmdline" | grep -F -q -e "$dir/ssh_config"; then
			echo "${process#/proc/}"
		fi
	done
}
tries=0
while left=$(ours) && [ -n "$left" ]; do
	signal=TERM
	[ "$tries" -lt 10 ] || signal=KILL
	if [ "$tries" -ge 15 ]; then
		echo "an earlier rsync of this pass does not end; its process IDs:" "$left" >&2
		exit 1
	fi
	for pid in $left; do kill -s "$signal" "$pid" 2>/dev/null || :; done
	tries=$((tries + 1))
	sleep 1
done
rm -rf "$dir"

logs=${log%/*}
(umask 022 && mkdir -p "$run/cutover" "${logs%/*}")
mkdir -p "$dir" "$logs"
rm -f "$log"
cat >"$dir/known_hosts"
printf '%s\n' "$config" | sed "s,%DIR%,$dir,g" >"$dir/ssh_config"
if [ -n "$bits" ]; then
	ssh-keygen -q -t "$type" -b "$bits" -N '' -C "$comment" -f "$dir/key" </dev/null
else
	ssh-keygen -q -t "$type" -N '' -C "$comment" -f "$dir/key" </dev/null
fi
umask 022
for path; do
	parent=${path%/*}
	[ -d "${parent:-/}" ] || mkdir -p "$parent"
done
echo "$dir"
cat "$dir/key.pub"
