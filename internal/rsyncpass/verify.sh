# Verification: compares both trees when a pass has done its work. Goes before
# pass.sh, after chain.sh and compare.sh; it needs in the job's directory
#   verify       "none", "changed" (what the pass gave to rsync), "metadata" (all),
#                or "checksum" (all, and the content of the files)
#   coarse       not empty where rsync brings times of whole seconds
#   verify.awk
# What only this host has is not looked at.
#
# shellcheck disable=SC2154 # the variables are chain.sh's

# verify NUMBER: exit code 1 where the comparison broke off.
verify() {
	here=$work/$1
	: >"$here/badsums"
	what=whole
	case $(cat "$job/verify") in
	none) return 0 ;;
	changed)
		if [ "$(cat "$here/how")" = changes ]; then
			what=listed
			# Directories that only lost a name are in these lists too.
			cat "$here"/quick-[1-9] "$here/fresh" "$here/sum" "$here/links" "$here/root" 2>/dev/null | sort -u >"$here/asked"
			if [ ! -s "$here/asked" ]; then
				say verified "$1" 0 0 0
				return 0
			fi
		fi
		;;
	checksum)
		# Before the metadata, so that what changes meanwhile is known to.
		now_listed "$1" || return 1
		sums "$1" || return 1
		;;
	esac
	both "$1" "$what" || return 1
	for side in there here; do
		agreeing <"$here/$side.records" >"$here/$side.agree"
	done
	comm -23 "$here/there.agree" "$here/here.agree" >"$here/differ"
	compared=$(wc -l <"$here/there.agree")
	rm "$here/there.agree" "$here/here.agree"
	linked there <"$here/there.records" >"$here/linked"
	if [ -s "$here/linked" ]; then linked here <"$here/here.records" >>"$here/linked"; fi
	unknown "$here/differ" >"$here/unknown"
	awk -v out="$here" -f "$job/verify.awk" part=links "$here/linked" part=unknown "$here/unknown" \
		part=sums "$here/badsums" part=differ "$here/differ" >"$here/suspects" || return 1
	meanwhile=0 differing=0
	if [ -s "$here/suspects" ]; then
		now_listed "$1" || return 1
		# shellcheck disable=SC2046 # two numbers
		set -- "$1" $(awk -v out="$here" -v coarse="$(cat "$job/coarse")" -f "$job/verify.awk" part=suspects "$here/suspects" \
			part=unknown "$here/unknown" part=there "$here/there.records" part=here "$here/here.records" part=was "$here/now")
		meanwhile=$2 differing=$3
	fi
	say verified "$1" $((compared)) "$meanwhile" "$differing"
	if [ "$differing" -gt 0 ]; then
		sort -t "$tab" -k 2 "$here/differs" | head -n 50 | tr '\0' '?' | sed "s/^/differs$tab$1$tab/" >>"$job/result"
		doubt "$1"
	fi
	rm -f "$here/there.records" "$here/here.records"
	return 0
}

# both NUMBER WHAT [LABEL]: what both hosts say, side by side. "listed" are the
# paths in the list "asked".
both() {
	here=$work/$1
	target=$(sed -n "${1}p" "$job/targets")
	if [ "$2" != listed ]; then : >"$here/asked"; fi
	tr '\n\0' '\0\n' <"$here/asked" >"$here/asked.nul"
	(
		cd "$target" || exit 1
		# The sums not of what only this host has, which may be much.
		# shellcheck disable=SC2086,SC2154 # several words, of compare.sh
		case $2 in
		listed) named <"$here/asked.nul" ;;
		whole) find . $records ;;
		sums) files <"$here/now" | tr '\n\0' '\0\n' | summed 2>"$here/sums.said" || cat "$here/sums.said" >&2 ;;
		esac
	) 2>"$here/here.said" | tr '\n\0' '\0\n' >"$here/here.records" &
	local=$!
	{
		to_old "cutover-verify $1 $2" <"$here/asked.nul" 2>"$work/said"
		echo "$?" >"$here/code"
	} | tr '\n\0' '\0\n' >"$here/there.records"
	wait "$local"
	code=$(cat "$here/code")
	if [ "$code" -eq 0 ] && [ "$(tail -n 1 "$here/there.records")" != cutover-end ]; then code=12; fi
	if [ "$code" -eq 0 ] && grep -v -e 'No such file or directory$' -e 'Not a directory$' "$here/here.said" >"$work/said"; then code=1; fi
	if [ "$code" -ne 0 ]; then
		ended "$1" "${3:-verify}" "$code"
		return 1
	fi
	if [ "$2" = sums ]; then
		sed '$d' "$here/there.records" >"$here/there.new" && mv "$here/there.new" "$here/there.records"
		return
	fi
	owned <"$here/there.records" >"$here/numbers" && to_old cutover-names <"$here/numbers" >"$here/there.names" 2>"$work/said"
	code=$?
	if [ "$code" -ne 0 ]; then
		ended "$1" "${3:-verify}" "$code"
		return 1
	fi
	owned <"$here/here.records" | while IFS=$tab read -r kind owner; do
		case $kind in user) database=passwd ;; *) database=group ;; esac
		getent "$database" "$owner" | awk -F : -v kind="$kind" -v owner="$owner" '$3 == owner && !n++ { print kind "\t" owner "\t" $1 }'
	done >"$here/here.names"
	name_owners here &
	local=$!
	name_owners there && wait "$local"
}

