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
code=0

# enter DIRECTORY: the shell then is in that very directory, which no later
# change of names can alter.
enter() {
	cd "$target" || return 1
	wanted=$target${1#.}
	cd -P -- "$1" 2>/dev/null || return 1
	if [ "$PWD" != "$wanted" ]; then
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

# take COUNT NAME...: what comes after COUNT names that are for later.
take() {
	shift "$(($1 + 1))"
	if [ -z "$trash" ]; then
		rm -f -- "$@" || code=1
	elif [ -d "$trash/$at" ] || mkdir -p -- "$trash/$at"; then
		mv -f -- "$@" "$trash/$at/" || code=1
	else
		code=1
	fi
}

# Those of one directory go together: a process for each would take its time.
left=$# done=0
while [ "$left" -gt 0 ]; do
	at=${1%/*}
	count=0
	while [ "$left" -gt 0 ] && [ "${1%/*}" = "$at" ]; do
		set -- "$@" "./${1##*/}"
		shift
		left=$((left - 1)) count=$((count + 1))
	done
	if enter "$at"; then take "$((left + done))" "$@"; fi
	done=$((done + count))
done
exit "$code"
