# Prints files of a configuration, by the patterns under which it includes
# them. Reads only.
#   $1…  patterns, as for file names in a shell; a directory stands for all
#        files below it
# Prints "pattern P", and for each of its files "is FILE" and the lines with
# "| " in front; and end.
expand() { # PATTERN
	(
		IFS=
		# shellcheck disable=SC2086 # the pattern is to be expanded, and nothing else
		set -- $1
		for found in "$@"; do
			if [ -d "$found" ]; then
				find "${found%/}/" -type f | sort
			elif [ -f "$found" ]; then
				say "$found"
			fi
		done
	)
}

for pattern in "$@"; do
	say "pattern $pattern"
	expand "$pattern" | while IFS= read -r file; do
		say "is $file"
		awk '{ print "| " $0 }' "$file"
	done
done
say end
