# Takes away from the new host what a pass left there on purpose: its log, its
# trash, and the half-transferred files of one that did not end well. No data of
# users. The manifests of its chain go when no other pass of the chain is left.
#
#   $1       ID of the pass
#   $2...    target directories
set -eu
state=/var/lib/cutover
id=$1
shift
rm -f "$state/passes/$id.log" "$state/passes/$id.status"
rm -rf "$state/trash/$id"
for mark in "$state"/chains/*/"pass-$id"; do
	[ -f "$mark" ] || continue
	rm -f "$mark"
	chain=${mark%/*}
	another=
	for other in "$chain"/pass-*; do
		if [ -f "$other" ]; then another=yes; fi
	done
	if [ -z "$another" ]; then rm -rf "$chain"; fi
done
for path; do
	[ -d "$path" ] || continue
	rm -rf "$path/.cutover-try"
	find "$path/" -type d -name .cutover-partial -prune -exec rm -rf {} +
done
rmdir "$state/passes" "$state/trash" "$state/chains" "$state" 2>/dev/null || :
