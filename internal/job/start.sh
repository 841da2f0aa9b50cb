# Starts a job on the host, detached from this connection, unless one of that
# name is there already.
#
#   $1       name of the job
#   $2       token, which says later what the job was started for
#   $3       text of the runner
#   $4       "confined", or "free" for a job that may write anywhere
#   $5       how many of the arguments that follow are writable directories
#   $6...    these directories, then pairs: name of a file, and its content
#   stdin    the job's script
#
# Exit code 75 (EX_TEMPFAIL of sysexits.h): there is a job of that name.
set -eu
umask 077
name=$1 token=$2 runner=$3 confined=$4 directories=$5
shift 5
run=/run
[ -d /run ] || run=/var/run
dir=$run/cutover/job-$name

# Another job that ends takes the empty directory above away.
tries=0
until
	(umask 022 && mkdir -p "$run/cutover")
	mkdir "$dir" 2>/dev/null
do
	if [ -d "$dir" ]; then exit 75; fi
	tries=$((tries + 1))
	if [ "$tries" -gt 20 ]; then
		echo "cannot make $dir" >&2
		exit 1
	fi
done
trap 'rm -rf "$dir"; rmdir "$run/cutover" 2>/dev/null || :' EXIT
printf '%s\n' "$token" >"$dir/token"
printf '%s\n' "$runner" >"$dir/runner"
cat >"$dir/script"
# The properties that confine the job, as arguments of systemd-run.
set -- "$@" --
while [ "$directories" -gt 0 ]; do
	quoted=$(printf '%s\n' "$1" | sed 's/[\\"]/\\&/g')
	set -- "$@" -p "ReadWritePaths=\"$quoted\""
	shift
	directories=$((directories - 1))
done
while [ "$1" != -- ]; do
	printf '%s' "$2" >"$dir/$1"
	shift 2
done
shift

# With systemd the job is a unit of its own: what belongs to a login may be
# ended with it (KillUserProcesses= of logind.conf), and what belongs to sshd's
# unit with sshd.
if [ -d /run/systemd/system ] && command -v systemd-run >/dev/null 2>&1; then
	if [ "$confined" = confined ]; then
		set -- -p ProtectSystem=strict -p "ReadWritePaths=$run/cutover" "$@"
	else
		set --
	fi
	systemctl reset-failed "cutover-$name.service" 2>/dev/null || :
	systemd-run --quiet --no-ask-password --unit="cutover-$name" --description="Job $name of cutover" "$@" \
		/bin/sh "$dir/runner" "$dir" >/dev/null
elif command -v setsid >/dev/null 2>&1; then
	setsid /bin/sh "$dir/runner" "$dir" </dev/null >/dev/null 2>&1 &
else
	echo "this host has neither systemd-run nor setsid (package util-linux)" >&2
	exit 1
fi

# Without a process the job would look like one whose start broke off.
tries=0
until [ -s "$dir/pid" ]; do
	tries=$((tries + 1))
	if [ "$tries" -gt 500 ]; then
		echo "the job did not begin; see journalctl -u cutover-$name" >&2
		exit 1
	fi
	sleep 0.02 2>/dev/null || sleep 1
done
trap - EXIT
