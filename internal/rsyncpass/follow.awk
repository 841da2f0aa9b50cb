# Finds what has become of a tree since a listing of it, from what has changed in
# it since then.
#
#   part 1   what serve.sh says of the changes: records of all that has a newer
#            ctime, and the names in directories that have: "/" and the path
#   part 2   the records of that listing, sorted: a directory comes before what is
#            in it
#
# A file that comes into a directory, made, linked or renamed, gets a new ctime.
# So a name in a changed directory whose file has none was there before, if the
# directory itself is the one that was there. What is in another directory may
# have come with it, and its own ctime does not tell.
#
# Writes into out "/dropped" the records that are not known to hold any more, and
# into out "/ask" the paths that have to be listed with all that is below them.
# Prints "other" if the tree is another one.
function take_apart(  i) {
	path = $1
	for (i = 2; i <= NF - 9; i++) path = path "\t" $i
	type = $(NF - 8); number = $(NF - 7)
}
function parent(path) {
	sub(/\/[^\/]*$/, "", path)
	return path
}
function drop() {
	print > (out "/dropped")
	if (type == "d") gone[path]
}
BEGIN { FS = "\t" }
/^cutover-end\t/ { next }
part == 1 && /^\// { there[substr($0, 2)]; next }
part == 1 {
	take_apart()
	listed[path]
	if (type == "d") inode[path] = number
	next
}
{
	if (NF == 10) { path = $1; type = $2; number = $3 }
	else take_apart()
	# Most have the same parent as the one before.
	if (index(path, above) != 1 || index(substr(path, length(above) + 1), "/")) {
		up = path == "." ? "" : parent(path)
		above = up "/"
	}
	if (up in gone || up in inode && !(up in same)) { drop(); next }
	if (path in listed) {
		if (type == "d" && inode[path] == number) {
			same[path]
			print > (out "/dropped")
		} else drop()
		next
	}
	if (up in same) {
		if (path in there) delete there[path]
		else drop()
	}
}
END {
	if ("." in inode && !("." in same)) print "other"
	for (path in inode) if (!(path in same)) ask[path]
	for (path in there) if (!(path in listed) && parent(path) in same) ask[path]
	for (path in ask) if (!(parent(path) in ask)) print path > (out "/ask")
}
