# Reads the mail queues of this host. Changes nothing.
#   $1 how many messages of each queue are told of, the oldest
#   $2 directory with sendmail.cf and submit.cf
# Prints lines:
#   now SECONDS ZONE     since 1970, by the host's clock; ZONE as +0100
#   mta NAME             a mail server with a queue here: postfix, a Postfix instance's name, sendmail, exim
#   json TEXT            of the one before, what postqueue -j prints
#   list TEXT            what postqueue -p prints, before Postfix 3.1, which knows no -j
#   sum STATE COUNT BYTES ARRIVAL   messages in a state, and the oldest of them
#   odd PATH             a file of the queue that is no message
#   file STATE BYTES PATH  a control file, and its lines after it:
#   | TEXT
#   done ADDRESS         has the message already, by Exim's journal
#   log TEXT             last line of Exim's log of the message that tells of trouble
#   failed TEXT          a queue that could not be read
set -u
most=$1 sendmail_cf=$2
work=$(mktemp -d "${TMPDIR:-/tmp}/cutover-queue.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
echo "now $(date '+%s %z')"

postfix_queues | while read -r name config _; do
	echo "mta $name"
	# Where Postfix is stopped, root is told all the same.
	case $(postconf -h mail_version 2>/dev/null) in
	[012].* | 3.0*)
		{ postqueue -c "$config" -p 2>"$work/said" || echo "failed $(tail -n 1 "$work/said")"; } | sed '/^failed /!s/^/list /'
		;;
	*)
		{ postqueue -c "$config" -j 2>"$work/said" || echo "failed $(tail -n 1 "$work/said")"; } | sed '/^failed /!s/^/json /'
		;;
	esac
done

# summed reads lines "size ID BYTES", "file STATE ID PATH" and "PATH:LINE" of control
# files, prints sums and odd files, and leaves the oldest in $work/oldest.
summed() {
	awk -v oldest="sort -n | head -n $most >'$work/oldest'" '
		$1 == "size" { size[$2] = $3; next }
		$1 == "file" { state[$4] = $2; id[$4] = $3; next }
		{
			at = index($0, ":"); path = substr($0, 1, at - 1); line = substr($0, at + 1)
			if (line ~ /^T[0-9]+$/) arrival[path] = substr(line, 2)
			else if (line ~ /^[0-9]+ [0-9]+$/) { if (!(path in arrival)) arrival[path] = line + 0 }
			else if (line == "N0" || line == "-deliver_firsttime") fresh[path] = 1
			else if (line ~ /^-frozen/) frozen[path] = 1
		}
		END {
			printf "" | oldest
			for (path in state) {
				if (!(path in arrival)) { print "odd " path; continue }
				what = state[path]
				if (frozen[path]) what = "frozen"
				else if (what == "deferred" && fresh[path]) what = "incoming"
				count[what]++
				bytes[what] += size[id[path]]
				if (!(what in first) || arrival[path] + 0 < first[what] + 0) first[what] = arrival[path]
				printf "%s %s %d %s\n", arrival[path], what, size[id[path]], path | oldest
			}
			close(oldest)
			for (what in count) printf "sum %s %d %.0f %s\n", what, count[what], bytes[what], first[what]
		}'
}

queues=$(sendmail_queues "$sendmail_cf")
if [ -n "$queues" ]; then
	echo "mta sendmail"
	printf '%s\n' "$queues" | while IFS= read -r queue; do
		qf=$(part "$queue" qf)
		find "$(part "$queue" df)" -maxdepth 1 -type f -name 'df*' -printf 'size %f %s\n' | sed 's/^size df/size /'
		find "$qf" -maxdepth 1 -type f \( -name 'qf*' -printf 'file deferred %f %p\n' -o -name 'hf*' -printf 'file quarantined %f %p\n' -o \
			-name 'Qf*' -printf 'file lost %f %p\n' \) | sed 's/^\(file [a-z]* \)[qhQ]f/\1/'
		# /dev/null: grep names the file also where it is given one alone.
		find "$qf" -maxdepth 1 -type f -name '[qhQ]f*' -exec grep -s -a -H -E '^[TN][0-9]+$' {} + 2>/dev/null
	done | summed
	while read -r _ state size path; do
		echo "file $state $size $path"
		sed 's/^/| /' "$path" 2>/dev/null
	done <"$work/oldest"
fi

spool=$(exim_spool)
if [ -n "$spool" ]; then
	echo "mta exim"
	{
		find "$spool" -path '*/input/*' -type f -name '[0-9A-Za-z]*-D' -printf 'size %f %s\n' 2>/dev/null | sed 's/-D / /'
		find "$spool" -path '*/input/*' -type f -name '[0-9A-Za-z]*-H' ! -name 'cutover-*' -printf 'file deferred %f %p\n' 2>/dev/null | sed 's/-H / /'
		find "$spool" -path '*/input/*' -type f -name '[0-9A-Za-z]*-H' ! -name 'cutover-*' \
			-exec grep -s -a -H -E '^([0-9]+ [0-9]+|-frozen( [0-9]+)?|-deliver_firsttime)$' {} + 2>/dev/null
	} | summed
	while read -r _ state size path; do
		echo "file $state $size $path"
		sed 's/^/| /' "$path" 2>/dev/null
		id=${path##*/}
		id=${id%-H}
		sed 's/^/done /' "${path%-H}-J" 2>/dev/null
		logs=$(printf '%s\n' "${path%/*}" | sed 's:/input\(/.\)\{0,1\}$:/msglog\1:')
		if [ -f "$logs/$id" ]; then grep -a -E ' defer | error ' "$logs/$id" | tail -n 1 | sed 's/^/log /'; fi
	done <"$work/oldest"
fi
exit 0
