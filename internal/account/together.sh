# Makes several accounts by one change of the account files, with the lines that
# useradd(8) would have written: it takes a lock, six files and their fsyncs for
# each account. account/apply.sh lets vipw(8) start this script as its editor;
# so it runs under the host's own locks, and leaves alone the file to edit.
#
# Reads creations as account/apply.go writes them, and says "done NAME" for each
# that it made, "homeless NAME" where its home came to nothing. Whatever is not
# plain it leaves to useradd, and says nothing.
set -u
umask 022
marks=/var/lib/cutover
now=$(date +%s)

say() { printf '%s\n' "$*"; }

# What a name, a number, a home or a setting would have useradd do more than
# write lines, or other lines, is for useradd. The first rule of two concerns
# the host: hooks, audit trails and labels that only the tools know to serve.
for odd in /etc/shadow-maint/useradd-pre.d/* /etc/shadow-maint/useradd-post.d/* /run/auditd.pid /var/run/auditd.pid; do
	[ ! -e "$odd" ] || exit 0
done
for file in passwd group shadow gshadow; do
	[ -f "/etc/$file" ] || exit 0
done
if [ ! -f /etc/login.defs ] || [ ! -f /etc/nsswitch.conf ] || { [ -d /sys/fs/selinux ] && [ -e /sys/fs/selinux/enforce ]; }; then
	exit 0
fi
defaults=$(useradd -D 2>/dev/null </dev/null) || exit 0
default() { # NAME
	say "$defaults" | sed -n "s/^$1=//p"
}
base=$(default HOME) && skel=$(default SKEL)

wanted=
while IFS=: read -r op name uid gid group groups gecos home shell flags lastchange hash numbers; do
	[ ${#name} -le 32 ] || continue
	case $op:$flags in create:*s*) continue ;; create:*) ;; *) continue ;; esac
	case $name in '' | [!a-z_]* | *[!a-z0-9_-]*) continue ;; esac
	if [ -n "${shell#=}" ] && [ ! -x "${shell#=}" ]; then
		continue
	fi
	where=${home#=}
	[ -n "$where" ] || where=$base/$name
	case $flags in
	*h*) if [ -e "$where" ] || [ -h "$where" ] || [ ! -d "${where%/*}/" ]; then continue; fi ;;
	esac
	wanted="$wanted$name:$uid:$gid:$group:$groups:$gecos:=$where:$shell:$flags:$lastchange:$hash:$numbers
"
done
[ -n "$wanted" ] || exit 0

content() { # FILE...
	for file in "$@"; do
		say "== $file"
		[ ! -e "/etc/$file" ] || cat "/etc/$file" || say "== odd"
	done
}

# lines says what each file gets for the accounts that are wanted: "FILE LINE",
# and "member GROUP NAME", "home NAME UID:GID PATH", "own NAME", "number UID GID".
# Numbers and ranges are those that useradd finds: the one after the highest, a
# group of the same number, the first gap among the subordinate ones.
lines() {
	# shellcheck disable=SC2016 # the program is awk's
	awk -v today="$((now / 86400))" '
		function number(value, otherwise) { # a setting, as far as it is a plain number
			if (value == "") return otherwise
			if (value !~ /^(0|[1-9][0-9]*)$/) odd = 1
			return value + 0
		}
		function days(value) { return value == "" || value < 0 ? "" : value }
		function settings() {
			known = 1
			min = number(def["UID_MIN"], 1000); max = number(def["UID_MAX"], 60000)
			gmin = number(def["GID_MIN"], 1000); gmax = number(def["GID_MAX"], 60000)
			ranges("subuid", "SUB_UID"); ranges("subgid", "SUB_GID")
			if (number(def["MAX_MEMBERS_PER_GROUP"], 0) > 0 || ("SUB_UID_DETERMINISTIC" in def)) odd = 1
			if (base["EXPIRE"] != "" || base["CREATE_MAIL_SPOOL"] == "yes") odd = 1
		}
		function ranges(file, setting) {
			low[file] = number(def[setting "_MIN"], 100000)
			last[file] = number(def[setting "_MAX"], 600100000)
			count[file] = number(def[setting "_COUNT"], 65536)
			at[file] = 1
		}
		# free finds the next range that nobody has.
		function free(file,    i) {
			for (i = at[file]; i <= have[file]; i++) {
				if (from[file, i] > low[file] && from[file, i] - low[file] >= count[file]) break
				if (upto[file, i] >= low[file]) low[file] = upto[file, i] + 1
			}
			at[file] = i
			low[file] += count[file]
			return low[file] - count[file]
		}
		function add(file, start, size,    i) { # in order
			for (i = ++have[file]; i > 1 && from[file, i - 1] > start; i--) {
				from[file, i] = from[file, i - 1]
				upto[file, i] = upto[file, i - 1]
			}
			from[file, i] = start
			upto[file, i] = start + size - 1
		}
		/^== / { section = substr($0, 4); if (section == "odd") odd = 1; next }
		section == "defaults" { n = index($0, "="); base[substr($0, 1, n - 1)] = substr($0, n + 1); next }
		section == "login.defs" { if ($0 !~ /^[ \t]*#/) { split($0, word, " "); def[word[1]] = word[2] } next }
		section == "nsswitch.conf" {
			n = split($0, word, " ")
			if (word[1] == "passwd:" || word[1] == "group:")
				for (i = 2; i <= n && word[i] !~ /^#/; i++)
					if (word[i] !~ /^(files|compat|systemd)$/) odd = 1
			next
		}
		!known { settings() }
		{ split($0, f, ":") }
		section != "wanted" && f[1] ~ /^[+-]/ { odd = 1 }
		section == "passwd" {
			taken[f[1]]; uid[f[3] + 0]
			if (f[3] >= min && f[3] <= max && f[3] + 0 > highest) highest = f[3] + 0
		}
		section == "group" { gid[f[3] + 0]; numbers[f[1]] = f[3] }
		section == "shadow" || section == "gshadow" { if (!(f[1] in numbers)) taken[f[1]]; if (section == "shadow") taken[f[1]] }
		section ~ /^sub.id$/ { present[section] = 1; if (NF) { taken[f[1]]; add(section, f[2] + 0, f[3] + 0) } }
		section == "wanted" && !odd {
			name = f[1]; given = f[2] != ""
			if (name in taken) next
			if (given) u = substr(f[2], 2) + 0
			else { if (highest < min) highest = min - 1; u = highest + 1; if (u > max) next }
			if (u in uid) next
			main = f[4] == "" ? name : substr(f[4], 2)
			own = main == name && !(name in numbers)
			if (own && (f[3] != "" || u < gmin || u > gmax || (u in gid))) next
			if (!own && (!(main in numbers) || (f[3] != "" && f[3] != "=" numbers[main]))) next
			g = own ? u : numbers[main]
			n = split(substr(f[5], 2), more, ",")
			for (i = 1; i <= n; i++) if (!(more[i] in numbers)) break
			if (i <= n) next
			n = split(f[12], pair, ",") # the numbers that groups have to have
			for (i = 1; i <= n; i++) {
				split(pair[i], which, "=")
				if (numbers[which[1]] != which[2]) break
			}
			if (i <= n) next
			n = split(substr(f[5], 2), more, ",")
			taken[name]; uid[u]
			if (u >= min && u <= max && u > highest) highest = u
			print "number " u " " g
			if (own) {
				gid[g]
				print "group " name ":x:" g ":"
				print "gshadow " name ":!::"
				print "own " name
			}
			for (i = 1; i <= n; i++) if (!((name, more[i]) in member)) { member[name, more[i]]; print "member " more[i] " " name }
			for (i = split("subuid subgid", kind, " "); i; i--)
				if ((kind[i] in present) && count[kind[i]] > 0 && (!given || (u >= min && u <= max)))
					print kind[i] " " name ":" free(kind[i]) ":" count[kind[i]]
			hash = f[11] == "" ? "!" : f[11]
			day = f[10] == "" || f[11] == "" ? today : days(f[10])
			print "shadow " name ":" hash ":" day ":" days(def["PASS_MIN_DAYS"]) ":" days(def["PASS_MAX_DAYS"]) ":" days(def["PASS_WARN_AGE"]) ":" days(base["INACTIVE"]) "::"
			print "passwd " name ":x:" u ":" g ":" substr(f[6], 2) ":" substr(f[7], 2) ":" (f[8] == "" ? base["SHELL"] : substr(f[8], 2))
			if (f[9] ~ /h/) print "home " name " " u ":" g " " substr(f[7], 2)
			made++
		}
		END { if (odd || low["subuid"] > last["subuid"] + 1 || low["subgid"] > last["subgid"] + 1) made = 0; print "over " made + 0 }'
}

found=$({
	say "== defaults"
	say "$defaults"
	content login.defs nsswitch.conf passwd group shadow gshadow subuid subgid
	say "== wanted"
	say "${wanted%?}"
} | lines) || exit 0
case $found in
*"
over 0" | "over 0") exit 0 ;;
*over\ *) ;;
*) exit 0 ;;
esac
of() { say "$found" | sed -n "s/^$1 //p"; }

# The files know none of them; what else the host asks may (getent(1): 2 is "not
# all of them"). A getent that answers for one key alone does not get to root.
names=$(of passwd | cut -d: -f1)
found_in() { # DATABASE KEY...
	[ $# -gt 1 ] || return 0
	answer=$(getent "$@" root </dev/null)
	[ $? -eq 2 ] || say unsure
	case $answer in
	*"
"*) say "$answer" ;;
	root:*) ;;
	*) say unsure ;;
	esac
}
# shellcheck disable=SC2046,SC2086 # names and numbers, as words
known=$(found_in passwd $names $(of number | cut -d' ' -f1) && found_in group $(of own) $(of group | cut -d: -f3)) || exit 0
[ -z "$known" ] || exit 0

# useradd clears what these two files keep of earlier owners of a number (292
# and at least 24 bytes each).
lowest=$(of number | sort -n | sed -n '1s/ .*//p')
kept() { # FILE BYTES-EACH
	[ -s "$1" ] && [ "$(tail -c "+$((lowest * $2 + 1))" "$1" | tr -d '\000' | wc -c)" -gt 0 ]
}
if kept /var/log/lastlog 292 || kept /var/log/faillog 24; then
	exit 0
