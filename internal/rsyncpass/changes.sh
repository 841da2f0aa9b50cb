# Finds what is different in the source from what has changed since the last listing,
# without listing all of it. Goes before pass.sh, after chain.sh, which says what the
# files are.
#
# shellcheck disable=SC2034,SC2154 # the variables are chain.sh's too

# listed_changes NUMBER: asks the old host only for what has changed since the
# last listing, where that tells the whole, and finds what it means. Exit code 1:
# everything has to be listed; $why says why.
listed_changes() {
	changes_tell "$1" && ask_changes "$1" && follow_changes "$1" && followed "$1" 2>/dev/null && : >"$here/listed"
}

# changes_tell NUMBER: whether enough is known of the last listing.
changes_tell() {
	why=first
	[ -f "$home/$1.manifest" ] || return 1
	why='the last pass did not end well'
	[ ! -s "$home/$1.pending" ] || return 1
	why='of the last listing too little is known'
	{ IFS=$tab read -r its since last_kinds last_facts <"$home/$1.since"; } 2>/dev/null || return 1
	[ "$its" = "$(mark "$home/$1.manifest")|$(mark "$home/$1.names")" ] && [ -n "$last_facts" ] || return 1
	if [ "$(wc -c <"$home/$1.since")" -gt 50000000 ]; then return 1; fi
	# Where every change of a file or of its names sets the ctime, and no part of
	# the tree can be exchanged for an older state of it under way.
	for kind in $last_kinds; do
		case $kind in ext[234] | xfs | jfs | reiserfs | f2fs | tmpfs | overlay) ;; *)
			why="ctimes do not tell all on file systems of the kind $kind"
			return 1
			;;
		esac
	done
}

# ask_changes NUMBER: asks for them, into "news", sorted.
ask_changes() {
	# A clock may be a little behind itself, above all after it has been put right.
	why='there was no room for the lists'
	to_old "cutover-changes $1 $((since - 10))" >"$here/unsorted" 2>/dev/null
	code=$?
	sort -z "$here/unsorted" >"$here/news" 2>/dev/null || return 1
	rm "$here/unsorted"
	why='what has changed could not be listed'
	[ "$code" = 0 ] || return 1
	trailer=$(tail -z -n 1 "$here/news" | tr '\n\0' '\0\n')
	case $trailer in "cutover-end$tab"*"$tab"*"$tab"*) ;; *) return 1 ;; esac
	fields "$1" "$trailer"
	why='the old host was started anew since, or what is mounted there has changed'
	[ "$kinds" = "$last_kinds" ] && [ "${facts#* }" = "${last_facts#* }" ] || return 1
	why='the clock of the old host was set since'
	off=$((${facts%% *} - ${last_facts%% *}))
	[ "$off" -le 2 ] && [ "$off" -ge -2 ]
}

