# What the key of one pass may do on the old host: list the directories of that
# pass and read them with rsync, and nothing else. sshd starts it as the forced
# command:
#
#   sh .../serve login METHOD     METHOD is sudo, doas or nothing
#
# and with METHOD it starts itself again as root: sh .../serve run COMMAND.
# COMMAND is what the client asked for. It is only ever split at blanks and
# compared, never evaluated. The directory is asked for by its line number in
# the file "paths" beside this script, and a slash ("1/"): its content is meant,
# and rsync since 3.2.5 takes from a sender only what it has asked for.
#
# Beside rsync's, the commands are
#   cutover-hello      says that the way is open
#   cutover-list N     lists directory number N: records of the fields path, type,
#                      inode, ctime, size, mtime, mode, links, user and group, by
#                      tabs, each with a NUL at its end; then a record
#                      "cutover-end" with the time at which the listing was begun,
#                      in seconds since 1970, and the kinds of its file systems
#   cutover-want N     takes the list of what rsync is to read there, each path
#                      with a NUL at its end; rsync calls it want-N
#   cutover-verify N WHAT
#                      says what is to be compared: records (see compare.sh) of
#                      the "whole", or of the paths on standard input ("listed"),
#                      or the "sums" of all files; then "cutover-end"
#   cutover-extras N   says how many files have ACLs and extended attributes: lines
#                      of "acls" or "xattrs", a number ("?" where it cannot be told)
#                      and one of the paths
#
# Exit code 126: refused. 1: the listing is not complete.
set -fu
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL

