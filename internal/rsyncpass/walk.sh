# The beginning of scripts that look through the directories of a pass. The
# script has the exclude patterns, a line each, in $excludes.

# walk DIRECTORY WHAT: goes through the directory without what rsync leaves out,
# as far as find can say that: patterns without a slash inside, and those that
# begin with one. Of any other pattern more is seen than is copied.
#
# WHAT is "owners", for lines "owner", "user" or "group", and the name, parted by
# tabs, or "sizes", for lines of KiB, number of links, and device and inode.
walk() {
	root=$1 what=$2
	set -- -type f -type d # never true
	while IFS= read -r pattern; do
		only=
		case $pattern in */) only=directory pattern=${pattern%/} ;; esac
		case $pattern in
		'' | *'**'*) continue ;;
		/*) set -- "$@" -o -path "$root$pattern" ;;
		*/*) continue ;;
		*) set -- "$@" -o -name "$pattern" ;;
		esac
		if [ -n "$only" ]; then set -- "$@" -type d; fi
	done <<-END
		${excludes-}
	END
	set -- "$root/" ! -path "$root/" '(' "$@" ')' -prune -o
	if find "$root/" -prune -printf '' 2>/dev/null; then
		case $what in
		owners) find "$@" -printf 'owner\tuser\t%u\nowner\tgroup\t%g\n' 2>/dev/null ;;
		sizes) find "$@" -printf '%k %n %D:%i\n' 2>/dev/null ;;
		esac
		return
	fi
	case $what in
	owners) find "$@" -exec ls -ldq {} + 2>/dev/null |
		awk '$1 ~ /^[-dlpscb][-rwxsStT]/ { print "owner\tuser\t" $3; print "owner\tgroup\t" $4 }' ;;
	sizes) find "$@" -exec ls -ldiskq {} + 2>/dev/null |
		awk '$3 ~ /^[-dlpscb][-rwxsStT]/ { print $2, $4, $1 }' ;;
	esac
}
