# What is asked when the source is listed, before the first byte is copied: is
# there room, and can the file systems keep what comes. Goes before pass.sh, after
# verify.sh.
#
# shellcheck disable=SC2154 # the variables are chain.sh's

# room: whether the file systems of the targets have room for what is to come.
# A quick sum by the listings settles it nearly always. Where it does not, what is
# there already is looked at, and what files with holes really take.
room() {
	df_of >"$work/free" || return 1
	number=0
	while [ "$number" -lt "$count" ]; do
		number=$((number + 1))
		read -r _ _ kib entries <"$work/$number/volume"
		sed -n "${number}p" "$work/free" | sed "s/^/$number$tab$kib$tab$entries$tab/"
	done >"$work/wanted"
	for number in $(crowded | cut -f1); do
		both_named "$number" || return 1
		awk -v trash="$(cat "$job/delete")" -f "$job/room.awk" part=here "$work/$number/here.records" \
			part=there "$work/$number/there.records" >"$work/needs" || return 1
		awk -v number="$number" -v needs="$(cat "$work/needs")" '
			BEGIN { FS = OFS = "\t"; split(needs, need, " ") }
			$1 == number { $2 = need[1]; $3 = need[2] }
			{ print }' "$work/wanted" >"$work/wanted.new" && mv "$work/wanted.new" "$work/wanted"
		rm -f "$work/$number/here.records" "$work/$number/there.records"
	done
	crowded | sort -u -t "$tab" -k 2 | cut -f2- | sed "s/^/room$tab/" >"$work/short"
	cat "$work/short" >>"$job/result"
	[ ! -s "$work/short" ]
}

# df_of: for each target free KiB and inodes, and the mount point. "-" is what a
# file system does not say.
df_of() {
	while IFS= read -r target; do
		df -Pk "$target" | awk 'END { printf "%s\t", ($2 > 0 ? $4 : "-") }'
		df -Pi "$target" | awk 'END { at = $6; for (i = 7; i <= NF; i++) at = at " " $i; print ($2 > 0 ? $4 : "-") "\t" at }'
	done <"$job/targets"
}

# crowded: the paths on file systems that are too small: number, mount point, KiB
# that come, that are free, inodes that come, that are free.
crowded() {
	awk '
		BEGIN { FS = OFS = "\t" }
		{ lines[NR] = $1; at[NR] = $6; kib[$6] += $2; entries[$6] += $3; free[$6] = $4; inodes[$6] = $5 }
		END {
			for (i = 1; i <= NR; i++) {
				m = at[i]
				if (free[m] != "-" && kib[m] > free[m] || inodes[m] != "-" && entries[m] > inodes[m])
					print lines[i], m, kib[m], free[m], entries[m], inodes[m]
			}
		}' "$work/wanted"
}

# both_named NUMBER: records of both hosts of what rsync is to be given.
both_named() {
	here=$work/$1
	cat "$here"/quick-[1-9] "$here/fresh" "$here/links" "$here/root" 2>/dev/null | sort -u >"$here/asked"
	both "$1" listed list
}

# fit NUMBER: tries what the target's file system can keep, in a directory of its
# own there. A chain's later passes believe the first.
fit() {
	here=$work/$1
	if [ "$(cat "$here/how")" = changes ] && [ -f "$home/$1.lacks" ]; then
		without "$1"
		return 0
	fi
	target=$(sed -n "${1}p" "$job/targets")
	only_changes=
	if [ ! -f "$here/now" ]; then
		only_changes=yes
		now_listed "$1" || return 1
	fi
	lacking "$target" >"$home/$1.lacks"
	bad=0
	while IFS= read -r what; do
		case $what in
		owners) say lacks "$1" "$what" 1 && bad=1 ;;
		links | hardlinks)
			found=$(kept_as "$what" <"$here/now")
			if [ "$found" -gt 0 ]; then say lacks "$1" "$what" "$found" && bad=1; fi
			;;
		case)
			alike <"$here/now" >"$here/alike"
			if [ -s "$here/alike" ]; then
				head -n 10 "$here/alike" | tr '\0' '?' | sed "s/^/alike$tab$1$tab/" >>"$job/result"
				bad=1
			fi
			say lacks "$1" "$what" "$(wc -l <"$here/alike")"
			;;
		esac
	done <"$home/$1.lacks"
	# It is that of the last pass.
	if [ -n "$only_changes" ]; then rm -f "$here/now"; fi
	if grep -q -x -e acls -e xattrs "$home/$1.lacks"; then
		to_old "cutover-extras $1" >"$here/extras" 2>"$work/said"
		code=$?
		if [ "$code" -ne 0 ]; then
			ended "$1" list "$code"
			return 1
		fi
		while IFS=$tab read -r what number example; do
			if grep -q -x "$what" "$home/$1.lacks" && [ "$number" != 0 ]; then say lacks "$1" "$what" "$number" "$example"; fi
		done <"$here/extras"
	fi
	without "$1"
	return "$bad"
}

