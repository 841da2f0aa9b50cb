# The chain of passes: what the source was at the last one, and what is
# different now. Goes before pass.sh, which says what is in the job's directory.
#
# In $home are for each path, by its number: N.manifest, a listing of the source;
# N.since, what has been different since then; N.names, the names of all that was
# there at the last pass, with a "/" before each, and beside them what else that
# pass was told; N.pending, records that passes brought perhaps which did not end
# well; and "ended", whose time is that at which the last pass ended. In $work/N are
# the lists of this pass. A line of a list is a path, in which a NUL stands for a
# line end; not so in N.names, which can be large and changed often. Lists are
# sorted, and are not compressed: to unpack them would take longer than to compare
# them.

job=$1
state=/var/lib/cutover
id=$(cat "$job/id") chain=$(cat "$job/chain")
home=$state/chains/$chain work=$state/chains/$chain/work
# shellcheck disable=SC2034 # for pass.sh
trash=$state/trash/$id/$(date -u +%Y%m%dT%H%M%SZ) log=$state/passes/$id.log
tab=$(printf '\t')

# The first line of N.since is the mark of the manifest, "|", the mark of the names,
# the time of the listing, the kinds of file systems and what else finish (serve.sh)
# says; the second line is figures; then come records, sorted, with "-" for those
# that are gone and "+" for those that have come. With another manifest it is of no
# use.

# compare NUMBER: lists the source and says what is different.
compare() {
	here=$work/$1
	mkdir -p "$here"
	if listed_changes "$1"; then
		say listing "$1" changes
		how=changes known=1
	else
		# shellcheck disable=SC2154 # changes.sh sets it
		say listing "$1" "$why"
		list_all "$1" || return 1
	fi
	say how "$1" "$how"
	echo "$how" >"$here/how"
	if [ -s "$home/$1.pending" ] && [ "$how" != other ]; then
		gzip -dc "$home/$1.pending" 2>/dev/null | sed "s/\$/$tab?/" >>"$here/before" || return 1
	fi
	other_names "$1" || return 1
	changes=$(awk -v out="$here" -v known="$known" -v streams="$(cat "$job/streams")" -f "$job/classify.awk" \
		part=1 "$here/before" part=0 "$here/new" part=2 "$here/new" part=3 "$here/names") || return 1
	say changes "$1" "$changes"
}

# fields NUMBER TRAILER: takes the last record of a listing apart.
fields() {
	trailer=${2#cutover-end"$tab"}
	began=${trailer%%"$tab"*} trailer=${trailer#*"$tab"}
	kinds=${trailer%%"$tab"*} facts=
	case $trailer in *"$tab"*) facts=${trailer#*"$tab"} ;; esac
	echo "$began" >"$work/$1/began"
}

# list_all NUMBER: compares with a listing of everything.
list_all() {
	# The listing comes unsorted, so that the old host need not sort it.
	# sort takes much longer for what comes through a pipe. On a full disk there is no
	# room for the exit code either.
	{ to_old "cutover-list $1" 2>"$work/said"; echo "$?" >"$job/code.list"; } | tr '\n\0' '\0\n' 2>"$job/unsorted" >"$here/unsorted" &&
		sort "$here/unsorted" >"$here/now" 2>>"$job/unsorted"
	sorted=$?
	rm -f "$here/unsorted"
	if [ "$sorted" -ne 0 ]; then
		sed "s/^/said$tab$1$tab/" "$job/unsorted" >>"$job/result"
		ended "$1" list 1
		return 1
	fi
	code=$(cat "$job/code.list")
	trailer=$(tail -n 1 "$here/now")
	if [ "$code" -eq 0 ] && ! whole "$here/now"; then code=12; fi
	if [ "$code" -ne 0 ]; then
		if greeted; then ended "$1" list "$code"; fi
		return 1
	fi
	fields "$1" "$trailer"
	{ figures "$1" && : >"$here/listed"; } &
	echo "$!" >"$here/figuring"

	known=
	: >"$here/was"
	if [ ! -f "$home/$1.manifest" ]; then
		how=first
	elif ! whole "$home/$1.manifest"; then
		how=lost
	elif ! last_listing "$1" >"$here/was"; then
		return 1 # there is no room for it
	elif [ "$(root_of "$here/was")" != "$(root_of "$here/now")" ]; then
		how=other
		: >"$here/was"
	else
		how=changes
		known=1
	fi
	for kind in $kinds; do
		case $kind in nfs* | cifs | smb* | fuse* | 9p | vfat | exfat | msdos | afs | ceph)
			if [ "$how" = changes ]; then
				how=untrusted
				say kind "$1" "$kind"
			fi
			;;
		esac
	done

	# On a full disk any of these may end half-done, and what a list lacks would
	# never be copied.
	comm -23 "$here/was" "$here/now" >"$here/before" || return 1
	if [ "$how" = untrusted ]; then
		known=
		cp "$here/now" "$here/new" || return 1
	else
		comm -13 "$here/was" "$here/now" >"$here/new" || return 1
	fi
	rm "$here/was"
	printf '=%s\n' "$tab$began$tab$kinds$tab$facts" >"$here/since"
}

# whole LISTING: whether it has its end, and the tree's own directory.
whole() {
	case $(tail -n 1 "$1") in "cutover-end$tab"*"$tab"*) ;; *) return 1 ;; esac
	case $(head -n 1 "$1") in ".${tab}d$tab"*) ;; *) return 1 ;; esac
}

