# Changes accounts, one line of input each, in the form that account/apply.go
# writes; says for each what came of it. account/snapshot.sh follows in the
# same run.
set -u
for tool in useradd usermod userdel groupadd groupdel chpasswd chage getent; do
	if ! command -v "$tool" >/dev/null 2>&1; then
		echo "$tool is not installed: accounts are changed with the shadow tools (package passwd on Debian, shadow-utils on Red Hat, shadow on Alpine)" >&2
		exit 69
	fi
done
# What was begun is finished, also where nobody is left to be told of it: a user
# half made helps nobody.
trap '' HUP INT TERM PIPE

marks=/var/lib/cutover

say() { printf '%s\n' "$*" 2>/dev/null || :; }

# try leaves what a command said in $out and its exit code in $code.
try() { # COMMAND...
	out=$("$@" 2>&1 </dev/null)
	code=$?
	return "$code"
}

complain() { # COMMAND...
	say "failed $code $*"
	printf '%s\n' "$out" | sed 's/^/| /'
}

attempt() { # COMMAND...
	try "$@" && return 0
	complain "$@"
	return 1
}

# lookup puts the line of a database into $line. An answer that is neither
# "here it is" nor "there is none" is a failure (getent(1), exit status).
lookup() { # DATABASE KEY
	try getent "$1" "$2"
	line=$out
	case $code in
	0) return 0 ;;
	2) line= && return 1 ;;
	esac
	complain getent "$1" "$2"
	return 2
}

local_line() { # FILE NAME
	awk -F: -v name="$2" '$1 == name { print; exit }' "$1"
}

# split puts the fields of $line into $f1 to $f8. A process for each field of a
# thousand users would take longer than useradd does.
split() {
	# shellcheck disable=SC2034 # not every file has use for every field
	IFS=: read -r f1 f2 f3 f4 f5 f6 f7 f8 rest <<-END
		$line
	END
}

# What was made here is marked by an empty file of its name, so that an apply
# that was killed can be taken up again, and groups go with the last account
# that needed them.
mark() { # accounts|groups NAME
	[ -d "$marks/$1" ] || mkdir -p "$marks/$1"
	: >"$marks/$1/$2"
}

unmark() { # accounts|groups NAME
	[ ! -e "$marks/$1/$2" ] || rm -f "$marks/$1/$2"
}

# sweep_groups removes the groups made here that nobody is in any more.
sweep_groups() {
	[ -d "$marks/groups" ] || return 0
	for made in "$marks"/groups/*; do
		say "${made##*/}"
	done | awk -F: '
		NR == FNR { made[$1] = 1; next }
		FILENAME ~ /passwd$/ { primary[$4] = 1; next }
		($1 in made) && ($4 != "" || ($3 in primary)) { delete made[$1] }
		END { for (group in made) print group }' - /etc/passwd /etc/group |
		while read -r deserted; do
			if [ -z "$(local_line /etc/group "$deserted")" ] || groupdel "$deserted" >/dev/null 2>&1 </dev/null; then
				unmark groups "$deserted"
			fi
		done
}

# give_away forgets that an account and its groups were made here, for the
# account stays and needs them.
give_away() { # NAME
	unmark accounts "$1"
	[ -d "$marks/groups" ] || return 0
	awk -F: -v name="$1" '
		FILENAME ~ /passwd$/ { if ($1 == name) { found = 1; gid = $4 } next }
		found && ($3 == gid || index("," $4 ",", "," name ",")) { print $1 }' /etc/passwd /etc/group |
		while read -r hers; do
			unmark groups "$hers"
		done
}

# want_group makes a group where there is none.
want_group() { # NAME GID-OR-EMPTY SYSTEM-FLAGS
	lookup group "$1"
	case $? in
	0)
		split
		if [ -n "$2" ] && [ "$f3" != "$2" ]; then
			say "group-has-gid $1 $f3"
			return 1
		fi
		return 0
		;;
	2) return 1 ;;
	esac
	wanted=$1
	set -- "$2" "$3"
	if [ -n "$1" ]; then
		lookup group "$1"
		case $? in
		0) split && say "gid-taken $1 $f1 $wanted" && return 1 ;;
		2) return 1 ;;
		esac
		set -- "$2" -g "$1"
	else
		set -- "$2"
	fi
	case $1 in
	*s*) shift && set -- -r "$@" ;;
	*) shift ;;
	esac
	attempt groupadd "$@" "$wanted" && mark groups "$wanted"
}

want_groups() { # COMMA-SEPARATED SYSTEM-FLAGS
	oldifs=$IFS
	IFS=,
	# shellcheck disable=SC2086 # split at commas, and names hold no wildcards
	set -- "$2" $1
	IFS=$oldifs
	system=$1
	shift
	for each in "$@"; do
		given=,$numbers
		case $given in
		*",$each="*) given=${given#*",$each="} ;;
		*) given= ;;
		esac
		want_group "$each" "${given%%,*}" "$system" || return 1
	done
}

