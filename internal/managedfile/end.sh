# The change itself. The domain has defined
#   try COMMAND…  runs the server's own test, with COMMAND… in front of it;
#   activate      lets the server take over the files, and fails if it does not;
#   revive        lets it take over what was put back;
#   undo          takes away what a test has left outside the tree.
# Prints what came of it: taken, refused, rejected, inactive or done, and then
# end.
: "${tree:?}" "${work:?}" "${tab:?}" # begin.sh is in front of this
for tool in flock awk; do
	command -v "$tool" >/dev/null 2>&1 || {
		echo "$tool is not installed; it is needed to change files safely (util-linux has flock)" >&2
		exit 69
	}
done
# The lock is on the directory itself, so that it leaves nothing behind.
exec 9<"$tree" || exit 66
flock -w 300 9 || {
	echo "another run has been changing $tree for five minutes" >&2
	exit 75
}

recovered=
if [ -d "$work" ]; then
	if [ -f "$work/armed" ]; then
		put_back
		recovered=1
	fi
	finish
fi

# outcome ends the run. After a recovery the server still has what was put
# back to learn of, unless it has just taken over a newer state.
outcome() { # WORD ARGUMENTS OF THE DOMAIN
	say "$1"
	[ -z "$recovered" ] || [ "$1" = 'done' ] || {
		shift
		revive "$@" 9<&-
	}
	finish
	say end
	exit 0
}

# give_up leaves nothing behind; nothing was changed yet.
give_up() { # EXIT CODE
	finish
	exit "$1"
}
trap 'give_up 143' HUP INT TERM PIPE

# Others take the empty directory away when they are done.
for _ in 1 2 3; do
	mkdir -p /var/lib/cutover && mkdir -m 700 "$work" && break
done
: >"$work/list"
awk -F "$tab" -v work="$work" '
	left > 0 { print >file; if (--left == 0) close(file); next }
	{
		n++
		print >(work "/list")
		if ($1 == "put") {
			file = work "/new." n
			left = $5
			printf "" >file
		}
	}
' || give_up 73

if [ ! -s "$work/list" ]; then # no change: only what the server says of its files as they are
	said=$(try command "$@" 2>&1 9<&-)
	code=$?
	undo "$@"
	[ "$code" -ne 0 ] || outcome 'done' "$@"
	say "rejected $code"
	say "$said" | quoted
	outcome unchanged "$@"
fi

taken=
rehearsed=1
while IFS=$tab read -r op new _ _ _ path; do
	if [ "$new" = new ] && { [ -e "$path" ] || [ -L "$path" ]; }; then
		say "taken $path"
		taken=1
	fi
	if [ -d "$path" ] && [ ! -L "$path" ] && [ "$op" != directory ]; then
		say "taken $path"
		taken=1
	fi
	case $op:$path in
	directory:* | *:/var/lib/cutover/* | *:"$tree"/*) ;;
	*) rehearsed= ;; # what lies elsewhere is not in the copy
	esac
done <"$work/list"
[ -z "$taken" ] || outcome conflict "$@"

if [ -n "$rehearsed" ]; then
	{ mkdir "$work/copy" && cp -a "$tree/." "$work/copy"; } || give_up 73
	if within true 2>/dev/null; then
		perform "$work/copy" || give_up 74
		said=$(try within "$@" 2>&1)
		code=$?
		if [ "$code" -ne 0 ]; then
			undo "$@"
			say "rejected $code"
			say "$said" | quoted
			outcome unchanged "$@"
		fi
	else
		rehearsed= # a container that may not mount
	fi
	rm -rf "$work/copy"
fi

# From here on files change. What was begun is finished, also where nobody is
# left to be told of it; the journal is for what cannot be caught.
trap '' HUP INT TERM PIPE
if ! remember; then
	rm -f "$work/armed"
	outcome unchanged "$@"
fi
if ! directories; then
	put_back
	undo "$@"
	outcome unchanged "$@"
fi
if ! said=$(perform "$tree" 2>&1); then
	put_back
	say "refused $tree"
	say "$said" | quoted
	outcome unchanged "$@"
fi
if [ -z "$rehearsed" ]; then
	said=$(try command "$@" 2>&1 9<&-)
	code=$?
	if [ "$code" -ne 0 ]; then
		put_back
		undo "$@"
		say "rejected $code"
		say "$said" | quoted
		outcome unchanged "$@"
	fi
fi
if ! activate "$@" 9<&-; then
	put_back
	undo "$@"
	revive "$@" 9<&-
	recovered=
	say inactive
	outcome unchanged "$@"
fi
outcome 'done' "$@"