# follow_changes NUMBER: compares them with what was known, into "before" and "new".
follow_changes() {
	why='the manifest could not be read'
	sed -n 's/^-//p' "$home/$1.since" >"$here/minus" && sed -n 's/^+//p' "$home/$1.since" >"$here/plus" || return 1
	# The records come first, then the names, and then the end.
	tr '\n\0' '\0\n' <"$here/news" | awk '!/^\./ { exit } { print }' >"$here/newer" &&
		comm -z -3 "$home/$1.names" "$here/news" >"$here/moved.nul" &&
		tr '\n\0' '\0\n' <"$here/moved.nul" | awk '/^\t?\// { print }' >"$here/moved" &&
		mv "$here/news" "$here/names.new" || return 1
	awk 'BEGIN { FS = "\t" }
		part == 1 { path = $1; for (i = 2; i <= NF - 9; i++) path = path "\t" $i; print path "\t"; next }
		/^\// { print substr($0, 2) "\t" }' part=1 "$here/newer" part=2 "$here/moved" >"$here/wanted" &&
		among "$1" >"$here/known" &&
		said=$(awk -v out="$here" -f "$job/follow.awk" part=1 "$here/newer" part=2 "$here/moved" part=3 "$here/known") || return 1
	why='it is another directory'
	[ "$said" != other ] || return 1
	why='the manifest lacks names'
	[ -z "$said" ] || return 1
	if [ -s "$here/replaced" ]; then
		sed 's,$,/,' "$here/replaced" >"$here/wanted" && among "$1" >"$here/known" &&
			awk 'BEGIN { FS = "\t" }
				part == 1 { replaced[$0]; next }
				/^cutover-end\t/ { next }
				{
					path = $1
					for (i = 2; i <= NF - 9; i++) path = path "\t" $i
					while (sub(/\/[^\/]*$/, "", path)) if (path in replaced) { print; next }
				}' part=1 "$here/replaced" part=2 "$here/known" >>"$here/dropped" || return 1
	fi
	why='what has come with a renamed directory could not be listed'
	: >"$here/more"
	if [ -s "$here/ask" ]; then
		{ tr '\n\0' '\0\n' <"$here/ask" | to_old "cutover-below $1" 2>/dev/null; echo "$?" >"$here/code"; } | tr '\n\0' '\0\n' >"$here/more"
		[ "$(cat "$here/code")" = 0 ] || return 1
		case $(tail -n 1 "$here/more") in "cutover-end$tab"*) ;; *) return 1 ;; esac
	fi
	# Of what was listed twice the later record counts.
	cat "$here/more" "$here/newer" | awk '
		BEGIN { FS = "\t" }
		!/^\./ { next }
		{ path = $1; for (i = 2; i <= NF - 9; i++) path = path "\t" $i }
		!(path in done) { done[path]; print }' >"$here/once" || return 1
	: >>"$here/dropped"
	why='there was no room for the lists'
	if ! sort "$here/once" >"$here/found" || ! sort -u "$here/dropped" >"$here/was" ||
		! comm -23 "$here/was" "$here/found" >"$here/before" || ! comm -13 "$here/was" "$here/found" >"$here/new"; then
		return 1
	fi 2>/dev/null
	rm -f "$here/once" "$here/found" "$here/was" "$here/newer" "$here/moved.nul" "$here/moved" "$here/wanted" "$here/known" \
		"$here/replaced" "$here/more" "$here/dropped" "$here/now" "$here/figuring"
}

# followed NUMBER: writes the new N.since, and the figures.
followed() {
	comm -23 "$here/before" "$here/plus" >"$here/left" &&
		sort -u "$here/left" "$here/minus" >"$here/minus.new" &&
		awk -v racy="$(racy "$1")" '
			BEGIN { FS = OFS = "\t" }
			$(NF - 6) + 0 >= racy { $(NF - 6) = $(NF - 6) "r" }
			{ print }' "$here/new" >"$here/came" &&
		comm -23 "$here/plus" "$here/before" >"$here/left" &&
		sort -u "$here/left" "$here/came" >"$here/plus.new" || return 1
	{
		sed -n 2p "$home/$1.since" && sed 's/^/-/' "$here/before" && sed 's/^/+/' "$here/new"
	} | awk -v number="$1" '
		BEGIN { FS = "\t" }
		NR == 1 { for (i = 3; i <= 8; i++) sum[i] = $i; next }
		{
			type = $(NF - 8); one = /^-/ ? -1 : 1
			sum[3] += one
			sum[type == "f" ? 4 : type == "d" ? 5 : type == "l" ? 6 : 7] += one
			if (type == "f") sum[8] += one * $(NF - 5)
		}
		END { printf "seen\t%d\t%d\t%d\t%d\t%d\t%d\t%.0f\n", number, sum[3], sum[4], sum[5], sum[6], sum[7], sum[8] }' >"$here/figures" &&
		{
			printf '=%s\n' "$tab$began$tab$kinds$tab$facts" && cat "$here/figures" &&
				sed 's/^/-/' "$here/minus.new" && sed 's/^/+/' "$here/plus.new"
		} >"$here/since" || return 1
	rm -f "$here/minus" "$here/plus" "$here/came" "$here/left" "$here/minus.new" "$here/plus.new"
}

# among NUMBER: those of its records that hold one of the strings in "wanted", and
# perhaps others.
among() {
	rm -f "$here/damaged"
	{
		if [ "$(wc -l <"$here/wanted")" -gt 20000 ]; then
			cat "$home/$1.manifest"
		else
			grep -a -F -f "$here/wanted" "$home/$1.manifest" || [ "$?" -eq 1 ]
		fi || : >"$here/damaged"
	} 2>/dev/null | comm -23 - "$here/minus" && cat "$here/plus" && [ ! -f "$here/damaged" ]
}
