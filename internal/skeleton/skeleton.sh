# Looks at, makes or removes entries of homes: each_home reads one block a user,
# "user NAME HOME" to "end", as skeleton/script.go writes them. What happens
# inside a home happens as its user, by the script in $as_user: whatever links a
# user has laid there, nothing is done that she could not do herself.
#
# What a skeleton consists of is noted in $notes, a file a user in the form of a
# block that looks at it, for skeleton/survey.sh.
set -u
export PATH
umask 022
# shellcheck disable=SC2154 # as_user is put in front of this script
: "$as_user"
notes=/var/lib/cutover/skeletons

say() { printf '%s\n' "$*"; }

skip() {
	while read -r op rest && [ "$op" != end ]; do :; done
}

# own gives a directory that was made here back to its user. It acts on the
# directory that it is in, after it has seen that this is one of the home: a
# link cannot lead it elsewhere.
own() { # PATH
	(
		cd -P "$home" && top=$(pwd -P) && cd -P "./$1" || exit 0
		case $(pwd -P)/ in
		"$top"/*) ;;
		*) exit 0 ;;
		esac
		[ "$(stat -c %u .)" = "$uid" ] || chown "$uid:$gid" .
	) 2>/dev/null
}

write_note() {
	# What others have in their homes is nobody's business.
	[ -d "$notes" ] || { mkdir -p "${notes%/*}" && mkdir -m 0700 "$notes"; }
	say "user $name $asked
begin
${note}end" >"$notes/$name"
}

# GNU's chroot takes a user since coreutils 7.5; elsewhere su does, with a shell
# that the account need not have.
find_chroot() {
	if chroot --userspec=0:0 --groups=0 / /bin/sh -c : </dev/null >/dev/null 2>&1; then
		with_chroot=1
	else
		with_chroot=
	fi
}

run_as_user() {
	if [ -n "$with_chroot" ]; then
		chroot --userspec="$uid:$gid" --groups="$gids" / /bin/sh -c "$as_user" as_user "$home" "$name" "$uid"
	else
		# shellcheck disable=SC2016 # the inner shell expands these
		AS_USER=$as_user HOME_OF_USER=$home NAME_OF_USER=$name UID_OF_USER=$uid su -s /bin/sh "$name" -c \
			'exec /bin/sh -c "$AS_USER" as_user "$HOME_OF_USER" "$NAME_OF_USER" "$UID_OF_USER"'
	fi
}

# in_home does what a block asks, from its first line inside the home on.
in_home() {
	gids=$(id -G "$name" 2>/dev/null </dev/null)
	# shellcheck disable=SC2086 # numbers
	set -- ${gids:-$gid}
	gids=$1
	shift
	for more in "$@"; do gids=$gids,$more; done
	note=
	noted=
	while read -r op path && [ "$op" != begin ]; do
		case $op in
		own) own "$path" ;;
		note) noted=1 ;;
		keep) note="${note}look $path
" ;;
		esac
	done
	# What follows is for the user's own shell, which reads up to "end", except
	# where it does not come to life. 3: something failed, and it has said what.
	run_as_user
	case $? in
	0) [ -z "$noted" ] || write_note ;;
	3) ;;
	*) say "failed to act as $name" && skip ;;
	esac
}

each_home() {
	with_chroot='?'
	number=0
	forgot=
	while read -r op name asked; do
		if [ "$op" = forget ]; then
			[ ! -e "$notes/$name" ] || rm -f "$notes/$name"
			forgot=1
			continue
		fi
		[ "$op" = user ] || continue
		[ "$with_chroot" != '?' ] || find_chroot
		say "begin $number $name $asked"
		line=$(getent passwd "$name" 2>&1 </dev/null)
		code=$?
		IFS=: read -r _ _ uid gid _ home _ <<-END
			$line
		END
		[ "$asked" = - ] || home=$asked
		if [ "$code" -eq 2 ]; then
			say no-user
			skip
		elif [ "$code" -ne 0 ]; then
			say "failed getent passwd $name: exit code $code"
			say "| $line"
			skip
		elif [ ! -d "$home" ]; then
			say "no-home $home"
			skip
		else
			say "home $home"
			in_home
		fi
		say "end $number"
		number=$((number + 1))
	done
	[ -z "$forgot" ] || rmdir "$notes" "${notes%/*}" 2>/dev/null || :
}