own=${0%/*}
refuse() {
	printf 'cutover: this key may only read the directories of its pass with rsync; refused: %s\n' "$1" >&2
	exit 126
}

case ${1-} in
login)
	case ${2-} in
	sudo) exec sudo -n sh "$0" run "${SSH_ORIGINAL_COMMAND-}" ;;
	doas) exec doas -n sh "$0" run "${SSH_ORIGINAL_COMMAND-}" ;;
	esac
	asked=${SSH_ORIGINAL_COMMAND-}
	;;
run) asked=${2-} ;;
*) refuse 'a start by hand' ;;
esac

# shellcheck disable=SC2086 # splitting is the point; set -f keeps it at that
set -- $asked
if [ "$#" -eq 1 ] && [ "$1" = cutover-hello ]; then
	echo 'cutover-pass is ready'
	exit 0
fi
# directory NUMBER: sets path to the directory of that number.
directory() {
	case $1 in '' | 0* | *[!0-9]* | ?????*) refuse "$1" ;; esac
	path=$(sed -n "${1}p" "$own/paths") || refuse "$1"
	case $path in
	/*) ;;
	*) refuse "directory number $1" ;;
	esac
}

# seek ACTION...: find over the directory, without what the pass leaves out. No
# word of the action has a blank.
seek() {
	cd -P "$path" || return 1
	# All that this needs of files beside the script is read before it begins:
	# they go when the key is let in anew.
	excludes=$(cat "$own/excludes") || return 1
	action=$*
	set -- -type d -type f # never true
	while IFS= read -r pattern; do
		case $pattern in
		'd '*) set -- "$@" -o -type d -regex "${pattern#d }" ;;
		'a '*) set -- "$@" -o -regex "${pattern#a }" ;;
		esac
	done <<-END
		$excludes
	END
	exec 3>&1
	# shellcheck disable=SC2086 # several words
	errors=$(find . -regextype posix-extended '(' "$@" ')' -prune -o $action 2>&1 >&3)
	sound "$errors"
}

# sound ERRORS: that something went away meanwhile is life; anything else is a
# hole.
sound() {
	if [ -n "$1" ] && printf '%s\n' "$1" | grep -v -e 'No such file or directory$' -e 'Not a directory$' >&2; then
		return 1
	fi
}

list() {
	# By the clock that stamps the files.
	now=$(date +%s)
	seek -printf '%p\t%y\t%i\t%C@\t%s\t%T@\t%m\t%n\t%u\t%g\0' || exit 1
	printf 'cutover-end\t%s\t' "$now"
	awk -v path="$path" '
		BEGIN { gsub(/ /, "\\040", path) }
		index(path "/", $2 == "/" ? "/" : $2 "/") == 1 && length($2) >= length(above) { above = $2; kind = $3 }
		index($2, path "/") == 1 { below = below " " $3 }
		END { printf "%s%s", kind, below }' /proc/mounts
	printf '\0'
}

want() {
	umask 077
	cat >"$own/want-$1.new" || exit 1
	if tr '\n\0' '\0\n' <"$own/want-$1.new" | grep -a -q -v '^\.\(/.*\)\{0,1\}$' ||
		tr '\n\0' '\0\n' <"$own/want-$1.new" | grep -a -q '/\.\.\(/\|$\)'; then
		rm -f "$own/want-$1.new"
		refuse 'a list with paths that lead elsewhere'
	fi
	mv "$own/want-$1.new" "$own/want-$1"
}

# verify WHAT NUMBER
verify() {
	case $1 in
	whole)
		# shellcheck disable=SC2154 # of compare.sh
		seek "$records" || exit 1
		;;
	listed)
		want "$2-verify"
		cd -P "$path" || exit 1
		exec 3>&1
		errors=$(named <"$own/want-$2-verify" 2>&1 >&3) || exit 1
		sound "$errors" || exit 1
		;;
	sums)
		exec 5>&1
		codes=$({
			{
				seek -type f -print0
				echo "$?" >&4
			} | (cd -P "$path" && summed) >&5
			echo "$?" >&4
		} 4>&1)
		# shellcheck disable=SC2086 # two numbers
		set -- $codes
		[ "$*" = '0 0' ] || exit 1
		;;
	*) refuse "$1" ;;
	esac
	printf 'cutover-end\0'
}

extras() {
	if command -v getfacl >/dev/null 2>&1; then
		seek ! -type l -print0 | (cd -P "$path" && xargs -0 getfacl -s -p 2>/dev/null) | with acls
	else
		seek ! -type l -print0 | (cd -P "$path" && xargs -0 ls -ld 2>/dev/null) | sed -n 's/^[-dpscb][-rwxsStT]*+ .* \.\//# file: .\//p' | with acls
	fi
	if command -v getfattr >/dev/null 2>&1; then
		seek -print0 | (cd -P "$path" && xargs -0 getfattr -h -m '^user[.]|^trusted[.]|^security[.]capability' 2>/dev/null) | with xattrs
	else
		printf 'xattrs\t?\t\n'
	fi
}

# with WHAT: counts the files that getfacl or getfattr names.
with() {
	awk -v what="$1" '/^# file: / { n++; if (n == 1) example = substr($0, 9) } END { printf "%s\t%d\t%s\n", what, n, example }'
}

if [ "$#" -eq 2 ] && [ "$1" = cutover-extras ]; then
	directory "$2"
	extras
	exit 0
fi
if [ "$#" -eq 2 ] && [ "$1" = cutover-list ]; then
	directory "$2"
	list
	exit 0
fi
if [ "$#" -eq 2 ] && [ "$1" = cutover-want ]; then
	directory "$2"
	want "$2"
	exit 0
fi
if [ "$#" -eq 3 ] && [ "$1" = cutover-verify ]; then
	directory "$2"
	verify "$3" "$2"
	exit 0
fi
if [ "$#" -lt 6 ] || [ "$1" != rsync ] || [ "$2" != --server ] || [ "$3" != --sender ]; then
	refuse "$asked"
fi
shift 3

# Every option is one that a reading rsync of ours sends. Left out on purpose:
# s (the arguments then come by standard input, past this script), L, k and
# --copy-* (they follow links out of the tree), --remove-*, --log-file, --daemon.
left=$#
files=
while [ "$left" -gt 2 ]; do
	word=$1
	shift
	left=$((left - 1))
	case $word in
	--bwlimit=* | --timeout=* | --compress-level=* | --checksum-seed=*)
		case ${word#*=} in '' | *[!0-9]*) refuse "$word" ;; esac
		;;
	--compress-choice=* | --checksum-choice=*)
		case ${word#*=} in '' | *[!a-z0-9,]*) refuse "$word" ;; esac
		;;
	--files-from | --backup-dir)
		# The value is the next word. Where the new host keeps what it overwrites
		# is its own business.
		if [ "$left" -le 2 ]; then refuse "$word"; fi
		if [ "$word" = --files-from ]; then files=$1; fi
		shift
		left=$((left - 1))
		continue
		;;
	--from0) continue ;;
	--no-implied-dirs | --new-compress | --old-compress | --numeric-ids | --no-specials | --log-format=X | --log-format=%i) ;;
	--*) refuse "$word" ;;
	-*)
		# As in -lHogDtpAXre.iLsfxCIvu: from the e on it says what the client knows.
		flags=${word#-}
		client=${flags#"${flags%%e*}"}
		flags=${flags%%e*}
		case $flags in *b*) flags=${flags%%b*}${flags#*b} ;; esac
		case $flags in '' | *[!vnqicdlHogDtpAXRrzxSWOJUNI]*) refuse "$word" ;; esac
		case $client in *[!A-Za-z0-9.]*) refuse "$word" ;; esac
		word=-$flags$client
		;;
	*) refuse "$word" ;;
	esac
	set -- "$@" "$word"
done

if [ "$1" != . ]; then refuse "$1"; fi
case $2 in */) ;; *) refuse "$2" ;; esac
number=${2%/}
shift 2
directory "$number"
if [ -n "$files" ]; then
	if [ "$files" != "want-$number" ]; then refuse "$files"; fi
	set -- "$@" --from0 "--files-from=$own/$files"
fi
exec rsync --server --sender "$@" . "$path/"
