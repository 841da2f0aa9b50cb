# Takes things out of directories of a target, without ever following a
# symbolic link that somebody has put in a directory's place.
#
#   $1       target, by its real name
#   $2       directory of the trash, or "" to delete
#   $3       "files", or "dirs", which go when they are empty
#   $4...    their paths, relative to the target: "./anna/mail"
#
# Says on stderr what it could not do. Exit code 1: something stayed.
set -u
target=$1 trash=$2 what=$3
shift 3
code=0 at=''

# enter DIRECTORY: the shell then is in that very directory, which no later
# change of names can alter.
enter() {
	cd "$target" || return 1
	wanted=$target${1#.}
	cd -P -- "$1" 2>/dev/null || return 1
	if [ "$(pwd -P; echo x)" != "$wanted
x" ]; then
		echo "$wanted is not a directory of the target any more; nothing there was touched" >&2
		cd "$target" || exit 1
		code=1
		return 1
	fi
}

if [ "$what" = dirs ]; then
	for path; do
		name=${path##*/}
		if enter "${path%/*}"; then rmdir -- "./$name" 2>/dev/null; fi
	done
	exit "$code"
fi

for path; do
	if [ "${path%/*}" != "$at" ]; then
		at=${path%/*}
		here=
		if enter "$at"; then
			here=yes
			if [ -n "$trash" ] && ! mkdir -p -- "$trash/$at"; then
				here=
				code=1
			fi
		fi
	fi
	if [ -z "$here" ]; then continue; fi
	if [ -z "$trash" ]; then
		rm -f -- "./${path##*/}" || code=1
	else
		mv -f -- "./${path##*/}" "$trash/$at/" || code=1
	fi
done
exit "$code"
