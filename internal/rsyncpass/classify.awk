# Sorts out what has changed in a tree since the last pass of the chain.
#
#   before   records that the manifest has and the new listing has not, and
#            those of passes that did not end well (mark "?" as a last field)
#   now      records that the new listing has and the manifest has not
#   names    records that have not changed, of further names of files in "now"
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
BEGIN { FS = "\t" }
/^cutover-end\t/ { next }
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
	is[path] = type
	if (type == "l") { class = "links" }
	else if (type != "f") { class = "quick" }
	else if (!(path in was)) {
		class = "quick"
		if (path in maybe && maybe[path] != inode "\t" ctime "\n") class = "fresh"
	}
	else if (was[path] != inode "\t" size "\t" mtime "\t" links "\t" type) { class = "fresh" }
	else { class = "sum" }
	n++
	if (part == 3) same++
	if (racy[path] == ctime "r") same++
	paths[n] = path; classes[n] = class
	# All names of a file go to one rsync, or they would be several files.
	if (type == "f" && links > 1) {
		inodes[n] = inode
		if (!(inode in group)) group[inode] = class
		else if (group[inode] != class) group[inode] = "fresh"
	}
	if (type == "f") bytes += size
	if (type == "f" && class == "quick") {
		# What a file costs beside its content, measured with small ones: about as
		# much as so many bytes.
		weights[n] = size + 50000
		all += weights[n]
	}
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
function put(path, list) { print path > (out "/" (path == "." ? "root" : list)) }
# stream N: which stream brings entry N. The streams share the files in the order
# of the list, so that they seldom meet in a directory. All names of a file go
# with the first; all directories with stream 1, and once more at the end, if
# another stream has put something into them and so has changed their times.
function stream(n,  at) {
	if (streams < 2 || !(n in weights)) return 1
	if (n in inodes && inodes[n] in streamed) at = streamed[inodes[n]]
	else at = all > 0 ? 1 + int(done / all * streams) : 1
	if (at > streams) at = streams
	done += weights[n]
	if (n in inodes) streamed[inodes[n]] = at
	if (at > 1) linkdirs[parent(paths[n])] = 1
	return at
}
END {
	small = (n <= 5000 && bytes <= 100000000)
	for (i = 1; i <= n; i++) {
		class = classes[i]
		if (i in inodes) class = group[inodes[i]]
		if (class == "links") linkdirs[parent(paths[i])] = 1
		# One rsync is quicker than two where there is little to copy.
		else if (small && known && class == "quick") class = "fresh"
		if (class == "quick") class = class "-" stream(i)
		put(paths[i], class)
	}
	printf "%d %.0f %.0f %d\n", n, volume, kib, entries > (out "/volume")
	for (i = 1; i <= befores; i++) {
		path = before[i]
		if (!(path in is)) {
			print path "\t" rest[i] > (out "/gone")
			lost[path] = 1
		} else if (kinds[i] != is[path]) print path "\t" rest[i] > (out "/turned")
	}
	# What loses a name gets its own times back.
	for (path in lost) gone++
	for (path in lost) {
		path = parent(path)
		if (!(path in lost) && (!(path in is) || is[path] == "d")) dirs[path] = 1
	}
	for (path in dirs) put(path, small && known ? "fresh" : "quick-1")
	for (path in linkdirs) put(path, "linkdirs")
	print n - same + gone + 0
}