uid_is_free() { # UID NAME
	lookup passwd "$1"
	case $? in
	0)
		split
		[ "$f1" != "$2" ] || return 0
		say "uid-taken $1 $f1"
		return 1
		;;
	1) return 0 ;;
	esac
	return 1
}

shell_is_there() { # =SHELL
	if [ -n "${1#=}" ] && [ ! -x "${1#=}" ]; then
		say "no-shell ${1#=}"
		return 1
	fi
}

set_password() { # NAME HASH LASTCHANGE
	[ -n "$2" ] || return 0
	# In an argument every user of the host could see the hash; a printf of the
	# shell's own shows it to nobody.
	case $(command -v printf) in
	printf) out=$(printf '%s:%s\n' "$1" "$2" | chpasswd -e 2>&1) ;;
	*) out=$(
		chpasswd -e 2>&1 <<-END
			$1:$2
		END
	) ;;
	esac
	code=$?
	# Some versions report a line that they refused, and still exit with 0.
	if [ "$code" -ne 0 ]; then
		say "failed $code chpasswd -e"
		printf '%s\n' "$out" | sed 's/^/| /'
		return 1
	fi
	[ -z "$3" ] || attempt chage -d "$3" "$1"
}

create() { # an account of which $local_group says whether /etc/group has its name
	shell_is_there "$shell" || return 0
	want_groups "${groups#=}" "$flags" || return 0
	primary=${group#=}
	[ -n "$primary" ] || primary=$name
	set --
	case $flags in *s*) set -- -r ;; esac
	if [ "$primary" = "$name" ] && [ -z "$gid" ] && [ -z "$local_group" ]; then
		# The group of the same name, with the same number where that is free.
		set -- "$@" -U
		own=1
	else
		own=
		want_group "$primary" "${gid#=}" "$flags" || return 0
		set -- "$@" -g "$primary"
	fi
	[ -z "$uid" ] || set -- "$@" -u "${uid#=}"
	[ -z "${groups#=}" ] || set -- "$@" -G "${groups#=}"
	[ -z "$gecos" ] || set -- "$@" -c "${gecos#=}"
	[ -z "$home" ] || set -- "$@" -d "${home#=}"
	[ -z "$shell" ] || set -- "$@" -s "${shell#=}"
	case $flags in *h*) set -- "$@" -m ;; *) set -- "$@" -M ;; esac
	mark accounts "$name"
	if ! try useradd "$@" "$name"; then
		why_not "$@" "$name"
		if [ -n "$(local_line /etc/passwd "$name")" ]; then
			say made
			[ -z "$own" ] || mark groups "$name"
		else
			unmark accounts "$name"
		fi
		return 0
	fi
	say made
	[ -z "$own" ] || mark groups "$name"
	set_password "$name" "$hash" "$lastchange" || return 0
	say completed
	vacated=
}

# why_not says why useradd refused. It asks the same databases as getent, and
# exits with 4 for a number and with 9 for a name that is taken (useradd(8)):
# asking before every creation would ask twice.
why_not() { # ARGUMENTS-OF-USERADD...
	refusal=$out refused=$code
	case $refused in
	4)
		[ -z "$uid" ] || uid_is_free "${uid#=}" "$name" || return 0
		;;
	9)
		lookup passwd "$name"
		case $? in
		0) split && say "elsewhere $f3" && return 0 ;;
		2) return 0 ;;
		esac
		;;
	esac
	out=$refusal code=$refused
	complain useradd "$@"
}

unlock() { # undoes what lock did, and nothing that an administrator did
	line=$(local_line /etc/shadow "$name")
	split
	[ "$f8" = 1 ] || return 0
	attempt usermod -e '' "$name" || return 1
	case $f2 in
	!?*) attempt usermod -U "$name" || return 1 ;;
	esac
}

modify() {
	line=$(local_line /etc/passwd "$name")
	if [ -z "$line" ]; then
		say absent && return 0
	fi
	split
	set --
	if [ -n "$uid" ] && [ "${uid#=}" != "$f3" ]; then
		set -- "$@" -u "${uid#=}"
	fi
	if [ -n "$gecos" ] && [ "${gecos#=}" != "$f5" ]; then
		set -- "$@" -c "${gecos#=}"
	fi
	if [ -n "$shell" ] && [ "${shell#=}" != "$f7" ]; then
		shell_is_there "$shell" || return 0
		set -- "$@" -s "${shell#=}"
	fi
	newhome=
	if [ -n "$home" ] && [ "${home#=}" != "$f6" ]; then
		set -- "$@" -d "${home#=}"
		newhome=${home#=}
		# What is in the old home moves along, unless the new one is there already.
		if [ -d "$f6" ] && [ ! -e "$newhome" ]; then
			set -- "$@" -m
		fi
	fi
	if [ -n "$uid" ]; then
		uid_is_free "${uid#=}" "$name" || return 0
	fi
	if [ -n "$groups" ]; then
		want_groups "${groups#=}" "$flags" || return 0
		set -- "$@" -G "${groups#=}"
	fi
	if [ -n "$group" ]; then
		want_group "${group#=}" "${gid#=}" "$flags" || return 0
		set -- "$@" -g "${group#=}"
	elif [ -n "$gid" ]; then
		lookup group "$(local_line /etc/passwd "$name" | cut -d: -f4)" || return 0
		split
		want_group "$f1" "${gid#=}" "$flags" || return 0
	fi
	case $flags in *u*) unlock || return 0 ;; esac
	if [ $# -gt 0 ]; then
		attempt usermod "$@" "$name" || return 0
	fi
	case $flags in *h*) make_home || return 0 ;; esac
	set_password "$name" "$hash" "$lastchange" || return 0
	say completed
}

