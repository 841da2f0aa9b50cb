# Runs a command, and says that it begins and in which process group.
#   $1 mark: printed first, with the group, on both outputs
#   $2 line that ends what the input holds for others than the command, or ""
#   $3… the command
# The mark tells the command's own output from what a login shell or sudo
# print, and that the command ran at all.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
cd / || exit 125
umask 022
# The group is field 5 of stat in proc(5); field 2 is a shell's name, without blanks.
read -r _ _ _ _ cutover_group _ </proc/$$/stat
printf '%s %s\n' "$1" "$cutover_group"
printf '%s %s\n' "$1" "$cutover_group" >&2
if [ -n "$2" ]; then
	# read takes a pipe byte by byte, so the command finds all that follows.
	cutover_line=
	while [ "$cutover_line" != "$2" ]; do
		IFS= read -r cutover_line || exit 125
	done
fi
unset cutover_group cutover_line
shift 2
exec "$@"
