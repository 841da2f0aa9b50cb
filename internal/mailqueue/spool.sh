# Says what the new host has of messages that are moved to it. Changes nothing.
#   $1 their directory
# Prints lines:
#   lacks PROGRAM        which the move needs here
#   spool                the directory is there
#   job                  messages are being handed over at this moment
#   file NAME            of the directory; see inject.sh
#   refused KEY TEXT     what the mail server said
set -u
spool=$1
for program in sendmail flock setsid tar; do
	command -v "$program" >/dev/null 2>&1 || echo "lacks $program"
done
[ -d "$spool" ] || exit 0
echo spool
if [ -f "$spool/lock" ] && command -v flock >/dev/null 2>&1 && ! flock -n "$spool/lock" true; then echo job; fi
find "$spool" -maxdepth 1 -type f -printf 'file %f\n'
for refused in "$spool"/*.refused; do
	[ -f "$refused" ] || continue
	key=${refused##*/}
	echo "refused ${key%.refused} $(head -c 1000 "$refused" | tr '\n' ' ')"
done
exit 0