# mark FILE: tells it from any other, also after it has been renamed.
mark() { stat -c '%i %s %Y' "$1" 2>/dev/null; }

# last_listing NUMBER: what the source was at the last pass.
last_listing() {
	its=
	{ IFS=$tab read -r its _ <"$home/$1.since"; } 2>/dev/null
	if [ "${its%|*}" != "$(mark "$home/$1.manifest")" ] || ! grep -a -q '^[-+]' "$home/$1.since"; then
		cat "$home/$1.manifest"
		return
	fi
	sed -n 's/^-//p' "$home/$1.since" >"$work/$1/gone-since" && sed -n 's/^+//p' "$home/$1.since" >"$work/$1/come-since" &&
		comm -23 "$home/$1.manifest" "$work/$1/gone-since" | sort -m - "$work/$1/come-since"
}

# now_listed NUMBER: for what comes after the pass, the whole listing as a file,
# "now", where it is not there.
now_listed() {
	[ -f "$work/$1/now" ] && return
	last_listing "$1" | awk 'BEGIN { FS = OFS = "\t" } !/^cutover-end\t/ && $(NF - 6) ~ /r$/ { sub(/r$/, "", $(NF - 6)) } { print }' >"$work/$1/now"
}

# root_of LISTING: the inode of the tree's own directory. Another one means that
# something else is there, a file system that is not mounted for example.
root_of() { head -n 1 "$1" | cut -f3; }

# other_names NUMBER: the records of names that have not changed, of files that
# have got another name. A name that comes with a renamed directory changes
# nothing in the file itself; and only a list with all names of a file makes
# them one file on the new host too.
other_names() {
	here=$work/$1
	: >"$here/names"
	awk 'BEGIN { FS = "\t" }
		/^cutover-end\t/ { next }
		$(NF - 8) == "f" && $(NF - 2) > 1 { seen[$(NF - 7)]++; links[$(NF - 7)] = $(NF - 2) }
		END { for (inode in seen) if (seen[inode] < links[inode]) print inode }' "$here/new" >"$here/incomplete" || return 1
	[ -s "$here/incomplete" ] || return 0
	if [ -f "$here/now" ]; then
		ln -f "$here/now" "$here/all"
	else
		last_listing "$1" | comm -23 - "$here/before" >"$here/all"
	fi
	awk 'BEGIN { FS = "\t" }
		part == 1 { wanted[$1]; next }
		/^cutover-end\t/ { next }
		$(NF - 8) == "f" && $(NF - 7) in wanted' part=1 "$here/incomplete" part=2 "$here/all" |
		comm -23 - "$here/new" >"$here/names"
	rm -f "$here/all"
}

