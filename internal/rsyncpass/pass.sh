# One pass, as a job on the new host (see package job). Its directory $1 holds,
# as files: chain, id, key_type, key_bits, comment, ssh_config (%DIR% stands for
# the directory), known_hosts, rsync (the command, an argument a line), targets
# (real names, a line each), streams (how many side by side at the most), delete
# (trash, purge or none), owners (fail, warn or ignore), classify.awk, follow.awk,
# verdict.awk, remove.sh, and what chain.sh and verify.sh need, which go before
# this.
#
# It leaves the file "public" (the public key), waits until there is a file "go",
# and leaves a "result": lines of fields parted by tabs, which report.go explains.
#
# Exit code 0: every path was copied. 1: see the result. 75 (EX_TEMPFAIL of
# sysexits.h): nothing was begun, for want of a place; a new start may find one.
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

# to_old COMMAND: asks the old host for something, over the connection that is
# there already, or a new one. Stdin goes along.
to_old() { ssh -F "$job/ssh_config" -S "$job/mux" cutover-old "$@"; }

# connect: one connection for all that is small. It is this shell's child, and so
# ends with the job. Without it each question has a connection of its own.
master=
connect() {
	ssh -F "$job/ssh_config" -S "$job/mux" -M -N cutover-old </dev/null >/dev/null 2>"$job/mux.said" &
	master=$!
	tries=0
	until [ -S "$job/mux" ] || [ "$tries" -ge 1500 ] || ! kill -0 "$master" 2>/dev/null; do
		tries=$((tries + 1))
		sleep 0.02 2>/dev/null || sleep 1
	done
	if [ ! -S "$job/mux" ] && ! kill -0 "$master" 2>/dev/null; then
		wait "$master"
		code=$?
		master=
		if [ "$code" -eq 255 ]; then # ssh's own
			cp "$job/mux.said" "$work/said"
			ended 1 reach 255
			return 1
		fi
	fi
	(
		to_old cutover-hello >"$job/greeting" 2>"$job/greeting.said" </dev/null
		echo "$?" >"$job/greeting.code"
	) &
	greeter=$!
}

# greeted: whether the old host says what it should and nothing else, which is
# asked while it lists.
greeted() {
	wait "$greeter"
	heard=$(cat "$job/greeting.code")
	if [ "$heard" = 0 ] && [ "$(cat "$job/greeting")" = 'cutover-pass is ready' ]; then return 0; fi
	if [ "$heard" = 0 ]; then
		mv "$job/greeting" "$work/said"
		ended 1 greeting 1
	else
		mv "$job/greeting.said" "$work/said"
		ended 1 reach "$heard"
	fi
	return 1
}

# However the pass ends, its streams and its key end with it.
children=
# shellcheck disable=SC2317 # the trap calls it
clean() {
	unwatch
	# shellcheck disable=SC2086 # numbers
	if [ -n "$children" ]; then wait $children; fi
	if [ -n "$master" ]; then kill "$master" 2>/dev/null; fi
	rm -f "$job/key" "$job/key.pub" "$job/public"
	rm -rf "$work"
	rm -f "$state/passes/$id.status"
	if [ -d "$home" ]; then touch "$home/ended"; fi
	rmdir "$trash" "$state/trash/$id" "$state/trash" 2>/dev/null
}
trap clean EXIT
trap 'exit 143' HUP INT TERM

# A pass that was killed has not said when; rsync's log does, nearly.
if [ -d "$work" ] && [ -f "$log" ]; then touch -r "$log" "$home/ended"; fi
rm -rf "$work"
# Another pass, or a tunnel, takes $state away when it was the last to use it;
# where that was under a confined job's feet, it cannot be made from here.
mkdir -p "$work" "$state/passes" "$trash" || exit 75
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
cp "$job/key.pub" "$job/public.new" && mv "$job/public.new" "$job/public"
waited=0
until [ -f "$job/go" ]; do
	if [ "$waited" -gt 6000 ]; then
		echo 'nobody has let the key in' >&2
		exit 1
	fi
	waited=$((waited + 1))
	sleep 0.02
done
rm -f "$job/public"

# pull NUMBER LABEL LIST [OPTION]...: one rsync of what the list names.
pull() {
	[ -s "$3" ] || return 0
	fetch 1 "$@"
	report "$1" "$2" 1
}

