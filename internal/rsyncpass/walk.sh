# The beginning of scripts that look through the directories of a pass. The
# script has the exclude patterns, a line each, in $excludes.

# walk DIRECTORY: goes through the directory without what rsync leaves out,
# as far as find can say that: patterns without a slash inside, and those that
# begin with one. Of any other pattern more is seen than is copied.
#
# It prints lines of KiB, number of links, and device and inode.
walk() {
	root=$1
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
		find "$@" -printf '%k %n %D:%i\n' 2>/dev/null
		return
	fi
	find "$@" -exec ls -ldiskq {} + 2>/dev/null |
		awk '$3 ~ /^[-dlpscb][-rwxsStT]/ { print $2, $4, $1 }'
}
