# Finds what has become of a tree since a listing of it, from what has changed in
# it since then.
#
#   part 1   records of all that has a newer ctime
#   part 2   the names that have gone, "/" and the path, and after a tab those that
#            have come
#   part 3   records of that listing, among them those of all paths in part 1 and
#            of all names that have gone
#
# A file that comes into a directory, made, linked or renamed, gets a new ctime.
# So a name whose file has none was there before, if the directory itself is the
# one that was there. What is in another directory may have come with it, and its
# own ctime does not tell.
#
# Writes into out "/dropped" the records that are not known to hold any more, into
# out "/replaced" the directories in whose place is another, and into out "/ask"
# the paths that have to be listed with all that is below them. Prints "other" if
# the tree is another one, and "lost" if a record is missing.
function take_apart(  i) {
	path = $1
	for (i = 2; i <= NF - 9; i++) path = path "\t" $i
	type = $(NF - 8); number = $(NF - 7)
}
function asked_above(path) {
	while (sub(/\/[^\/]*$/, "", path)) if (path in ask) return 1
	return 0
}
BEGIN { FS = "\t" }
/^\t?cutover-end\t/ { next }
part == 1 {
	take_apart()
	listed[path]
	if (type == "d") inode[path] = number
	next
}
part == 2 && /^\t/ { came[substr($0, 3)]; next }
part == 2 { went[substr($0, 2)]; next }
{
	take_apart()
	if (path in went) delete went[path]
	else if (!(path in listed)) next
	print > (out "/dropped")
	if (type != "d" || !(path in inode)) next
	if (inode[path] == number) same[path]
	else print path > (out "/replaced")
}
END {
	for (path in went) missing = 1
	if ("." in inode && !("." in same)) print "other"
	else if (missing) print "lost"
	for (path in inode) if (!(path in same)) ask[path]
	for (path in came) if (!(path in listed) && !asked_above(path)) ask[path]
	for (path in ask) if (!asked_above(path)) print path > (out "/ask")
}
