# Runs a job's script and keeps how it ended. It leads the job's process group.
#
#   $1       the job's directory
dir=$1
cd / || exit 1
umask 077
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
trap ended=1 HUP INT TERM
# The process and its start time (field 22 of proc(5)'s stat): process IDs are
# used again.
started=$(sed 's/.*) //' "/proc/$$/stat" | cut -d' ' -f20)
echo "$$ $started" >"$dir/pid.new"
mv "$dir/pid.new" "$dir/pid"
ended=
code=0
/bin/sh "$dir/script" "$dir" </dev/null >"$dir/output" 2>"$dir/errors" &
child=$!
wait "$child" || code=$?
# A signal ends the waiting, not the script, which still has to clean up.
while [ -n "$ended" ] && kill -0 "$child" 2>/dev/null; do
	code=0
	wait "$child" || code=$?
done
echo "$code" >"$dir/code.new"
mv "$dir/code.new" "$dir/code"
exit 0