fi

drop() {
	for file in passwd shadow gshadow group subgid subuid; do rm -f "/etc/cutover-$file"; done
	exit 0
}

# anew writes a file with its new lines beside the old one, with its rights.
anew() { # FILE
	cp -p "/etc/$1" "/etc/cutover-$1" && {
		say "$found"
		say '=='
		cat "/etc/$1"
	} | awk -v file="$1" '
		!old && $0 == "==" { old = 1; next }
		!old && $1 == file { add[++n] = substr($0, length(file) + 2) }
		!old && $1 == "member" && file ~ /^g/ { members[$2] = members[$2] "," $3 }
		!old { next }
		{
			name = $0
			sub(/:.*/, "", name)
			if (name in members) {
				if ($0 ~ /:$/) members[name] = substr(members[name], 2)
				$0 = $0 members[name]
			}
			print
		}
		END { for (i = 1; i <= n; i++) print add[i] }' >"/etc/cutover-$1"
}
changed=
for file in subuid subgid group gshadow shadow passwd; do
	[ -e "/etc/$file" ] || continue
	anew "$file" || drop
	changed="$changed $file"
done
# shellcheck disable=SC2086 # names of files, as words
(cd /etc && for file in $changed; do set -- "$@" "cutover-$file"; done && sync "$@") 2>/dev/null || sync
mkdir -p "$marks/accounts" "$marks/groups" || drop
for name in $names; do : >"$marks/accounts/$name"; done
for name in $(of own); do : >"$marks/groups/$name"; done