# racy NUMBER: since when, by the old host's clock, a change is so late that the
# file may be changed once more with the same ctime, where that is coarse. Such
# a record gets a mark, and so counts as changed in the next pass.
racy() { echo $(($(cat "$work/$1/began") - 3)); }

# figures NUMBER: what the source holds, the manifest of it, and the names.
figures() {
	awk -v racy="$(racy "$1")" -v number="$1" -v figures="$work/$1/figures" -v names="$work/$1/names.unsorted" '
		BEGIN { FS = OFS = "\t" }
		/^cutover-end\t/ { print; next }
		{
			type = $(NF - 8)
			kinds[type]++
			n++
			if (type == "f") bytes += $(NF - 5)
			path = $1
			for (i = 2; i <= NF - 9; i++) path = path "\t" $i
			print "/" path > names
			if ($(NF - 6) + 0 >= racy) $(NF - 6) = $(NF - 6) "r"
			print
		}
		END {
			printf "seen\t%d\t%d\t%d\t%d\t%d\t%d\t%.0f\n", number, n, kinds["f"], kinds["d"], kinds["l"],
				n - kinds["f"] - kinds["d"] - kinds["l"], bytes > figures
		}' "$work/$1/now" >"$work/$1/manifest" && tr '\n\0' '\0\n' <"$work/$1/names.unsorted" | sort -z >"$work/$1/names.new" && rm "$work/$1/names.unsorted"
}

