# How much the given directories hold. It looks at every file in them, so it is
# asked only where the file systems' own figures leave it open. walk.sh goes
# before it.
#
#   $1...    directories; one that is missing holds nothing
#   stdin    exclude patterns, a line each
#
# Prints for each a line "measured N KIBIBYTES FILES", parted by tabs.
set -u
# shellcheck disable=SC2034 # for walk
excludes=$(cat)
number=0
for path; do
	number=$((number + 1))
	if [ -d "$path" ]; then walk "$path"; fi |
		awk -v number="$number" '
			$2 > 1 && seen[$3]++ { next } # another name of the same file
			{ kib += $1; files++ }
			END { printf "measured\t%d\t%.0f\t%.0f\n", number, kib, files }'
done
exit 0
