# Takes away from the new host what a pass left there on purpose: its log, and
# the half-transferred files of one that did not end well. No data of users.
#
#   $1       log
#   $2...    target directories
set -eu
log=$1
shift
rm -f "$log"
for path; do
	[ -d "$path" ] || continue
	find "$path/" -type d -name .cutover-partial -prune -exec rm -rf {} +
done
rmdir "${log%/*}" 2>/dev/null || :
logs=${log%/*}
rmdir "${logs%/*}" 2>/dev/null || :