# strangers: owners of what is to be copied that this host does not know.
strangers() {
	if [ "$(cat "$job/owners")" = ignore ]; then return 0; fi
	cat "$work"/*/new | awk '
		BEGIN { FS = "\t" }
		/^cutover-end\t/ { next }
		{ users[$(NF - 1)]++; groups[$NF]++ }
		END {
			for (name in users) print "user\t" name "\t" users[name]
			for (name in groups) print "group\t" name "\t" groups[name]
		}' | sort >"$work/numbers"
	if ! cut -f1,2 "$work/numbers" | to_old cutover-names >"$work/names" 2>"$work/said"; then
		ended 1 names 1
		return 1
	fi
	# A number without a name on the old host is copied as it is.
	awk 'BEGIN { FS = OFS = "\t" }
		part == 1 { names[$1, $2] = $3; next }
		{ if (($1, $2) in names) $2 = names[$1, $2]; print }' part=1 "$work/names" part=2 "$work/numbers" >"$work/owners"
	found=0
	while IFS=$tab read -r kind name files; do
		case $kind in user) database=passwd ;; *) database=group ;; esac
		if ! getent "$database" "$name" >/dev/null 2>&1; then
			say unknown "$kind" "$name" "$files"
			found=1
		fi
	done <"$work/owners"
	[ "$found" = 0 ] || [ "$(cat "$job/owners")" != fail ]
}

# remember_attempt NUMBER: from here on the new host may have any of what this
# pass copies, however it ends.
remember_attempt() {
	{
		gzip -dc "$home/$1.pending" 2>/dev/null
		awk -v racy="$(racy "$1")" '
			BEGIN { FS = OFS = "\t" }
			!/^cutover-end\t/ && $(NF - 6) + 0 >= racy { $(NF - 6) = $(NF - 6) "r" }
			{ print }' "$work/$1/new"
	} | sort -u >"$work/$1/attempt" && gzip -1 <"$work/$1/attempt" >"$home/$1.pending.new" &&
		mv "$home/$1.pending.new" "$home/$1.pending"
}

# remember NUMBER: the pass has done its work. What is interrupted here leads to a
# listing of everything.
remember() {
	here=$work/$1
	if [ -f "$here/manifest" ]; then
		cat "$here/figures" >>"$here/since" && mv "$here/manifest" "$home/$1.manifest" || return 1
	fi
	{
		printf '%s|%s' "$(mark "$home/$1.manifest")" "$(mark "$here/names.new")" && sed 's/^=//' "$here/since"
	} >"$home/$1.since.new" && mv "$home/$1.since.new" "$home/$1.since" && mv "$here/names.new" "$home/$1.names" || return 1
	rm -f "$home/$1.pending"
}

# shortage NUMBER: where the target's disk is full, how much of what was to be
# copied is not there yet, and how much room there is.
shortage() {
	grep -a "^said$tab$1$tab" "$job/result" | grep -a -q -e 'No space left on device' -e 'Disk quota exceeded' || return 0
	target=$(sed -n "${1}p" "$job/targets")
	# Read from the list and passed on at once: there may be no room for more files.
	set -- "$1" "$target" "$(awk 'BEGIN { FS = "\t" } /^cutover-end\t/ { next } $(NF - 8) == "f" { path = $1; for (i = 2; i <= NF - 9; i++) path = path "\t" $i; print path }' "$work/$1/new" |
		tr '\n\0' '\0\n' |
		(cd "$target" && xargs -0 sh -c 'find "$@" -prune -printf "%p\t%s\t%T@\0" 2>/dev/null; :' sh) | tr '\n\0' '\0\n' |
		awk 'BEGIN { FS = "\t" }
			part == 1 { path = $1; for (i = 2; i <= NF - 2; i++) path = path "\t" $i; size[path] = $(NF - 1); time[path] = int($NF); next }
			/^cutover-end\t/ { next }
			$(NF - 8) == "f" {
				path = $1; for (i = 2; i <= NF - 9; i++) path = path "\t" $i
				if (size[path] == $(NF - 5) && time[path] == int($(NF - 4)) || seen[$(NF - 7)]++) next
				files++; bytes += $(NF - 5)
			}
			END { printf "%.0f\t%d", bytes, files }' part=1 - part=2 "$work/$1/new")"
	say short "$1" "$3" "$(df -Pk "$2" | awk 'END { print $(NF - 2) }')"
}

# only_vanished NUMBER: whether all that rsync complained of is that files are
# not there any more, or not as what they were (exit codes 23 and 24 of rsync(1)).
only_vanished() {
	grep -a "^ran$tab$1$tab" "$job/result" | awk -F "$tab" '$4 != 0 && $4 != 23 && $4 != 24 { bad = 1 } END { exit bad }' || return 1
	! grep -a "^said$tab$1$tab" "$job/result" | grep -a -v \
		-e "^said$tab$1$tab\$" -e 'rsync error: ' -e 'rsync warning: ' -e ' has vanished: ' \
		-e 'link_stat ".*" failed: No such file or directory (2)' -e 'link_stat ".*" failed: Not a directory (20)' \
		-e 'send_files failed to open ".*": Not a directory (20)' \
		-e 'send_files failed to open ".*": Too many levels of symbolic links (40)' | grep -q .
}

# sweep NUMBER: after a pass that did not end well, takes away the parts of files
# that it left and this pass does not go on with: .cutover-partial/NAME, and, of
# an rsync that was killed, .NAME.XXXXXX.
sweep() {
	here=$work/$1
	[ -s "$home/$1.pending" ] || return 0
	target=$(sed -n "${1}p" "$job/targets")
	(cd "$target" && find . -type f '(' -path '*/.cutover-partial/*' -o -name '.?*.??????' ')' -print0 2>/dev/null) |
		tr '\n\0' '\0\n' >"$here/parts" || return 1
	[ -s "$here/parts" ] || return 0
	gzip -dc "$home/$1.pending" >"$here/tried" 2>/dev/null || return 1
	awk '
		function path_of(  path, i) {
			path = $1
			for (i = 2; i <= NF - 9; i++) path = path "\t" $i
			return path
		}
		BEGIN { FS = "\t" }
		/^cutover-end\t/ { next }
		part == 1 {
			name = $0; sub(/.*\//, "", name)
			above = substr($0, 1, length($0) - length(name))
			if (above ~ /\/\.cutover-partial\/$/) partial[substr(above, 1, length(above) - 17) name] = $0
			else killed[above substr(name, 2, length(name) - 8)] = killed[above substr(name, 2, length(name) - 8)] $0 "\n"
			own[$0] = 1
			next
		}
		part == 2 { path = path_of(); if (path in killed) ours[path] = 1; next }
		part == 3 { delete partial[path_of()]; next }
		{ path = path_of(); if (path in own) delete own[path] }
		END {
			for (path in partial) print partial[path]
			for (path in ours) {
				n = split(killed[path], list, "\n")
				for (i = 1; i < n; i++) if (list[i] in own) print list[i]
			}
		}' part=1 "$here/parts" part=2 "$here/tried" part=3 "$here/new" part=4 "$here/now" >"$here/stale" || return 1
	rm "$here/tried"
	[ -s "$here/stale" ] || return 0
	tr '\n\0' '\0\n' <"$here/stale" | xargs -0 sh "$job/remove.sh" "$target" '' files
	sed -n 's,/[^/]*$,,p' "$here/stale" | grep '/\.cutover-partial$' | sort -u | tr '\n\0' '\0\n' |
		xargs -0 sh "$job/remove.sh" "$target" '' dirs
	return 0
}

# remove NUMBER: takes away what an earlier pass of the chain has brought and
# the source no longer has, and what stands in the way of another kind of file.
remove() {
	here=$work/$1
	target=$(sed -n "${1}p" "$job/targets")
	mode=$(cat "$job/delete")
	{
		if [ "$mode" != none ] && [ -f "$here/gone" ]; then cat "$here/gone"; fi &&
			if [ -f "$here/turned" ]; then cat "$here/turned"; fi
	} >"$here/candidates" || return 1
	[ -s "$here/candidates" ] || return 0
	# What of it is there, and as what.
	awk 'BEGIN { FS = "\t" } { path = $1; for (i = 2; i <= NF - 3; i++) path = path "\t" $i; print path }' "$here/candidates" |
		sort -u | tr '\n\0' '\0\n' >"$here/asked" || return 1
	(cd "$target" && xargs -0 sh -c 'find "$@" -prune -printf "%p\t%y\t%s\t%T@\t%C@\0" 2>/dev/null; :' sh <"$here/asked") |
		tr '\n\0' '\0\n' >"$here/there" || return 1
	last=$(find "$home/ended" -printf '%T@' 2>/dev/null)
	verdict=$(awk -v out="$here" -v last="$last" -f "$job/verdict.awk" part=1 "$here/there" part=2 "$here/candidates") || return 1
	# shellcheck disable=SC2086 # three numbers
	set -- "$1" $verdict
	say deleted "$@"
	if [ -f "$here/kept" ]; then head -n 10 "$here/kept" | tr '\0' '?' | sed "s/^/kept$tab$1$tab/" >>"$job/result"; fi
	if [ "$mode" = trash ]; then aside=$trash/$1; else aside=; fi
	{
		if [ -f "$here/take" ]; then
			if [ -n "$aside" ]; then
				mkdir -p "$aside" && tr '\n\0' '\0\n' <"$here/places" | (cd "$aside" && xargs -0 mkdir -p --)
			fi
			tr '\n\0' '\0\n' <"$here/take" | xargs -0 -n 100 -P 2 sh "$job/remove.sh" "$target" "$aside" files
		fi
		if [ -f "$here/dirs" ]; then
			sort -r "$here/dirs" | tr '\n\0' '\0\n' | xargs -0 sh "$job/remove.sh" "$target" "$aside" dirs
		fi
	} 2>"$work/said" || :
	[ -s "$work/said" ] || return 0
	ended "$1" delete 1
	return 1
}