# fetch STREAM NUMBER LABEL LIST [OPTION]...: what pull does, as one of several at
# a time; how it went is then in $work/stream-STREAM.*, for report.
fetch() {
	stream=$1 number=$2 said=$work/progress/$2.$3-$1 list=$4
	left=$work/stream-$stream
	shift 4
	only=$*
	rm -f "$left".*
	tr '\n\0' '\0\n' <"$list" | to_old "cutover-want $number $stream" >"$left.said" 2>&1
	code=$?
	echo "$code" >"$left.code"
	if [ "$code" -ne 0 ]; then return; fi
	set --
	set -f
	while IFS= read -r option; do set -- "$@" "$option"; done <"$job/options"
	# shellcheck disable=SC2046,SC2086 # options without blanks
	set -- "$@" $(cat "$job/progress" "$work/$number/without") $only
	set +f
	target=$(sed -n "${number}p" "$job/targets")
	if [ "$(cat "$job/delete")" = trash ]; then set -- "$@" --backup "--backup-dir=$trash/$number"; fi
	# What goes side by side has a connection of its own: one ssh keeps one CPU busy. Its
	# Banner, or a warning of ssh, would be taken for words of rsync about a file.
	socket=$job/mux
	if [ "$streams" -gt 1 ]; then socket=none; fi
	env RSYNC_PROTECT_ARGS=0 rsync "$@" --from0 "--files-from=:want-$number-$stream" "--log-file=$log" \
		"--rsh=ssh -o LogLevel=ERROR -F $job/ssh_config -S $socket" "cutover-old:$number/" "$target/" >"$said" 2>"$left.said"
	code=$?
	tail -c 6000 "$said" | grep -a '^[A-Z][a-z ]*: [0-9]' >"$left.stats"
	done_with "$said"
	echo "$code" >"$left.code"
}

# report NUMBER LABEL STREAM: puts what fetch has left into the result.
report() {
	code=$(cat "$work/stream-$3.code" 2>/dev/null) || code=20 # it was killed
	if [ -f "$work/stream-$3.stats" ]; then sed "s/^/stat$tab$1$tab/" "$work/stream-$3.stats" >>"$job/result"; fi
	mv "$work/stream-$3.said" "$work/said"
	ended "$1" "$2" "$code"
	[ "$code" -eq 0 ]
}

# pull_streams NUMBER LABEL LIST [OPTION]...: the parts LIST-1, LIST-2... into
# which classify.awk has divided what is to be copied, side by side.
pull_streams() {
	streams=0 children=
	for part in "$3"-[1-9]; do
		if [ -s "$part" ]; then streams=$((streams + 1)); fi
	done
	rate=
	limit=$(sed -n 's/^--bwlimit=//p' "$job/options")
	if [ -n "$limit" ] && [ "$streams" -gt 1 ]; then rate=--bwlimit=$(((limit + streams - 1) / streams)); fi
	at=$1 what=$2 parts=$3
	shift 3
	for part in "$parts"-[1-9]; do
		[ -s "$part" ] || continue
		# With a trap it waits for its rsync, which gets the signal too.
		(
			trap 'exit 143' HUP INT TERM
			fetch "${part##*-}" "$at" "$what" "$part" "$@" ${rate:+"$rate"}
		) &
		children="$children $!"
	done
	# shellcheck disable=SC2086 # numbers
	if [ -n "$children" ]; then wait $children; fi
	streams=1
	well=0
	for part in "$parts"-[1-9]; do
		[ -s "$part" ] || continue
		report "$at" "$what" "${part##*-}" || well=1
	done
	return "$well"
}

# ended NUMBER LABEL CODE: says how something went, with its own words.
ended() {
	head -c 50000 "$work/said" | tr '\r' '\n' | sed "s/^/said$tab$1$tab/" >>"$job/result"
	say ran "$1" "$2" "$3"
}

rm -f "$job/result"
say key "$(cut -d ' ' -f 2 "$job/key.pub")"
failed=0
streams=1
connect || failed=1
count=$(wc -l <"$job/targets")
number=0
while [ "$failed" = 0 ] && [ "$number" -lt "$count" ]; do
	number=$((number + 1))
	say begin "$number" "$(date +%s)"
	status "listing path $number of $count"
	if ! compare "$number"; then
		failed=1
		say end "$number" "$(date +%s)"
	fi
done
if [ "$failed" = 0 ]; then greeted || failed=1; fi
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
	pull_streams "$number" new "$here/quick" --no-links || bad=1
	pull "$number" changed "$here/fresh" --no-links --ignore-times || bad=1
	pull "$number" attributes "$here/sum" --no-links --checksum || bad=1
	pull "$number" links "$here/links" --no-implied-dirs || bad=1
	pull "$number" directories "$here/linkdirs" --no-links --no-implied-dirs || bad=1
	sort -u "$here/root" >"$here/self" 2>/dev/null
	pull "$number" root "$here/self" '--exclude=*' || bad=1
	if [ -f "$here/figuring" ]; then wait "$(cat "$here/figuring")"; fi
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
exit "$failed"
