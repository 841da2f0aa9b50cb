# How much the given directories hold. It reads every directory in them, so it
# is asked only where the file systems' own figures leave it open.
#
#   $1...    directories; one that is missing holds nothing
#
# Prints for each a line "measured N KIBIBYTES FILES", parted by tabs.
set -u
number=0
for path; do
	number=$((number + 1))
	kib=0 files=0
	if [ -d "$path" ]; then
		kib=$(du -sk "$path/" 2>/dev/null | awk 'END { print $1 + 0 }')
		files=$(find "$path/" -exec printf '.%.0s' {} + 2>/dev/null | wc -c | tr -d ' ')
	fi
	printf 'measured\t%s\t%s\t%s\n' "$number" "$kib" "$files"
done
