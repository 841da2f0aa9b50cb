#!/bin/sh
# The original procedure, as its author typed it, without the pauses for thought.
#
#   procedure.sh OLD NEW KEY KNOWN_HOSTS sync|night
set -eu
old=$1 new=$2 key=$3 known=$4 step=$5

on() { # HOST COMMAND
	ssh -F none -i "$key" -o IdentitiesOnly=yes -o "UserKnownHostsFile=$known" "root@$1" "$2" </dev/null
}

sync() {
	on "$old" "rsync -avzrltSpP /home root@$new:/ >/dev/null && rsync -avzrltSpP /var/mail root@$new:/var/ >/dev/null" || {
		# Files that vanished while the host is live.
		[ $? = 24 ]
	}
}

case $step in
sync) sync ;;
night)
	# shellcheck disable=SC2016 # the old host's shell expands it
	on "$old" 'for service in apache2 dovecot sendmail; do service $service stop; done'
	sync
	on "$new" 'systemctl start apache2 dovecot postfix'
	on "$old" "ssh -f -N -g -L 25:localhost:25 -L 80:localhost:80 -L 110:localhost:110 -L 143:localhost:143 -L 587:localhost:587 root@$new >/dev/null 2>&1"
	;;
esac
