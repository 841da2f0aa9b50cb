# Prints the accounts that this host's own files hold, for account/snapshot.go.
# Password hashes stay on the host: only what they allow is printed.
# shellcheck disable=SC2016 # the programs are awk's
set -u
file() { # FILE AWK-PROGRAM
	if [ ! -r "$1" ]; then
		echo "cannot read $1: this needs root's rights" >&2
		exit 1
	fi
	awk 'BEGIN { FS = OFS = ":" }
		function state(hash) {
			if (hash == "") return "none"
			return hash ~ /^[!*]/ ? "locked" : "set"
		} '"$2" "$1" || exit 1
}
echo '== defs'
[ ! -r /etc/login.defs ] || awk '$1 == "UID_MIN" || $1 == "UID_MAX" { print $1 ":" $2 }' /etc/login.defs
echo '== passwd'
file /etc/passwd '{ if ($2 != "x") $2 = state($2); print }'
echo '== group'
file /etc/group '{ $2 = ""; print }'
echo '== shadow'
[ ! -e /etc/shadow ] || file /etc/shadow '{ print $1, state($2), $3, $8 }'
echo '== end'
