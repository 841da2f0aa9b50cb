# The part of skeleton/skeleton.sh that runs as the user: $1 is the home, $2
# the user's name, $3 her number. Reads one request a line up to "end" and says
# what is there or what was done. Exit code 3: it has said what failed.
#
# After cd -P, PWD is the physical directory (POSIX, cd): asking pwd would take
# a process for each step of each path.
set -u
umask 022
unset CDPATH
user=$2
uid=$3
bad=0

say() { printf '%s\n' "$*"; }

failed() { # PATH MESSAGE
	bad=3
	say "failed $1"
	printf '%s\n' "$2" | sed 's/^/| /'
}

refused() { # PATH REASON
	bad=3
	say "refused $1"
	say "| $2"
}

attempt() { # PATH COMMAND...
	of=$1
	shift
	out=$("$@" 2>&1 </dev/null) && return 0
	failed "$of" "$out"
	return 1
}

if ! cd -P "$1" 2>/dev/null; then
	refused . "$user may not enter the home $1"
	while read -r op a && [ "$op" != end ]; do :; done
	exit 3
fi
home=$PWD
if [ "$home" = / ]; then
	refused . "the home of $user is /, where nothing is made"
	while read -r op a && [ "$op" != end ]; do :; done
	exit 3
fi

# into goes to the directory that PATH is in, step by step, and puts the name
# of the last step into $leaf. 2: a directory on the way is not there.
into() { # PATH [make]
	cd -P "$home" || return 1
	rest=$1
	at=
	while :; do
		case $rest in
		*/*) part=${rest%%/*} && rest=${rest#*/} ;;
		*) leaf=$rest && return 0 ;;
		esac
		at=${at:+$at/}$part
		if [ ! -e "./$part" ] && [ ! -h "./$part" ]; then
			[ $# -eq 2 ] || return 2
			attempt "$1" mkdir "./$part" || return 1
			say "made-directory $at"
		fi
		if ! cd -P "./$part" 2>/dev/null; then
			refused "$1" "$at is not a directory that $user may enter"
			return 1
		fi
		case $PWD/ in
		"$home"/*) ;;
		*)
			refused "$1" "$at is a symbolic link that leads out of the home"
			return 1
			;;
		esac
	done
}

# sum prints a file's SHA-256; ? where it cannot be read.
sum() { # FILE
	if hashed=$(sha256sum <"$1") 2>/dev/null; then
		say "${hashed%% *}"
	else
		say '?'
	fi
}

# kind puts what $leaf is into $kind. A link to a directory of the same home
# is as good as a directory.
kind() {
	if [ -h "./$leaf" ]; then
		kind="link"
		if [ -d "./$leaf" ]; then
			case $(cd -P "./$leaf" 2>/dev/null && pwd -P)/ in
			"$home"/*) kind=directory ;;
			esac
		fi
	elif [ -d "./$leaf" ]; then
		kind=directory
	elif [ -f "./$leaf" ]; then
		kind="file"
	elif [ -e "./$leaf" ]; then
		kind=other
	else
		kind=absent
	fi
}

look() { # PATH
	into "$1"
	case $? in
	1) return ;;
	2) say "is absent - - $1" && return ;;
	esac
	kind
	case $kind in
	absent) say "is absent - - $1" ;;
	*) say "is $kind $(stat -L -c '%a %U' "./$leaf" 2>/dev/null || echo - -) $1" ;;
	esac
}

set_mode() { # MODE PATH
	there=$(stat -L -c '%u %a' "./$leaf")
	if [ "${there% *}" != "$uid" ]; then
		failed "$2" "it belongs to $(stat -L -c '%U (number %u)' "./$leaf"), not to its user (number $uid): chown it, or give the account that number"
		return 1
	fi
	[ "${there#* }" = "$1" ] || attempt "$2" chmod "$1" "./$leaf"
}

make_directory() { # MODE PATH
	into "$2" make || return
	kind
	case $kind in
	absent)
		attempt "$2" mkdir -m "$1" "./$leaf" || return
		say "made-directory $2"
		# mkdir sets the mode, but lets a parent's setgid bit through.
		[ ! -g . ] || set_mode "$1" "$2"
		;;
	directory) set_mode "$1" "$2" ;;
	*) refused "$2" "it is there already, and is no directory of this home" ;;
	esac
}

put() { # MODE CONTENT
	new=./.cutover-$$
	content=$2
	[ "$content" != - ] || content=
	if out=$( (umask 077 && printf '%s' "$content" | base64 -d >"$new" &&
		chmod "$1" "$new" && mv -f "$new" "./$leaf") 2>&1); then
		return 0
	fi
	rm -f "$new"
	failed "$path" "$out"
	return 1
}

make_file() { # MODE OWN-SUM NEW-SUM CONTENT PATH
	path=$5
	into "$5" make || return
	kind
	case $kind in
	absent)
		put "$1" "$4" && say "made-file $3 $5"
		return
		;;
	file) ;;
	*) refused "$5" "it is there already, and is no file" && return ;;
	esac
	# What was made here and is as it was made may be made anew; everything
	# else keeps its content.
	there=$(sum "./$leaf")
	if [ "$there" = "$2" ] && { [ "$2" != "$3" ] || [ "$(stat -c %u "./$leaf")" != "$uid" ]; }; then
		put "$1" "$4" && say "made-file $3 $5"
		return
	fi
	[ "$there" = "$3" ] || say "left $5"
	set_mode "$1" "$5"
}

copy_skel() {
	cd /etc/skel 2>/dev/null || return 0
	find . -name . -o -print | sort | {
		while IFS= read -r found; do
			found=${found#./}
			from=/etc/skel/$found
			into "$found" make || continue
			kind
			[ "$kind" = absent ] || continue
			if [ -d "$from" ] && [ ! -h "$from" ]; then
				attempt "$found" mkdir "./$leaf" && say "made-directory $found"
			elif [ -f "$from" ] && [ ! -h "$from" ]; then
				attempt "$found" cp -p "$from" "./$leaf" && say "made-file $(sum "./$leaf") $found"
			fi
		done
		[ "$bad" = 0 ]
	} || bad=3
}

drop_directory() { # PATH
	into "$1" || return
	if [ -d "./$leaf" ] && [ ! -h "./$leaf" ] && ! rmdir "./$leaf" 2>/dev/null; then
		say "kept $1"
	fi
}

drop_file() { # SUM PATH
	into "$2" || return
	if [ -h "./$leaf" ]; then
		say "kept $2"
	elif [ -f "./$leaf" ]; then
		if [ "$(sum "./$leaf")" = "$1" ]; then
			attempt "$2" rm -f "./$leaf"
		else
			say "kept $2"
		fi
	fi
}

while read -r op a; do
	case $op in
	look) look "$a" ;;
	directory) make_directory "${a%% *}" "${a#* }" ;;
	file)
		mode=${a%% *} && a=${a#* }
		own=${a%% *} && a=${a#* }
		new=${a%% *} && a=${a#* }
		make_file "$mode" "$own" "$new" "${a%% *}" "${a#* }"
		;;
	skel) copy_skel ;;
	drop-directory) drop_directory "$a" ;;
	drop-file) drop_file "${a%% *}" "${a#* }" ;;
	end) exit "$bad" ;;
	esac
done
failed . "the requests broke off"
exit 3
