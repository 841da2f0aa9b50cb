# Takes away from the new host what a pass left there on purpose: its log, its
# trash, and the half-transferred files of one that did not end well. No data of
# users. The manifests of its chain go when no other pass of the chain is left.
#
# Terraform destroys a pass that did not end well before it makes it anew. What
# such a pass has brought and put aside is for the next one to know: the mark
# "left-ID" in the chain's directory then stands for it, for 30 days at most.
#
#   $1       ID of the pass
#   $2       "finished" or "unfinished"
#   $3...    target directories
set -eu
state=/var/lib/cutover
id=$1 how=$2
shift 2

# drop CHAIN: if no pass knows of it.
drop() {
	for mark in "$1"/pass-*; do
		if [ -f "$mark" ]; then return 0; fi
	done
	for mark in "$1"/left-*; do
		if [ -f "$mark" ]; then rm -rf "$state/trash/${mark##*/left-}"; fi
	done
	rm -rf "$1"
}

# known CHAIN: whether anything was brought.
known() {
	for file in "$1"/*.pending "$1"/*.manifest; do
		if [ -f "$file" ]; then return 0; fi
	done
	return 1
}

for left in "$state"/chains/*/left-*; do
	if [ -f "$left" ] && [ -n "$(find "$left" -mtime +30)" ]; then
		rm -rf "$state/trash/${left##*/left-}"
		rm -f "$left"
		drop "${left%/*}"
	fi
done
rm -f "$state/passes/$id.log" "$state/passes/$id.status"
kept=
for mark in "$state"/chains/*/"pass-$id"; do
	[ -f "$mark" ] || continue
	chain=${mark%/*}
	if [ "$how" = unfinished ] && known "$chain"; then
		mv "$mark" "$chain/left-$id"
		touch "$chain/left-$id"
		kept=yes
	else
		rm -f "$mark"
		drop "$chain"
	fi
done
if [ -z "$kept" ]; then
	rm -rf "$state/trash/$id"
	for path; do
		[ -d "$path" ] || continue
		find "$path/" -type d -name .cutover-partial -prune -exec rm -rf {} +
	done
fi
for path; do
	rm -rf "$path/.cutover-try"
done
rmdir "$state/passes" "$state/trash" "$state/chains" "$state" 2>/dev/null || :
