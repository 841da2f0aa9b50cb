# Gives the log and the trash of a pass to another ID: that of the run that has
# taken the pass over.
#
#   $1       ID until now
#   $2       new ID
set -eu
state=/var/lib/cutover
if [ "$1" = "$2" ]; then exit 0; fi
if [ -f "$state/passes/$1.log" ]; then mv -f "$state/passes/$1.log" "$state/passes/$2.log"; fi
for mark in "$state"/chains/*/"pass-$1"; do
	if [ -f "$mark" ]; then mv -f "$mark" "${mark%/*}/pass-$2"; fi
done
if [ -d "$state/trash/$1" ]; then
	mkdir -p "$state/trash/$2"
	for run in "$state/trash/$1"/*; do
		if [ -e "$run" ]; then mv "$run" "$state/trash/$2/"; fi
	done
	rmdir "$state/trash/$1"
fi
