# What a pass has to know of the new host, in one round trip. It only reads.
#
#   $1...    target directories
#
# Prints lines of a word, a tab and a value; fields of a value are parted by
# tabs too. Exit code 0, also where something is missing. rsync_facts.sh goes
# before it.
set -u
say() {
	printf '%s' "$1"
	shift
	for field; do printf '\t%s' "$field"; done
	printf '\n'
}

# shellcheck disable=SC1091 # a file of the host
os=$([ -r /etc/os-release ] && . /etc/os-release && printf '%s %s' "${ID-}" "${ID_LIKE-}") || os=
if [ -z "$os" ]; then
	if [ -f /etc/debian_version ]; then os=debian; elif [ -f /etc/redhat-release ]; then os=rhel; fi
fi
say os "$os"
rsync_facts
say cpus "$(getconf _NPROCESSORS_ONLN 2>/dev/null)"
if command -v ssh >/dev/null 2>&1 && command -v ssh-keygen >/dev/null 2>&1; then
	say ssh "$(ssh -V 2>&1 | head -n 1)"
fi

# Every address under which the old host may see this one.
if command -v ip >/dev/null 2>&1; then
	ip addr show 2>/dev/null | awk '$1 == "inet" || $1 == "inet6" { sub(/\/.*/, "", $2); print "address\t" $2 }'
else
	ifconfig -a 2>/dev/null | awk '$1 == "inet" || $1 == "inet6" {
		a = $2; if (a == "addr:") a = $3; sub(/^addr:/, "", a); sub(/\/.*/, "", a); print "address\t" a }'
fi

number=0
for path; do
	number=$((number + 1))
	kind=missing
	if [ -d "$path" ]; then kind=directory; elif [ -e "$path" ] || [ -L "$path" ]; then kind=other; fi
	# A directory that is missing is its nearest one that exists.
	at=$path
	while [ ! -d "$at" ]; do
		at=${at%/*}
		at=${at:-/}
	done
	real=$(cd -P "$at" && pwd -P)
	say path "$number" "$kind" "$real"
done

exit 0
