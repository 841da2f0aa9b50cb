# How far a pass is. Goes before pass.sh, after chain.sh.
#
# Each rsync, of which several may run at a time, writes its standard output into
# a file of its own in $work/progress; when it has ended, "$work/progress.done" has a
# line for it instead: bytes, files looked at, files of them that were copied.
# One loop sums them, and writes the line that "status" is. The job's file
# "progress" holds the options that make rsync tell, and is empty where it cannot.
#
# shellcheck disable=SC2154 # the variables are chain.sh's

# status TEXT: what the pass does now.
status() {
	echo "$*" >"$work/phase"
	tell "$*"
}

# tell TEXT: beside the log it is for people on this host.
tell() {
	echo "$*" >"$job/status.new" && mv "$job/status.new" "$job/status" 2>/dev/null # the watcher tells too
	cp "$job/status" "$state/passes/$id.status" 2>/dev/null
}

# watch: begins to tell how far the copying is, every few seconds.
watch() {
	watcher=
	mkdir -p "$work/progress"
	: >"$work/progress.done"
	cat "$work"/*/volume 2>/dev/null | awk '{ files += $1; bytes += $2 } END { printf "%d %.0f\n", files, bytes }' >"$work/volume"
	grep -q . "$job/progress" || return 0
	began=$(date +%s)
	(
		trap - EXIT
		# As long as the pass itself is there.
		while sleep 3 && kill -0 $$ 2>/dev/null; do
			line=$(so_far "$(date +%s)")
			if [ -n "$line" ]; then tell "$(cat "$work/phase")$line"; fi
		done
	) >/dev/null 2>&1 &
	watcher=$!
}

unwatch() {
	if [ -n "${watcher-}" ]; then kill "$watcher" 2>/dev/null; fi
	watcher=
}

# done_with FILE: its rsync has ended.
done_with() {
	last "$1" | awk '$1 == "at" { print $2, $3, $4 }' >>"$work/progress.done"
	rm -f "$1"
}

# last FILE: the last that an rsync has said: "at BYTES LOOKED_AT COPIED", and
# "path PATH".
last() {
	tail -c 6000 "$1" | tr '\r' '\n' | awk '
		/^ +[0-9][0-9,.]* +[0-9]+% / {
			bytes = $1
			gsub(/[^0-9]/, "", bytes)
			at = index($0, "xfr#")
			if (at) {
				copied = substr($0, at + 4) + 0
				text = $0
				sub(/.*chk=/, "", text)
				split(text, left, /[\/)]/)
				looked = left[2] - left[1]
			}
			next
		}
		/^(Number of|Total|Literal data|Matched data|File list|sent |total size)/ { exit }
		/./ { path = $0 }
		END {
			printf "at %.0f %d %d\n", bytes, looked, copied
			if (path != "") print "path " path
		}'
}

# so_far NOW: ": 45 %, 1.2 GiB of 2.6 GiB, 35.1 MiB/s, 0:41 left, at anna/mail/1".
so_far() {
	{
		sed 's/^/at /' "$work/progress.done"
		for each in "$work"/progress/*; do
			if [ -f "$each" ]; then last "$each"; fi
		done
	} 2>/dev/null | awk -v elapsed="$(($1 - began))" -v volume="$(cat "$work/volume")" '
		function human(n) {
			if (n >= 1073741824) return sprintf("%.1f GiB", n / 1073741824)
			if (n >= 1048576) return sprintf("%.1f MiB", n / 1048576)
			return sprintf("%d KiB", n / 1024)
		}
		$1 == "path" { path = substr($0, 6); next }
		{ bytes += $2; looked += $3; copied += $4 }
		END {
			split(volume, all, " ")
			if (all[1] == 0 || elapsed <= 0) exit
			# What need not be copied counts as if it were of middling size.
			if (all[2] > 0) part = (bytes + (looked - copied) * all[2] / all[1]) / all[2]
			else part = looked / all[1]
			if (part > 0.99) part = 0.99
			if (part < 0) part = 0
			text = sprintf(": %d %%, %s of %s, %s/s", 100 * part, human(bytes), human(all[2]), human(bytes / elapsed))
			if (part > 0.005) {
				left = int(elapsed * (1 - part) / part + 0.5)
				text = text sprintf(", %d:%02d:%02d left", left / 3600, left % 3600 / 60, left % 60)
			}
			if (path != "") text = text ", at " path
			print text
		}'
}
