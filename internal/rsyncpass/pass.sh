# One pass, as a job on the new host (see package job). Its directory $1 holds,
# as files: chain, id, key_type, key_bits, comment, ssh_config (%DIR% stands for
# the directory), known_hosts, rsync (the command, an argument a line), targets
# (real names, a line each), delete (trash, purge or none), owners (fail, warn or
# ignore), classify.awk, verdict.awk, remove.sh, and what chain.sh and verify.sh
# need, which go before this.
#
# It leaves the file "public" (its directory, and the public key), waits until
# there is a file "go", and leaves a "result": lines of fields parted by tabs,
# which report.go explains.
#
# Exit code 0: every path was copied. 1: see the result.
#
# shellcheck disable=SC2154 # the variables are chain.sh's
set -u
umask 077

say() {
	printf '%s' "$1" >>"$job/result"
	shift
	for field; do printf '\t%s' "$field" >>"$job/result"; done
	echo >>"$job/result"
}

# However the pass ends, its key ends with it.
# shellcheck disable=SC2317 # the trap calls it
clean() {
	unwatch
	rm -f "$job/key" "$job/key.pub" "$job/public"
	rm -rf "$work"
	rm -f "$state/passes/$id.status"
	: >"$home/ended"
	rmdir "$trash" "$state/trash/$id" "$state/trash" 2>/dev/null
}
trap clean EXIT
trap 'exit 143' HUP INT TERM

rm -rf "$work"
mkdir -p "$work" "$state/passes" "$trash" || exit 1
: >"$home/pass-$id"
# What passes have put aside that Terraform has destroyed since (see forget.sh).
for left in "$home"/left-*; do
	[ -f "$left" ] || continue
	aside=$state/trash/${left##*/left-}
	if [ -d "$aside" ]; then
		mkdir -p "$state/trash/$id"
		mv "$aside"/* "$state/trash/$id/" && rmdir "$aside"
	fi
	rm -f "$left"
done
rm -f "$log"
TMPDIR=$work
export TMPDIR

sed "s,%DIR%,$job,g" "$job/ssh_config" >"$job/ssh_config.new" && mv "$job/ssh_config.new" "$job/ssh_config"
set --
if [ -s "$job/key_bits" ]; then set -- -b "$(cat "$job/key_bits")"; fi
ssh-keygen -q -t "$(cat "$job/key_type")" "$@" -N '' -C "$(cat "$job/comment")" -f "$job/key" </dev/null || exit 1
{ echo "$job"; cat "$job/key.pub"; } >"$job/public.new" && mv "$job/public.new" "$job/public"
waited=0
until [ -f "$job/go" ]; do
	if [ "$waited" -gt 600 ]; then
		echo 'nobody has let the key in' >&2
		exit 1
	fi
	waited=$((waited + 1))
	sleep 0.2
done
rm -f "$job/public"

# pull NUMBER LABEL LIST [OPTION]...: one rsync of what the list names.
pull() {
	number=$1 label=$2 list=$3
	[ -s "$list" ] || return 0
	tr '\n\0' '\0\n' <"$list" | ssh -F "$job/ssh_config" cutover-old "cutover-want $number" >"$work/said" 2>&1
	code=$?
	if [ "$code" -ne 0 ]; then
		ended "$number" "$label" "$code"
		return 1
	fi
	shift 3
	only=$*
	set --
	set -f
	while IFS= read -r option; do set -- "$@" "$option"; done <"$job/options"
	# shellcheck disable=SC2046 # options without blanks
	set -- "$@" $(cat "$job/progress" "$work/$number/without")
	# shellcheck disable=SC2086 # options without blanks
	set -- "$@" $only
	set +f
	target=$(sed -n "${number}p" "$job/targets")
	if [ "$(cat "$job/delete")" = trash ]; then set -- "$@" --backup "--backup-dir=$trash/$number"; fi
	env RSYNC_PROTECT_ARGS=0 rsync "$@" --from0 "--files-from=:want-$number" "--log-file=$log" \
		"--rsh=ssh -F $job/ssh_config" "cutover-old:$number/" "$target/" >"$work/progress/$number.$label" 2>"$work/said"
	code=$?
	tail -c 6000 "$work/progress/$number.$label" | grep -a '^[A-Z][a-z ]*: [0-9]' | sed "s/^/stat$tab$number$tab/" >>"$job/result"
	done_with "$work/progress/$number.$label"
	ended "$number" "$label" "$code"
	[ "$code" -eq 0 ]
}

# ended NUMBER LABEL CODE: says how something went, with its own words.
ended() {
	head -c 50000 "$work/said" | tr '\r' '\n' | sed "s/^/said$tab$1$tab/" >>"$job/result"
	say ran "$1" "$2" "$3"
}

rm -f "$job/result"
say key "$(cut -d ' ' -f 2 "$job/key.pub")"
failed=0
count=$(wc -l <"$job/targets")
number=0
while [ "$number" -lt "$count" ]; do
	number=$((number + 1))
	say begin "$number" "$(date +%s)"
	status "listing path $number of $count"
	if ! compare "$number"; then
		failed=1
		say end "$number" "$(date +%s)"
		break
	fi
done
if [ "$failed" = 0 ]; then strangers || failed=1; fi
number=0
while [ "$failed" = 0 ] && [ "$number" -lt "$count" ]; do
	number=$((number + 1))
	fit "$number" || failed=1
done
if [ "$failed" = 0 ]; then room || failed=1; fi
if [ "$failed" = 0 ]; then watch; fi

number=0
while [ "$failed" = 0 ] && [ "$number" -lt "$count" ]; do
	number=$((number + 1))
	here=$work/$number
	status "copying path $number of $count$(grep -q . "$job/progress" || echo "; see $log")"
	if ! sweep "$number" || ! remember_attempt "$number"; then
		failed=1
		say end "$number" "$(date +%s)"
		break
	fi
	thorough "$number"
	bad=0 whole=1
	remove "$number" || whole=
	# Symbolic links come after, and alone: a list that names what lies below a
	# directory must not bring a link in this directory's place.
	pull "$number" new "$here/quick" --no-links || bad=1
	pull "$number" changed "$here/fresh" --no-links --ignore-times || bad=1
	pull "$number" attributes "$here/sum" --no-links --checksum || bad=1
	pull "$number" links "$here/links" --no-implied-dirs || bad=1
	pull "$number" directories "$here/linkdirs" --no-links --no-implied-dirs || bad=1
	sort -u "$here/root" >"$here/self" 2>/dev/null
	pull "$number" root "$here/self" '--exclude=*' || bad=1
	wait "$(cat "$here/figuring")"
	# What has not been done, or cannot be remembered, is for the next pass.
	if [ -z "$whole" ] || [ ! -f "$here/listed" ]; then
		failed=1
	elif [ "$bad" = 0 ] || only_vanished "$number"; then
		remember "$number" || failed=1
	else
		failed=1
		shortage "$number"
	fi
	cat "$here/figures" >>"$job/result"
	say end "$number" "$(date +%s)"
done
unwatch
number=0
while [ "$failed" = 0 ] && [ "$number" -lt "$count" ]; do
	number=$((number + 1))
	status "verifying path $number of $count"
	verify "$number" || failed=1
done
say finished "$(date +%s)"
find "$state/trash/$id" -depth -type d -exec rmdir {} + 2>/dev/null
if [ -d "$state/trash/$id" ]; then say trash "$(du -sk "$state/trash/$id" | cut -f1)"; fi
wait
exit "$failed"
