# Has the new host hand messages to its mail server, by itself: it goes on when this
# connection ends.
#   $1 their directory
#   $2 text of inject.sh
# Standard input has the KEY of each message that was set aside on the old host, a line
# each. Messages that were refused are tried again where it has the line "again".
set -eu
umask 077
spool=$1
mkdir -p "$spool"
printf '%s\n' "$2" >"$spool/inject.new"
mv "$spool/inject.new" "$spool/inject"
while read -r key; do
	if [ "$key" = again ]; then
		rm -f "$spool"/*.refused
	elif [ -f "$spool/$key.envelope" ] && [ ! -e "$spool/$key.done" ]; then
		: >"$spool/$key.ready"
	fi
done
sync
setsid sh "$spool/inject" "$spool" inject </dev/null >/dev/null 2>&1 &
