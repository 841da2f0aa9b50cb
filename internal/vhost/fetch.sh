# Prints files of a configuration, by the patterns under which it includes
# them. Reads only.
#   $1…  patterns, as for file names in a shell; a directory stands for all
#        files below it
# Prints "pattern P", and for each of its files "is FILE" and the lines with
# "| " in front; "missing FILE" for what a plain path or a link leads to in
# vain, "unreadable FILE" for what cannot be opened; and end.

# Servers sort names by their bytes.
LC_ALL=C
export LC_ALL

# below prints all files of a directory in the order in which Apache reads them:
# name by name, and those of a directory in its place. Links are followed; find
# leaves out a directory that leads back to itself, and Apache goes 20 deep.
below() { # DIRECTORY
	find -L "${1%/}/" -maxdepth 20 ! -type d 2>/dev/null | tr / '\001' | sort | tr '\001' /
}

expand() { # PATTERN
	(
		IFS=
		# To servers [^a] and [!a] are the same; dash knows [!a] alone.
		# shellcheck disable=SC2046 # the pattern is to be expanded, and nothing else
		set -- $(say "$1" | sed 's/\[^/[!/g')
		for found in "$@"; do
			if [ -d "$found" ]; then
				below "$found"
			else
				say "$found"
			fi
		done
	)
}

for pattern in "$@"; do
	say "pattern $pattern"
	expand "$pattern" | while IFS= read -r file; do
		if [ -f "$file" ] && [ -r "$file" ]; then
			say "is $file"
			awk '{ print "| " $0 }' "$file"
		elif [ -e "$file" ]; then
			[ ! -f "$file" ] || say "unreadable $file"
		else
			case $file in
			*[*?[]*) [ ! -L "$file" ] || say "missing $file" ;; # a pattern may stand for nothing
			*) say "missing $file" ;;
			esac
		fi
	done
done
say end
