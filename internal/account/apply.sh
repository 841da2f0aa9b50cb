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
# What was begun is finished: a user half made helps nobody.
trap '' HUP INT TERM

marks=/var/lib/cutover

say() { printf '%s\n' "$*"; }

attempt() { # COMMAND...
	out=$("$@" 2>&1 </dev/null)
	code=$?
	[ "$code" -ne 0 ] || return 0
	say "failed $code $*"
	printf '%s\n' "$out" | sed 's/^/| /'
	return 1
}

# lookup puts the line of a database into $line. An answer that is neither
# "here it is" nor "there is none" is a failure (getent(1), exit status).
lookup() { # DATABASE KEY
	line=$(getent "$1" "$2" 2>&1 </dev/null)
	code=$?
	case $code in
	0) return 0 ;;
	2) line= && return 1 ;;
	esac
	say "failed $code getent $1 $2"
	printf '%s\n' "$line" | sed 's/^/| /'
	return 2
}

local_line() { # FILE NAME
	awk -F: -v name="$2" '$1 == name { print; exit }' "$1"
}

field() { # NUMBER, of $line
	printf '%s\n' "$line" | cut -d: -f"$1"
}

# What was made here is marked by an empty file of its name, so that an apply
# that was killed can be taken up again, and groups go with the last account
# that needed them.
mark() { # accounts|groups NAME
	mkdir -p "$marks/$1" && : >"$marks/$1/$2"
}

unmark() { # accounts|groups NAME
	[ -e "$marks/$1/$2" ] || return 0
	rm -f "$marks/$1/$2"
	rmdir "$marks/$1" "$marks" 2>/dev/null || :
}

# sweep_groups removes the groups made here that nobody is in any more.
sweep_groups() {
	for made in "$marks"/groups/*; do
		[ -e "$made" ] || continue
		made=${made##*/}
		line=$(local_line /etc/group "$made")
		if [ -n "$line" ]; then
			[ -z "$(field 4)" ] || continue
			! cut -d: -f4 /etc/passwd | grep -qx "$(field 3)" || continue
			groupdel "$made" >/dev/null 2>&1 </dev/null || continue
		fi
		unmark groups "$made"
	done
}

# give_away forgets that an account and its groups were made here, for the
# account stays and needs them.
give_away() { # NAME
	unmark accounts "$1"
	[ -d "$marks/groups" ] || return 0
	line=$(local_line /etc/passwd "$1")
	[ -n "$line" ] || return 0
	awk -F: -v name="$1" -v gid="$(field 4)" '
		$3 == gid || index("," $4 ",", "," name ",") { print $1 }' /etc/group |
		while read -r hers; do
			unmark groups "$hers"
		done
}

# want_group makes a group where there is none.
want_group() { # NAME GID-OR-EMPTY SYSTEM-FLAGS
	lookup group "$1"
	case $? in
	0)
		if [ -n "$2" ] && [ "$(field 3)" != "$2" ]; then
			say "group-has-gid $1 $(field 3)"
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
		0) say "gid-taken $1 $(field 1)" && return 1 ;;
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
		want_group "$each" "" "$system" || return 1
	done
}

uid_is_free() { # UID NAME
	lookup passwd "$1"
	case $? in
	0)
		[ "$(field 1)" != "$2" ] || return 0
		say "uid-taken $1 $(field 1)"
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

create() {
	[ -z "$uid" ] || uid_is_free "${uid#=}" "$name" || return 0
	shell_is_there "$shell" || return 0
	want_groups "${groups#=}" "$flags" || return 0
	primary=${group#=}
	[ -n "$primary" ] || primary=$name
	set --
	case $flags in *s*) set -- -r ;; esac
	if [ "$primary" = "$name" ] && [ -z "$gid" ] && [ -z "$(local_line /etc/group "$name")" ]; then
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
	attempt useradd "$@" "$name"
	added=$?
	if [ -z "$(local_line /etc/passwd "$name")" ]; then
		[ "$added" -ne 0 ] || say "failed 0 useradd $name"
		unmark accounts "$name"
		return 0
	fi
	say made
	[ -z "$own" ] || mark groups "$name"
	[ "$added" -eq 0 ] || return 0
	set_password "$name" "$hash" "$lastchange" || return 0
	say completed
}

unlock() { # undoes what lock did, and nothing that an administrator did
	line=$(local_line /etc/shadow "$name")
	[ "$(field 8)" = 1 ] || return 0
	attempt usermod -e '' "$name" || return 1
	case $(field 2) in
	!?*) attempt usermod -U "$name" || return 1 ;;
	esac
}

modify() {
	line=$(local_line /etc/passwd "$name")
	if [ -z "$line" ]; then
		say absent && return 0
	fi
	set --
	if [ -n "$uid" ] && [ "${uid#=}" != "$(field 3)" ]; then
		set -- "$@" -u "${uid#=}"
	fi
	if [ -n "$gecos" ] && [ "${gecos#=}" != "$(field 5)" ]; then
		set -- "$@" -c "${gecos#=}"
	fi
	if [ -n "$shell" ] && [ "${shell#=}" != "$(field 7)" ]; then
		shell_is_there "$shell" || return 0
		set -- "$@" -s "${shell#=}"
	fi
	newhome=
	if [ -n "$home" ] && [ "${home#=}" != "$(field 6)" ]; then
		set -- "$@" -d "${home#=}"
		newhome=${home#=}
		# What is in the old home moves along, unless the new one is there already.
		if [ -d "$(field 6)" ] && [ ! -e "$newhome" ]; then
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
		want_group "$(field 1)" "${gid#=}" "$flags" || return 0
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
	where=$(field 6)
	if [ -z "$where" ] || [ -e "$where" ] || [ -h "$where" ]; then
		return 0
	fi
	owner=$(field 3):$(field 4)
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

number=0
while IFS=: read -r op name uid gid group groups gecos home shell flags lastchange hash; do
	say "begin $number $name"
	case $op in
	create)
		if [ -n "$(local_line /etc/passwd "$name")" ]; then
			case $flags in
			*a*) modify ;;
			*r*) if [ -e "$marks/accounts/$name" ]; then
				# Made by an apply that did not live to tell.
				say made
				modify
			else
				say "exists $(local_line /etc/passwd "$name" | cut -d: -f3)"
			fi ;;
			*) say "exists $(local_line /etc/passwd "$name" | cut -d: -f3)" ;;
			esac
		else
			lookup passwd "$name"
			case $? in
			0) say "elsewhere $(field 3)" ;;
			1) create ;;
			esac
		fi
		;;
	modify) modify ;;
	keep) give_away "$name" && say completed ;;
	lock) give_away "$name" && lock ;;
	remove) remove ;;
	remove-home) remove -r ;;
	esac
	sweep_groups
	say "end $number"
	number=$((number + 1))
done
