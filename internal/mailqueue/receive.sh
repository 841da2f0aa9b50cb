# Takes copies of messages on the new host.
#   $1 directory for them; see inject.sh
# Standard input is a tar archive of KEY.message and KEY.envelope for each of them, and,
# at its end, END. What is not complete is not taken. Prints "received KEY" for each.
set -eu
umask 077
spool=$1
mkdir -p "$spool"
# One that was cut off may not have ended yet.
exec 8>"$spool/receiving"
flock -w 60 8
rm -rf "$spool/incoming"
mkdir "$spool/incoming"
cd "$spool/incoming"
tar -xf - --no-same-owner
[ -f END ] || {
	echo "the copies broke off" >&2
	exit 1
}
for message in *.message; do
	[ -f "$message" ] || continue
	key=${message%.message}
	# What may have been handed over already is not changed any more.
	if [ ! -e "../$key.ready" ] && [ ! -e "../$key.done" ] && [ ! -e "../$key.injecting" ]; then
		mv "$message" "../$message"
		mv "$key.envelope" "../$key.envelope"
	fi
	echo "received $key"
done
cd ..
rm -rf incoming
sync
