# Says what Dovecot of this host is and what it reads, without changing
# anything: one "KEY VALUE" a line.
#   $1 the drop-in
set -u
if ! command -v doveconf >/dev/null 2>&1; then
	echo 'absent'
	exit 0
fi
version=$(dovecot --version) || exit 1
echo "version $version"
file=$(doveconf -h base_dir 2>/dev/null)/master.pid
if pid=$(cat "$file" 2>/dev/null) && [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; then
	echo 'running yes'
else
	echo 'running no'
fi
doveconf -n namespace 2>/dev/null | sed 's/^/> /'
[ ! -f "$1" ] || sed 's/^/| /' "$1" || exit 1
echo 'end'
