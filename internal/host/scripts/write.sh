# Puts a file in place in one step: whoever reads it sees the old content or the new.
#   $1 path
#   $2 name of the file beside it that becomes the new one
#   $3 owner and group, by number, as chown takes them
#   $4 mode, in octal
#   $5 bytes of the content, which is on stdin
# The new file is root's alone until it is complete. It is opened once, and then reached by its descriptor: the
# directory may belong to a user, who could put a symbolic link in its place. Where the content breaks off, because
# whoever sends it has ended, nothing is left.
#
# Exit codes of its own: 66 (EX_NOINPUT of sysexits.h) there is no such directory; 75 (EX_TEMPFAIL) the content broke off.
set -eu
directory=${1%/*}
new=$directory/$2
[ -d "${directory:-/}" ] || exit 66

umask 077
trap 'rm -f "$new"' EXIT
trap 'exit 1' HUP INT TERM PIPE
set -C # no file that is there is written to
exec 3>"$new"
set +C
# dd says on stderr what it has copied.
said=$(dd bs=65536 conv=notrunc,fsync 2>&1 >&3) || {
	printf '%s\n' "$said" >&2
	exit 1
}
got=$(stat -L -c %s /proc/self/fd/3)
if [ "$got" != "$5" ]; then
	echo "of $5 bytes $got arrived" >&2
	exit 75
fi
chown "$3" /proc/self/fd/3
chmod "$4" /proc/self/fd/3
# A program that is still open for writing cannot be run (ETXTBSY of execve(2)).
exec 3>&-
mv -fT "$new" "$1"
trap - EXIT