# without NUMBER: options of rsync that leave out what cannot be kept.
without() {
	sed -n -e 's/^acls$/--no-acls/p' -e 's/^xattrs$/--no-xattrs/p' "$home/$1.lacks" >"$work/$1/without"
}

# lacking TARGET: what its file system cannot keep, a word a line. A user whose
# directory that is must not lead the trial elsewhere: it takes place in a
# directory of root's alone, and by its inode.
lacking() (
	on=$(awk -v path="$1" '
		BEGIN { gsub(/ /, "\\040", path) }
		index(path "/", $2 == "/" ? "/" : $2 "/") == 1 && length($2) >= length(above) { above = $2; kind = $3 }
		END { print kind }' /proc/mounts)
	touch -r "$1" "$work/stamp"
	rm -rf "$1/.cutover-try"
	mkdir -m 700 "$1/.cutover-try" || exit 0
	if cd -P "$1/.cutover-try" && [ "$(pwd -P)" = "$1/.cutover-try" ] && [ -n "$(find . -prune -user 0 ! -perm /077)" ]; then
		trial "$on"
	else
		echo owners
	fi
	cd /
	rm -rf "$1/.cutover-try"
	touch -r "$work/stamp" "$1"
)

# trial KIND: in an empty directory, on that kind of file system.
trial() {
	: >name
	if [ -e NAME ]; then echo case; fi
	ln -s nowhere link 2>/dev/null || echo links
	ln name second 2>/dev/null || echo hardlinks
	# Where the tools are missing, only some kinds are known.
	bare=
	case $1 in vfat | exfat | msdos | ramfs) bare=1 ;; esac
	if command -v setfacl >/dev/null 2>&1; then setfacl -m u:1:r name 2>/dev/null || echo acls; elif [ -n "$bare" ]; then echo acls; fi
	if command -v setfattr >/dev/null 2>&1; then setfattr -n user.cutover -v 1 name 2>/dev/null || echo xattrs; elif [ -n "$bare" ]; then echo xattrs; fi
	chown 1:1 name 2>/dev/null
	chmod 4710 name 2>/dev/null
	if [ "$(find name -printf '%U %m')" != '1 4710' ]; then echo owners; fi
}

# kept_as WHAT: how many of a listing are links, or names of a file with several.
kept_as() {
	awk -v what="$1" 'BEGIN { FS = "\t" }
		/^cutover-end\t/ { next }
		what == "links" ? $(NF - 8) == "l" : $(NF - 8) == "f" && $(NF - 2) > 1 { n++ }
		END { print n + 0 }'
}

# alike: paths of a listing that differ from another's in case alone.
alike() {
	awk 'BEGIN { FS = "\t" }
		/^cutover-end\t/ { next }
		{
			path = $1
			for (i = 2; i <= NF - 9; i++) path = path "\t" $i
			print tolower(path) "\t/\t" path
		}' | sort | awk '{
			at = index($0, "\t/\t")
			key = substr($0, 1, at - 1)
			if (NR > 1 && key == last) print substr($0, at + 3)
			last = key
		}'
}