# owned: of records, whose they are: lines of "user" or "group" and a number.
owned() {
	awk 'BEGIN { FS = "\t" }
		NF > 5 { users[$5]; groups[$6] }
		END { for (n in users) print "user\t" n; for (n in groups) print "group\t" n }'
}

# name_owners SIDE: puts user and group by name into its records, behind the mode.
# One without a name stays a number.
name_owners() {
	awk 'BEGIN { FS = OFS = "\t" }
		part == 1 { name[$1, $2] = $3; next }
		NF > 5 {
			user = ("user", $5) in name ? name["user", $5] : $5
			$8 = $8 "\t" user "\t" (("group", $6) in name ? name["group", $6] : $6)
			print
		}' part=1 "$here/$1.names" part=2 "$here/$1.records" >"$here/$1.new" && mv "$here/$1.new" "$here/$1.records"
}

# files: the regular files of a listing.
files() {
	awk 'BEGIN { FS = "\t" } !/^cutover-end\t/ && $(NF - 8) == "f" {
		path = $1
		for (i = 2; i <= NF - 9; i++) path = path "\t" $i
		print path
	}'
}

# thorough NUMBER: a pass that is to end with all content compared, and knows of
# no earlier one, does not believe in size and time where something is there.
thorough() {
	here=$work/$1
	if [ "$(cat "$job/verify")" != checksum ] || [ "$(cat "$here/how")" = changes ] ; then return 0; fi
	if [ -n "$(ls -A "$(sed -n "${1}p" "$job/targets")")" ]; then
		for part in "$here"/quick-[1-9]; do
			if [ -s "$part" ]; then cat "$part" >>"$here/sum" && rm "$part"; fi
		done
	fi
}

# sums NUMBER: paths of files that have another content here, in "badsums".
sums() {
	both "$1" sums || return 1
	for side in there here; do sort "$work/$1/$side.records" >"$work/$1/$side.agree"; done
	comm -23 "$work/$1/there.agree" "$work/$1/here.agree" | cut -f2- >"$work/$1/badsums"
	rm "$work/$1/there.agree" "$work/$1/here.agree"
}

# agreeing: of records, what has to agree, sorted.
agreeing() {
	if [ -s "$job/coarse" ]; then
		awk 'BEGIN { FS = OFS = "\t" } $7 == "f" { sub(/\..*/, "", $12) } { print }' | cut -f7- | sort
	else
		cut -f7- | sort
	fi
}

# linked SIDE: those that are names of a file with several.
linked() { awk -v side="$1" 'BEGIN { FS = "\t" } $2 > 1 && $7 == "f" { print side "\t" $0 }'; }

# unknown RECORDS: the owners that this host does not know.
unknown() {
	awk 'BEGIN { FS = "\t" } { if (!u[$3]++) print "passwd\t" $3; if (!g[$4]++) print "group\t" $4 }' "$1" |
		while IFS=$tab read -r database name; do
			getent "$database" "$name" >/dev/null 2>&1 || printf '%s\t%s\n' "$database" "$name"
		done
}

# doubt NUMBER: the next pass compares what differs by its content and copies it
# again: its records in the manifest get the mark of those that are not certain.
doubt() {
	cut -f2- "$work/$1/differs" >"$work/$1/doubted"
	last_listing "$1" | awk '
		BEGIN { FS = OFS = "\t" }
		part == 1 { doubted[$0] = 1; next }
		/^cutover-end\t/ { print; next }
		{
			path = $1
			for (i = 2; i <= NF - 9; i++) path = path "\t" $i
			if (path in doubted && $(NF - 6) !~ /r$/) $(NF - 6) = $(NF - 6) "r"
			print
		}' part=1 "$work/$1/doubted" part=2 - >"$work/$1/doubtful" &&
		mv "$work/$1/doubtful" "$home/$1.manifest" && rm -f "$home/$1.since"
}
