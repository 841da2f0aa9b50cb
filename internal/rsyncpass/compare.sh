# What verification compares, in the same words on both hosts: serve.sh has this
# before it on the old one, pass.sh on the new one.
#
# A record is a line of fields parted by tabs: device:inode, links, ctime, KiB,
# user ID, group ID; then what has to agree: type, mode, size and mtime of a file,
# and the path, which for a symbolic link is followed by two slashes and where it
# leads. Owners have to agree by name: verify.sh puts those in, for find takes
# longer to look them up, file by file, than for all the rest.
#
# The sum of a file is a line of its SHA-256, a tab, and the path.
#
# Each ends with a NUL.

# shellcheck disable=SC2034 # for find, as several words
records='( -type f -printf %D:%i\t%n\t%C@\t%k\t%U\t%G\t%y\t%m\t%s\t%T@\t%p\0 -o
	-type l -printf %D:%i\t%n\t%C@\t%k\t%U\t%G\t%y\t%m\t-\t-\t%p//%l\0 -o
	-printf %D:%i\t%n\t%C@\t%k\t%U\t%G\t%y\t%m\t-\t-\t%p\0 )'

# named prints records of the paths on its standard input, NUL at their ends, as
# far as they are there.
named() {
	# shellcheck disable=SC2016 # the inner shell's
	records=$records xargs -0 sh -c 'set -f; if [ "$#" -gt 0 ]; then find "$@" -prune $records; fi; :' sh
}

# summed prints the sums of the files whose paths are on its standard input.
# Names are not taken from sha256sum, for of odd ones it writes something else.
summed() {
	# shellcheck disable=SC2016 # the inner shell's
	xargs -0 sh -c '
		sums=$(sha256sum "$@" 2>/dev/null | cut -d" " -f1 | tr -d "\\\\")
		if [ "$(printf "%s\n" "$sums" | wc -l)" -eq "$#" ]; then
			for sum in $sums; do
				printf "%s\t%s\0" "$sum" "$1"
				shift
			done
			exit 0
		fi
		# One of them is gone, cannot be read or has a line end in its name.
		code=0
		for path; do
			if sum=$(sha256sum <"$path"); then
				printf "%s\t%s\0" "${sum%% *}" "$path"
			elif [ -e "$path" ]; then
				code=1
			fi
		done
		exit "$code"' sh
}
