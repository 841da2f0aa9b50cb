# How much of what is to be copied still takes room: prints KiB and inodes.
#
#   here, there   records of both hosts (see compare.sh)
#   trash         "trash" where what is overwritten stays
BEGIN { FS = "\t" }
{
	path = $13
	for (i = 14; i <= NF; i++) path = path "\t" $i
}
part == "here" { is[path] = $7 "\t" $11 "\t" $12; has[path] = $4; next }
/^cutover-end/ { next }
{
	if ($2 > 1 && $7 == "f") {
		if ($1 in counted) next
		counted[$1] = 1
	}
	if (!(path in is)) { kib += $4; entries++; next }
	if (is[path] == $7 "\t" $11 "\t" $12 || $7 != "f") next
	kib += $4
	if (trash == "trash") entries++
	else if (has[path] < $4) kib -= has[path]
	else kib -= $4
}
END { printf "%.0f %.0f\n", kib, entries }
