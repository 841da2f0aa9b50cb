# Looks at, makes or removes entries of homes: reads one block a user, "user
# NAME HOME" to "end", as skeleton/script.go writes them. What happens inside a
# home happens as its user, by the script in $as_user: whatever links a user
# has laid there, nothing is done that she could not do herself.
set -u
export PATH
umask 022
# shellcheck disable=SC2154 # as_user is put in front of this script
: "$as_user"

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

# GNU's chroot takes a user since coreutils 7.5; elsewhere su does, with a shell
# that the account need not have.
if chroot --userspec=0:0 --groups=0 / /bin/sh -c : </dev/null >/dev/null 2>&1; then
	with_chroot=1
else
	with_chroot=
fi

run_as_user() {
	if [ -n "$with_chroot" ]; then
		chroot --userspec="$uid:$gid" --groups="$gids" / /bin/sh -c "$as_user" as_user "$home" "$name"
	else
		# shellcheck disable=SC2016 # the inner shell expands these
		AS_USER=$as_user HOME_OF_USER=$home NAME_OF_USER=$name su -s /bin/sh "$name" -c \
			'exec /bin/sh -c "$AS_USER" as_user "$HOME_OF_USER" "$NAME_OF_USER"'
	fi
}

number=0
while read -r op name home; do
	[ "$op" = user ] || continue
	say "begin $number $name"
	line=$(getent passwd "$name" 2>&1 </dev/null)
	code=$?
	uid=$(printf '%s\n' "$line" | cut -d: -f3)
	gid=$(printf '%s\n' "$line" | cut -d: -f4)
	[ "$home" != - ] || home=$(printf '%s\n' "$line" | cut -d: -f6)
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
		gids=$(id -G "$name" 2>/dev/null </dev/null | tr ' ' ,)
		[ -n "$gids" ] || gids=$gid
		while read -r op path && [ "$op" = own ]; do own "$path"; done
		# That line was "begin"; what follows is for the user's own shell, which
		# reads up to "end", except where it does not come to life.
		run_as_user || {
			say "failed to act as $name"
			skip
		}
	fi
	say "end $number"
	number=$((number + 1))
done
