# Looks at or makes the Maildir of each user that standard input names, one a
# line. What happens inside a home happens as its user, by the script in
# $as_user; root only gives directories that root has made back to the user.
#   $1 look, make or drop
#   $2 the Maildir's path in the home
#   $3 mode of its directories
#   $4 directory of the mbox spools, or -
#   then for each folder its directory in the Maildir and its line in subscriptions
# Prints "user NAME", then what is not as it should be, and "end" at the last.
set -u
export PATH
umask 022
# shellcheck disable=SC2154 # as_user is put in front of this script
: "$as_user"
action=$1 maildir=$2 mode=$3 spools=$4
shift 4

# own acts on the directory that it is in, after it has seen that no link led
# there.
own() { # PATH
	(
		cd -P "$home" && top=$(pwd -P) && cd -P "./$1" || exit 0
		[ "$(pwd -P)" = "$top/$1" ] || exit 0
		[ "$(stat -c %u .)" != 0 ] || chown "$uid:$gid" .
	) 2>/dev/null
}

# own_tree PATH: the directories on the way to it, itself, and its parts.
own_tree() {
	on=
	rest=$1/
	while [ -n "$rest" ]; do
		on=${on:+$on/}${rest%%/*}
		rest=${rest#*/}
		own "$on"
	done
	for part in cur new tmp; do own "$1/$part"; done
}

own_all() {
	own_tree "$maildir"
	while [ $# -gt 1 ]; do
		own_tree "$maildir/$1"
		shift 2
	done
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
		chroot --userspec="$uid:$gid" --groups="$gids" / /bin/sh -c "$as_user" as_user "$@"
	else
		# shellcheck disable=SC2016 # the inner shell expands it
		AS_USER=$as_user su -s /bin/sh "$name" -c 'exec /bin/sh -c "$AS_USER" as_user "$@"' as_user "$@"
	fi </dev/null
}

while IFS= read -r name; do
	echo "user $name"
	line=$(getent passwd "$name" 2>&1 </dev/null)
	code=$?
	if [ "$code" -eq 2 ]; then
		[ "$action" = drop ] || echo 'no-user'
		continue
	elif [ "$code" -ne 0 ]; then
		echo "getent passwd $name ended with exit code $code: $line" >&2
		exit 1
	fi
	uid=$(printf '%s\n' "$line" | cut -d: -f3)
	gid=$(printf '%s\n' "$line" | cut -d: -f4)
	home=$(printf '%s\n' "$line" | cut -d: -f6)
	if [ "$uid" = 0 ]; then
		echo 'root'
		continue
	fi
	if [ ! -d "$home" ]; then
		[ "$action" = drop ] || echo "no-home $home"
		continue
	fi
	gids=$(id -G "$name" 2>/dev/null </dev/null | tr ' ' ,)
	[ -n "$gids" ] || gids=$gid
	[ "$action" != make ] || own_all "$@"
	spool=-
	[ "$spools" = - ] || spool=$spools/$name
	if ! run_as_user "$home" "$action" "$maildir" "$mode" "$spool" "$@"; then
		printf 'not %s\tnothing could be done there as %s\n' "$home" "$name"
	fi
done
echo end
