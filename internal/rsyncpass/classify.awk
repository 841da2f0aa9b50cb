# Sorts out what has changed in a tree since the last pass of the chain.
#
#   before   records that the manifest has and the new listing has not, and
#            those of passes that did not end well (mark "?" as a last field)
#   now      records that the new listing has and the manifest has not
#   names    records that have not changed, of further names of files in "now"
#
# They are parts 1, 2 and 3; part 0, before part 2, is "now" as well, to sum it up.
#
# A record is: path type inode ctime size mtime mode links user group, parted by
# tabs, in which a path may hold tabs too. A line end in a path is a NUL.
#
# Writes into the files out "/quick-1", "/quick-2" and so on, to be copied side by
# side, "/fresh", "/sum", "/links", "/linkdirs" and
# "/root" paths for rsync, and into "/gone" and "/turned" records: path type size
# mtime. The tree's own directory is for itself: to rsync its name means all that
# is in it. Into "/volume" goes how much there is to copy: entries and bytes, and at the
# most the KiB and inodes that it takes. Prints how many changes there are.
function split_record(  i) {
	last = NF
	unsure = ($NF == "?")
	if (unsure) last--
	path = $1
	for (i = 2; i <= last - 9; i++) path = path "\t" $i
	type = $(last - 8); inode = $(last - 7); ctime = $(last - 6); size = $(last - 5)
	mtime = $(last - 4); links = $(last - 2)
}
function parent(path) {
	sub(/\/[^\/]*$/, "", path)
	return path == "" ? "." : path
}
function class_of() {
	if (type == "l") return "links"
	if (type != "f") return "quick"
	if (!(path in was)) return path in maybe && maybe[path] != inode "\t" ctime "\n" ? "fresh" : "quick"
	return was[path] == inode "\t" size "\t" mtime "\t" links "\t" type ? "sum" : "fresh"
}
# What a file costs beside its content, measured with small ones: about as much as
# so many bytes.
function weight(size) { return size + 50000 }
# One rsync is quicker than two where there is little to copy.
function little() { return known && count <= 5000 && bytes <= 100000000 }
function put(path, list) { print path > (path == "." ? out "/root" : out "/" list) }
# stream SIZE INODE: which stream brings a file. The streams share the files in the
# order of the list, so that they seldom meet in a directory. All names of a file go
# with the first (INODE, else ""); all directories with stream 1, and once more at
# the end, if another stream has put something into them and so has changed their
# times.
function stream(size, inode,  at) {
	if (streams < 2) return 1
	if (inode in streamed) at = streamed[inode]
	else at = all > 0 ? 1 + int(done / all * streams) : 1
	if (at > streams) at = streams
	done += weight(size)
	if (inode != "") streamed[inode] = at
	return at
}
# arrange: says which list an entry is for.
function arrange(path, type, class, size, inode,  at) {
	if (class == "links") linkdirs[parent(path)] = 1
	else if (class == "quick" && little()) class = "fresh"
	if (class == "quick") {
		at = type == "f" ? stream(size, inode) : 1
		if (at > 1) linkdirs[parent(path)] = 1
		class = "quick-" at
	}
	put(path, class)
}
BEGIN { FS = "\t" }
/^cutover-end\t/ { next }
part == 0 {
	split_record()
	count++
	if (type != "f") next
	bytes += size
	if (class_of() == "quick") all += weight(size)
	next
}
part == 1 {
	split_record()
	# The mark "r" says that the manifest was not sure of this one: see chain.sh.
	if (!unsure && ctime ~ /r$/) racy[path] = ctime
	if (!unsure) was[path] = inode "\t" size "\t" mtime "\t" links "\t" type
	# Of this it is not known whether the new host has it, under this size and time.
	if (unsure) maybe[path] = maybe[path] inode "\t" ctime "\n"
	before[++befores] = path; kinds[befores] = type; rest[befores] = type "\t" size "\t" mtime
	next
}
{
	split_record()
	if (befores) is[path] = type
	class = class_of()
	n++
	if (part == 3) same++
	if (path in racy && racy[path] == ctime "r") same++
	# What is neither is changed in place, and on the new host may still be one with
	# another name that is something else by now.
	if (type != "f" && type != "d" && path in was) {
		split(was[path], field, "\t")
		if (field[4] > 1 && (field[1] != inode || field[4] != links)) apart[path] = 1
	}
	if (type == "f" && links > 1) {
		# All names of a file go to one rsync, or they would be several files.
		paths[++held] = path; sizes[held] = size; inodes[held] = inode
		if (!(inode in group)) group[inode] = class
		else if (group[inode] != class) group[inode] = "fresh"
	} else arrange(path, type, class, size, "")
	# Another name of a file is no more to copy.
	if (part == 3) next
	if (type == "f" && links > 1) {
		if (inode in counted) next
		counted[inode] = 1
	}
	if (!(path in was)) entries++
	if (type == "f" && class != "sum") {
		volume += size
		kib += 4 * int((size + 4095) / 4096)
	} else if (type == "d" && !(path in was)) kib += 4
}
END {
	for (i = 1; i <= held; i++) arrange(paths[i], "f", group[inodes[i]], sizes[i], inodes[i])
	printf "%d %.0f %.0f %d\n", n, volume, kib, entries > (out "/volume")
	for (i = 1; i <= befores; i++) {
		path = before[i]
		if (!(path in is)) {
			print path "\t" rest[i] > (out "/gone")
			lost[path] = 1
		} else if (kinds[i] != is[path] || path in apart) print path "\t" rest[i] > (out "/turned")
	}
	# What loses a name gets its own times back.
	for (path in lost) gone++
	for (path in lost) {
		path = parent(path)
		if (!(path in lost) && (!(path in is) || is[path] == "d")) dirs[path] = 1
	}
	for (path in dirs) put(path, little() ? "fresh" : "quick-1")
	for (path in linkdirs) put(path, "linkdirs")
	print n - same + gone + 0
}
