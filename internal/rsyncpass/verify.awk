# Says what differs between two trees. It runs twice, for few things differ.
#
# First: parts "links" (side and record, of files with several names), "unknown"
# (database and name, owners that this host does not know), "sums" (paths of
# files with another content) and "differ" (records of the old host, from their
# type on, that this one does not have). It prints suspects: path, tab-parted from
# "sum", "link" or "record" before it.
#
# Then: "suspects", "unknown", "there" and "here" (whole records of both hosts)
# and "was" (records of the pass's listing; see classify.awk). What the old host
# has changed since its listing is not this pass's fault. It writes into the file
# out "/differs" reasons and paths, and prints how many are the old host's change,
# and how many differ.
function rest(first,  i, text) {
	text = $first
	for (i = first + 1; i <= NF; i++) text = text "\t" $i
	return text
}
# A path never holds two slashes on end.
function plain(text,  at) {
	at = index(text, "//")
	return at ? substr(text, 1, at - 1) : text
}
function leads(text,  at) {
	at = index(text, "//")
	return at ? substr(text, at + 2) : ""
}
# Whole seconds are all that some rsyncs and file systems keep.
function same_time(here, there) {
	if (here == there) return 1
	if (!coarse && here !~ /\.0*$/ && there ~ /\./) return 0
	sub(/\..*/, "", here)
	sub(/\..*/, "", there)
	return here == there
}
# An owner goes by name; one without a name by number.
function same_owner(database, name, number, there) {
	if (there ~ /^[0-9]+$/) return number == there
	return name == there || (database "\t" there) in unknown
}
BEGIN { FS = "\t" }
part == "unknown" { unknown[$0] = 1; next }
part == "links" {
	path = plain(rest(14))
	if ($1 == "there") { group[path] = $2; names[$2]++; next }
	if (!(path in group)) next
	# Names of one file there are names of one file here, and of no other.
	if (!(group[path] in one)) one[group[path]] = $2
	if (!($2 in other)) other[$2] = group[path]
	if (one[group[path]] != $2 || other[$2] != group[path]) print "link\t" path
	met[path] = 1
	next
}
part == "sums" { print "sum\t" $0; next }
part == "differ" { print "record\t" plain(rest(7)); next }
part == "suspects" {
	path = rest(2)
	suspect[path] = 1
	if ($1 != "record") also[path] = $1
	next
}
part == "there" {
	text = rest(13); path = plain(text)
	if (!(path in suspect)) next
	there[path] = 1
	inode[path] = $1; sub(/.*:/, "", inode[path])
	ctime[path] = $3; type[path] = $7; mode[path] = $8; user[path] = $9; group[path] = $10
	size[path] = $11; mtime[path] = $12; link[path] = leads(text)
	next
}
part == "here" {
	text = rest(13); path = plain(text)
	if (!(path in suspect)) next
	here[path] = 1
	if (!(path in there)) next
	# The first thing that tells is enough.
	why = ""
	if ($7 != type[path]) why = "another type of file"
	else if ($11 != size[path]) why = "size " $11 " instead of " size[path]
	else if ($7 == "f" && !same_time($12, mtime[path])) why = "time of last change"
	else if (leads(text) != link[path]) why = "leads elsewhere"
	else if ($7 != "l" && $8 != mode[path]) why = "mode " $8 " instead of " mode[path]
	else if (!same_owner("passwd", $9, $5, user[path])) why = "user " $9 " instead of " user[path]
	else if (!same_owner("group", $10, $6, group[path])) why = "group " $10 " instead of " group[path]
	else if (also[path] == "sum") why = "content"
	else if (also[path] == "link") why = "hard link"
	reason[path] = why
	next
}
part == "was" {
	path = $1
	for (i = 2; i <= NF - 9; i++) path = path "\t" $i
	if (path in suspect) before[path] = $(NF - 7) "\t" $(NF - 6)
}
END {
	if (part != "was") {
		for (path in group) if (!(path in met) && names[group[path]] > 1) print "link\t" path
		exit
	}
	for (path in suspect) {
		if (path in here && path in there && reason[path] == "") continue
		if (!(path in there) || !(path in before) || before[path] != inode[path] "\t" ctime[path]) { meanwhile++; continue }
		if (!(path in here)) reason[path] = "missing"
		print reason[path] "\t" path > (out "/differs")
		differing++
	}
	print meanwhile + 0, differing + 0
}
