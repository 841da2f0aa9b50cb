# Says what the new host has of messages that are moved to it. Changes nothing.
#   $1 their directory
# Prints lines:
#   sendmail             a program of that name takes mail here
#   spool                the directory is there
#   job                  messages are being handed over at this moment
#   file NAME            of the directory; see inject.sh
#   refused KEY TEXT     what the mail server said
set -u
spool=$1
if command -v sendmail >/dev/null 2>&1; then echo sendmail; fi
[ -d "$spool" ] || exit 0
echo spool
if [ -f "$spool/lock" ] && ! flock -n "$spool/lock" true; then echo job; fi
find "$spool" -maxdepth 1 -type f -printf 'file %f\n'
for refused in "$spool"/*.refused; do
	[ -f "$refused" ] || continue
	key=${refused##*/}
	echo "refused ${key%.refused} $(head -c 1000 "$refused" | tr '\n' ' ')"
done
exit 0