# make_home gives an account that was taken over the home that useradd would
# have made.
make_home() {
	line=$(local_line /etc/passwd "$name")
	split
	where=$f6
	if [ -z "$where" ] || [ -e "$where" ] || [ -h "$where" ]; then
		return 0
	fi
	owner=$f3:$f4
	attempt mkdir "$where" || return 1
	[ ! -d /etc/skel ] || attempt cp -R -p /etc/skel/. "$where" || return 1
	attempt chown -R "$owner" "$where" && attempt chmod 0755 "$where"
}

remove() { # -r or nothing
	if [ -n "$(local_line /etc/passwd "$name")" ]; then
		attempt userdel "$@" "$name" || return 0
	fi
	unmark accounts "$name"
	say completed
}

lock() {
	if [ -n "$(local_line /etc/passwd "$name")" ]; then
		# -L alone would leave keys valid; an account that expired on 2 January
		# 1970 lets nobody in (usermod(8)).
		attempt usermod -L -e 1 "$name" || return 0
	fi
	say completed
}

# begin_creation makes an account, or takes up one that is there.
begin_creation() {
	local_user=''
	local_group=''
	# shellcheck disable=SC2046 # an account and a group, as words
	set -- $(awk -F: -v name="$name" '$1 == name { print (FILENAME ~ /passwd$/ ? "user=" $3 : "group=" $3) }' /etc/passwd /etc/group)
	for each in "$@"; do
		case $each in
		user=*) local_user=${each#user=} ;;
		*) local_group=1 ;;
		esac
	done
	if [ -z "$local_user" ]; then
		create
		return
	fi
	case $flags in
	*a*) modify ;;
	*r*) if [ -e "$marks/accounts/$name" ]; then
		# Made by an apply that did not live to tell.
		say made
		modify
	else
		say "exists $local_user"
	fi ;;
	*) say "exists $local_user" ;;
	esac
}

# make_together makes what is plain of several creations in one change of the
# account files, and leaves their names in $together. vipw takes the locks for
# it; where it cannot, each is made on its own, and says why.
make_together() {
	case $input in
	create:*"
create:"*) ;;
	*) return ;;
	esac
	command -v vipw >/dev/null 2>&1 || return
	# shellcheck disable=SC2154,SC2016 # the script is put in front of this one, and vipw's shell expands it
	together=$(say "$input" | TOGETHER=$together_script VISUAL='exec sh -c "$TOGETHER"' EDITOR='exec sh -c "$TOGETHER"' vipw -q 2>/dev/null)
}

# was_made_together says what came of a creation among $together.
was_made_together() {
	case "
$together
" in
	*"
done $name
"*) ;;
	*) return 1 ;;
	esac
	vacated=
	say made
	case "
$together" in
	*"
homeless $name
"*)
		out=$(say "$together" | awk -v name="$name" '$1 != "|" { hers = $0 == "homeless " name; next } hers { print substr($0, 3) }')
		code=12
		complain useradd -m "$name"
		;;
	*) say completed ;;
	esac
}

each() {
	number=0
	left=
	while IFS=: read -r op name uid gid group groups gecos home shell flags lastchange hash numbers; do
		say "begin $number $name"
		vacated=1 # whether a group may have lost its last account
		case $op in
		create) was_made_together || begin_creation ;;
		modify) modify ;;
		keep) give_away "$name" && say completed ;;
		lock) give_away "$name" && lock ;;
		remove) remove ;;
		remove-home) remove -r ;;
		esac
		if [ -n "$vacated" ]; then
			sweep_groups
			left=1
		fi
		say "end $number"
		number=$((number + 1))
	done
	[ -z "$left" ] || rmdir "$marks/accounts" "$marks/groups" "$marks" 2>/dev/null
}

together=
# A printf of its own keeps the shell from putting hashes into an argument.
case $(command -v printf) in
printf)
	input=$(cat)
	make_together
	say "$input" | each
	;;
*) each ;;
esac
