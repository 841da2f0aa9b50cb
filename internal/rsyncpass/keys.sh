# Lets the key of one pass in on the old host, or keeps it out again.
#
#   admit CHAIN USER HOME FILE LINE UNTIL SERVE EXCLUDES PATH...
#       FILE      sshd's AuthorizedKeysFile, with its %h, %u and %%
#       LINE      the line for it, which ends in " cutover-pass-CHAIN"
#       UNTIL     when the line is of no more use, in seconds since 1970
#       SERVE     the text of the forced command
#       EXCLUDES  what serve.sh leaves out of its listings
#       PATH...   what may be read
#   dismiss CHAIN [KEY]
#       KEY       second field of the public key: another one's line, that of the
#                 chain's next pass, stays
#
# Both take away first what passes left behind that were cut off: those of the
# same chain, and any whose time is over.
set -eu
umask 022
base=/var/lib/cutover
action=$1 chain=$2

# One change of the key files at a time on this host.
run=/run
[ -d /run ] || run=/var/run
mkdir -p "$run/cutover"
lock=$run/cutover/keys.lock
tries=0
until mkdir "$lock" 2>/dev/null; do
	holder=$(cat "$lock/pid" 2>/dev/null) || holder=
	if [ "$tries" -gt 2 ] && { [ -z "$holder" ] || [ ! -d "/proc/$holder" ]; }; then
		rm -rf "$lock" # whoever held it is gone
	elif [ "$tries" -gt 60 ]; then
		echo "$lock has been held for a minute by process $holder" >&2
		exit 1
	fi
	tries=$((tries + 1))
	[ -d "$run/cutover" ] || mkdir -p "$run/cutover"
	sleep 1
done
trap 'rmdir "$base" 2>/dev/null || :; rm -rf "$lock"; rmdir "$run/cutover" 2>/dev/null || :' EXIT
trap 'exit 1' HUP INT TERM
echo $$ >"$lock/pid"

# change FILE COMMAND...: puts what COMMAND prints in FILE's place in one step;
# owner and mode stay. FILE is as it was if COMMAND fails.
change() {
	target=$1
	shift
	temporary=$(mktemp "$target.cutover-XXXXXX")
	cp -p "$target" "$temporary"
	"$@" >"$temporary"
	mv -f "$temporary" "$target"
}

# without FILE CHAIN prints FILE without the line of that chain.
without() {
	awk -v mark="cutover-pass-$2" '$NF != mark' "$1"
}

# with FILE LINE prints FILE and the line. A last line without its end would
# swallow it.
with() {
	cat "$1"
	[ -z "$(tail -c 1 "$1")" ] || echo
	printf '%s\n' "$2"
}

# mark_of CHAIN prints the key in the line of that chain.
mark_of() {
	file=$(cat "$base/pass-$1/file" 2>/dev/null) && [ -f "$file" ] || return 0
	awk -v mark="cutover-pass-$1" '$NF == mark { print $(NF - 1); exit }' "$file"
}

forget() {
	old=$base/pass-$1
	[ -d "$old" ] || return 0
	if file=$(cat "$old/file" 2>/dev/null) && [ -f "$file" ]; then
		if awk -v mark="cutover-pass-$1" '$NF == mark { found = 1 } END { exit !found }' "$file"; then
			change "$file" without "$file" "$1"
		fi
		rm -f "$file".cutover-??????
		if [ -f "$old/made_file" ] && [ ! -s "$file" ]; then rm -f "$file"; fi
		if [ -f "$old/made_directory" ]; then rmdir "${file%/*}" 2>/dev/null || :; fi
	fi
	rm -rf "$old"
}

there=$(mark_of "$chain")
case $action in
admit)
	# Two that see to the same pass let its key in once.
	key=${6% *}
	if [ -n "$there" ] && [ "$there" = "${key##* }" ]; then exit 0; fi
	forget "$chain"
	;;
*) if [ -z "$there" ] || [ "${3:-$there}" = "$there" ]; then forget "$chain"; fi ;;
esac
now=$(date +%s)
for other in "$base"/pass-*; do
	until=$(cat "$other/until" 2>/dev/null) || continue
	if [ "$until" -lt "$now" ]; then forget "${other#"$base/pass-"}"; fi
done
[ "$action" = admit ] || exit 0

user=$3 home=$4 file=$5 line=$6 until=$7 serve=$8
shift 8
excludes=$1
shift
case $file in
none)
	echo "sshd reads no AuthorizedKeysFile for $user" >&2
	exit 1
	;;
esac
# %% must not become the start of another token; no path holds a newline.
escaped=$(printf '%s\n' "$file" | awk -v home="$home" -v user="$user" '{
	out = ""
	while ((at = index($0, "%")) > 0) {
		token = substr($0, at + 1, 1)
		out = out substr($0, 1, at - 1)
		if (token == "h") out = out home
		else if (token == "u") out = out user
		else if (token == "%") out = out "%"
		else exit 3
		$0 = substr($0, at + 2)
	}
	print out $0
}') || {
	echo "AuthorizedKeysFile $file holds a token that is not %h, %u or %%" >&2
	exit 1
}
file=$escaped
case $file in
/*) ;;
*) file=$home/$file ;;
esac
if [ -L "$file" ]; then file=$(readlink -f "$file"); fi

mine=$base/pass-$chain
mkdir -p "$mine"
printf '%s\n' "$file" >"$mine/file"
printf '%s\n' "$until" >"$mine/until"
printf '%s\n' "$serve" >"$mine/serve"
printf '%s' "$excludes" >"$mine/excludes"
printf '%s\n' "$@" >"$mine/paths"
directory=${file%/*}
if [ ! -d "$directory" ]; then
	: >"$mine/made_directory"
	mkdir "$directory"
	chmod 700 "$directory"
	chown "$user:" "$directory"
	if command -v restorecon >/dev/null 2>&1; then restorecon "$directory" || :; fi
fi
if [ ! -f "$file" ]; then
	: >"$mine/made_file"
	(umask 077 && : >"$file")
	chown "$user:" "$file"
fi
change "$file" with "$file" "$line"
