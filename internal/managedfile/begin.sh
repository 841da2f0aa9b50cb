# Changes configuration files so that all of them change or none: written
# beside, tried in a copy, swapped, put back. The domain's own functions follow
# this text, and end.sh follows them; managedfile.go has the form of the input.
#   $1  the directory of the configuration: copied, locked, and tried as a whole
#   $2… for the domain's functions
set -u
umask 022
tree=$1
shift
tab=$(printf '\t')
# The journal of a change under way. A run that was killed leaves it, and the
# next one puts back what it says.
work=/var/lib/cutover/change$(printf '%s' "$tree" | tr / -)

# say does not fail where nobody is left to listen.
say() { printf '%s\n' "$*" 2>/dev/null || :; }

quoted() { sed 's/^/| /'; }

# beside is where a file is written before it takes its place: in the same
# directory, for rename(2), and with a name that no server's pattern matches.
beside() { # PATH
	beside=${1%/*}/.cutover-${1##*/}
}

# in_tree maps a path below the tree to the directory that stands for the tree.
in_tree() { # DIRECTORY PATH
	case $2 in
	"$tree"/*) there=$1${2#"$tree"} ;;
	*) there=$2 ;;
	esac
}

# settle moves what was written beside to its place.
settle() { # PATH
	# mv would move into the directory that a link leads to.
	if [ -L "$1" ] && [ -d "$1" ]; then
		rm -f "$1"
	fi
	mv -f "$beside" "$1"
}

# perform makes all changes of files, in the tree or in the copy of it.
perform() { # DIRECTORY
	n=0
	while IFS=$tab read -r op _ mode _ source path; do
		n=$((n + 1))
		case $path in
		"$tree"/*) ;;
		*) [ "$1" = "$tree" ] || continue ;;
		esac
		in_tree "$1" "$path"
		beside "$there"
		case $op in
		put) cp "$work/new.$n" "$beside" && chmod "$mode" "$beside" && settle "$there" ;;
		link) rm -f "$beside" && ln -s "$source" "$beside" && settle "$there" ;;
		copy) mkdir -p "${there%/*}" && cp -a "$source" "$beside" && settle "$there" ;;
		remove) rm -f "$there" ;;
		directory) ;;
		*) false ;;
		esac || return 1
	done <"$work/list"
}

# remember writes into the journal what is there now.
remember() {
	n=0
	while IFS=$tab read -r op _ _ _ _ path; do
		n=$((n + 1))
		[ "$op" != directory ] || continue
		if [ -e "$path" ] || [ -L "$path" ]; then
			cp -a "$path" "$work/old.$n" || return 1
		fi
	done <"$work/list"
	: >"$work/armed"
}

put_back() {
	n=0
	kept=
	while IFS=$tab read -r op _ _ _ _ path; do
		n=$((n + 1))
		[ "$op" != directory ] || continue
		beside "$path"
		rm -f "$beside"
		if [ -e "$work/old.$n" ] || [ -L "$work/old.$n" ]; then
			cp -a "$work/old.$n" "$beside" && settle "$path"
		else
			rm -f "$path"
		fi || kept=$path
	done <"$work/list"
	if [ -f "$work/made" ]; then
		sort -r "$work/made" | while IFS= read -r path; do
			rmdir "$path" 2>/dev/null || :
		done
	fi
	[ -z "$kept" ] || {
		echo "$kept could not be put back as it was; what was there is in $work" >&2
		exit 70
	}
}

# finish takes away what a change needs meanwhile.
finish() {
	rm -f "$work/armed"
	rm -rf "$work"
	rmdir /var/lib/cutover/replaced /var/lib/cutover 2>/dev/null || :
}

# within runs a command that sees the copy where everybody else sees the tree.
# Mounts are private: older kernels, and unshare before util-linux 2.27, would
# show this one to the whole host. -n leaves /etc/mtab alone.
within() {
	# shellcheck disable=SC2016 # the inner shell expands these
	unshare -m sh -c 'mount -n --make-rprivate / && mount -n --bind "$1" "$2" || exit 125
		shift 2
		exec "$@"' sh "$work/copy" "$tree" "$@" </dev/null
}

# directories makes those that are missing.
directories() {
	while IFS=$tab read -r op _ mode owner _ path; do
		if [ "$op" = directory ] && [ ! -d "$path" ]; then
			directory "$mode" "$owner" "$path" </dev/null >"$work/said" 2>&1 || {
				say "refused $path"
				quoted <"$work/said"
				return 1
			}
		fi
	done <"$work/list"
}

# Where root alone may write, root makes a directory; below a directory of
# somebody else only that user does, so that no link laid there leads root
# astray.
directory() { # MODE OWNER PATH
	above=$3
	: >"$work/missing"
	while [ ! -e "$above" ] && [ ! -L "$above" ]; do
		say "$above" >>"$work/missing"
		above=${above%/*}
		[ -n "$above" ] || above=/
	done
	if [ -L "$above" ] || [ ! -d "$above" ]; then
		say "$above is no directory"
		return 1
	fi
	holder=$(stat -c %U "$above")
	if [ -n "$(find "$above" -prune -perm -0002)" ]; then
		say "everybody may write to $above"
		return 1
	elif [ "$holder" = root ]; then
		sort "$work/missing" >>"$work/made"
		mkdir -p "$3" && chmod "$1" "$3" && { [ "$2" = - ] || chown "$2" "$3"; }
	elif [ "$2" = - ] || [ "$2" = "$holder" ]; then
		sort "$work/missing" >>"$work/made"
		# shellcheck disable=SC2016 # the user's shell expands these
		PATH_FOR_USER=$3 MODE_FOR_USER=$1 su -s /bin/sh "$holder" -c \
			'umask 022 && mkdir -p "$PATH_FOR_USER" && chmod "$MODE_FOR_USER" "$PATH_FOR_USER"'
	else
		say "$above belongs to $holder, so that a directory in it cannot be given to $2"
		return 1
	fi
}
