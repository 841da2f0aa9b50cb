# What the key of one pass may do on the old host: read the directories of that
# pass with rsync, and nothing else. sshd starts it as the forced command:
#
#   sh .../serve login METHOD     METHOD is sudo, doas or nothing
#
# and with METHOD it starts itself again as root: sh .../serve run COMMAND.
# COMMAND is what the client asked for. It is only ever split at blanks and
# compared, never evaluated. The directory is asked for by its line number in
# the file "paths" beside this script, and a slash ("1/"): its content is meant,
# and rsync since 3.2.5 takes from a sender only what it has asked for.
#
# Exit code 126: refused.
set -fu
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL

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
if [ "$#" -lt 6 ] || [ "$1" != rsync ] || [ "$2" != --server ] || [ "$3" != --sender ]; then
	refuse "$asked"
fi
shift 3

# Every option is one that a reading rsync of ours sends. Left out on purpose:
# s (the arguments then come by standard input, past this script), L, k and
# --copy-* (they follow links out of the tree), --remove-*, --log-file, --daemon.
left=$#
while [ "$left" -gt 2 ]; do
	word=$1
	shift
	case $word in
	--bwlimit=* | --timeout=* | --compress-level=* | --checksum-seed=*)
		case ${word#*=} in '' | *[!0-9]*) refuse "$word" ;; esac
		;;
	--compress-choice=* | --checksum-choice=*)
		case ${word#*=} in '' | *[!a-z0-9,]*) refuse "$word" ;; esac
		;;
	--new-compress | --old-compress | --numeric-ids | --no-specials | --log-format=X | --log-format=%i) ;;
	--*) refuse "$word" ;;
	-*)
		# As in -lHogDtpAXre.iLsfxCIvu: from the e on it says what the client knows.
		flags=${word#-}
		client=${flags#"${flags%%e*}"}
		flags=${flags%%e*}
		case $flags in '' | *[!vnqiclHogDtpAXrzxSWOJUN]*) refuse "$word" ;; esac
		case $client in *[!A-Za-z0-9.]*) refuse "$word" ;; esac
		;;
	*) refuse "$word" ;;
	esac
	set -- "$@" "$word"
	left=$((left - 1))
done

if [ "$1" != . ]; then refuse "$1"; fi
case $2 in */) ;; *) refuse "$2" ;; esac
number=${2%/}
shift 2
case $number in '' | 0* | *[!0-9]* | ?????*) refuse "$number" ;; esac
path=$(sed -n "${number}p" "${0%/*}/paths") || refuse "$number"
case $path in
/*) ;;
*) refuse "directory number $number" ;;
esac
exec rsync --server --sender "$@" . "$path/"
