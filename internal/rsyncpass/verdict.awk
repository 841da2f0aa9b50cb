# Decides what is removed from the new host: what is there as a pass brought it.
# What has been changed there since stays.
#
#   part 1   what is there now: path type size mtime ctime
#   part 2   records of "gone" and "turned": path type size mtime
#   last     when the last pass of the chain ended, by this host's clock. What has
#            not been touched since is as a pass has brought it, also where the
#            source has changed between its listing and the copying
#
# Writes paths into out "/take", those of one directory together, their directories
# into out "/places", paths into out "/dirs", and into out "/kept". Prints "count bytes kept".
function split_record(  i) {
	path = $1
	for (i = 2; i <= NF - 3; i++) path = path "\t" $i
	type = $(NF - 2); size = $(NF - 1); mtime = $NF
}
# Times are equal too where rsync, before 3.1, has brought whole seconds.
function same_time(here, there) {
	if (here == there) return 1
	return here ~ /\.0*$/ && substr(here, 1, index(here, ".") - 1) == substr(there, 1, index(there, ".") - 1)
}
BEGIN { FS = "\t" }
part == 1 {
	ctime = $NF
	sub(/\t[^\t]*$/, "")
	split_record()
	# Not where the times are equal: a change in the same tick of the clock has no other.
	if (ctime + 0 < last + 0) untouched[path] = 1
	types[path] = type; sizes[path] = size; times[path] = mtime
	next
}
{
	split_record()
	if (!(path in types) || path in done) next
	if (path in untouched) {
		type = types[path]
		size = sizes[path]
		mtime = times[path]
	}
	if (types[path] != type) {
		odd[path] = 1
		next
	}
	if (type == "d") {
		done[path] = 1
		print path > (out "/dirs")
		next
	}
	if ((type == "f" || type == "l") && sizes[path] != size || type == "f" && !same_time(times[path], mtime)) {
		odd[path] = 1
		next
	}
	done[path] = 1
	count++
	if (type == "f") bytes += size
	parent = path
	sub(/\/[^\/]*$/, "", parent)
	take[parent] = take[parent] path "\n"
}
END {
	for (parent in take) {
		print parent > (out "/places")
		printf "%s", take[parent] > (out "/take")
	}
	for (path in odd) if (!(path in done)) { kept++; print path > (out "/kept") }
	printf "%d %.0f %d\n", count, bytes, kept
}