# An account is there as soon as /etc/passwd has it: that comes last. The old
# files stay as those that the shadow tools leave, passwd- and so on.
for file in $changed; do
	if ! ln -f "/etc/$file" "/etc/$file-" || ! mv -f "/etc/cutover-$file" "/etc/$file"; then drop; fi
done
for database in passwd group; do
	! command -v nscd >/dev/null 2>&1 || nscd -i "$database" >/dev/null 2>&1 </dev/null
done
! command -v sss_cache >/dev/null 2>&1 || sss_cache -UG >/dev/null 2>&1 </dev/null
! command -v logger >/dev/null 2>&1 || of passwd | awk -F: '{ print "new user: name=" $1 ", UID=" $3 ", GID=" $4 ", home=" $6 ", shell=" $7 }' |
	logger -t cutover -p authpriv.info 2>/dev/null

# The mode of a home (login.defs(5)).
setting() { sed -n "s/^$1[[:space:]][[:space:]]*\([0-7]*\).*/\1/p" /etc/login.defs; }
mode=$(setting HOME_MODE)
if [ -z "$mode" ]; then
	mask=$(setting UMASK)
	mode=$(printf '%o' $((0777 & ~0${mask:-022})))
fi
of home |
	while read -r name owner home; do
		if ! why=$({ mkdir "$home" && { [ ! -d "$skel" ] || cp -R -P -p "$skel/." "$home"; } &&
			chown -h -R "$owner" "$home" && chmod "$mode" "$home"; } 2>&1 </dev/null); then
			say "homeless $name"
			say "$why" | sed 's/^/| /'
		fi
	done
for name in $names; do say "done $name"; done
