# The part of maildir/trees.sh that runs as the user, so that links in a home
# lead nowhere where the user could not go alone.
#   $1 home
#   $2 look, make or drop
#   $3 the Maildir's path in the home
#   $4 mode of its directories
#   $5 the user's mbox spool, for which there is a link; or -
#   then the folders' directories in the Maildir, each followed by its line in
#   subscriptions: ".Archive.2009" and "Archive.2009" in the layout maildir++,
#   twice "Archive/2009" in the layout fs
# Says one line for each thing that is not as it should be (look, make): the
# path, and what is the matter.
set -u
umask 077
unset CDPATH
home=$1 action=$2 maildir=$3 mode=$4 spool=$5
shift 5
links=.cutover-spool
tab=$(printf '\t')

say() { printf 'not %s\t%s\n' "$1" "$(printf '%s' "$2" | tr '\n' ' ')"; }

if ! cd -P "$home" 2>/dev/null; then
	say "$home" 'the home cannot be entered by its user'
	exit 0
fi

made=
# directory PATH: $made is set where it was made now.
directory() {
	made=
	if [ ! -e "./$1" ] && [ ! -h "./$1" ]; then
		if [ "$action" = look ]; then
			say "$1" 'is missing'
			return 1
		fi
		above=.
		case $1 in */*) above=./${1%/*} ;; esac
		if ! out=$(mkdir -p "$above" 2>&1 && mkdir -m "$mode" "./$1" 2>&1); then
			say "$1" "$out"
			return 1
		fi
		made=1
	fi
	if [ ! -d "./$1" ]; then
		say "$1" 'is there, and is no directory'
		return 1
	fi
	# shellcheck disable=SC2046 # two words
	set -- "$1" $(stat -L -c '%u %a' "./$1")
	if [ "$2" != "$(id -u)" ]; then
		say "$1" "belongs to $(stat -L -c %U "./$1")"
		return 1
	fi
	if [ "$3" != "$mode" ]; then
		if [ "$action" = look ]; then
			say "$1" "has the mode $3"
		elif ! out=$(chmod "$mode" "./$1" 2>&1); then
			say "$1" "$out"
		fi
	fi
}

tree() {
	directory "$1" || return 1
	new_tree=$made
	for part in cur new tmp; do directory "$1/$part" || :; done
	[ -n "$new_tree" ]
}

# subscribe LINE: the format of Dovecot 2.3 and later starts with "V<tab>2" and
# has a tab between the parts of a name; before, it was the layout's dot or slash.
subscribe() {
	file=./$maildir/subscriptions
	line=$1
	[ ! -h "$file" ] || return 0
	if [ -s "$file" ] && [ "$(head -n 1 "$file")" = "V${tab}2" ]; then
		line=$(printf '%s\n' "$line" | tr . '\t' | tr / '\t')
	fi
	grep -qxF -e "$line" "$file" 2>/dev/null || printf '%s\n' "$line" >>"$file"
}

# above FOLDER: in the layout fs a folder lies in the directories of those above
# it, which need not hold mail.
above() {
	on=
	way=$1
	while :; do
		case $way in */*) ;; *) return 0 ;; esac
		on=${on:+$on/}${way%%/*}
		way=${way#*/}
		directory "$maildir/$on" || return 1
	done
}

case $action in
look | make)
	tree "$maildir" || :
	while [ $# -gt 1 ]; do
		if above "$1" && tree "$maildir/$1" && [ "$action" = make ]; then
			subscribe "$2"
		fi
		case $1 in
		.*) # the layout maildir++ marks its folders
			if [ "$action" = make ] && [ -d "./$maildir/$1" ] && [ ! -e "./$maildir/$1/maildirfolder" ]; then
				: >"./$maildir/$1/maildirfolder"
			fi
			;;
		esac
		shift 2
	done
	if [ "$spool" != - ] && [ "$(readlink "./$links/mail")" != "$spool" ]; then
		if [ "$action" = look ]; then
			say "$links/mail" 'does not lead to the spool'
		elif ! out=$(mkdir -p "./$links" 2>&1 && ln -sfn "$spool" "./$links/mail" 2>&1); then
			say "$links/mail" "$out"
		fi
	fi
	;;
esac
if [ "$action" = drop ] || { [ "$action" = make ] && [ "$spool" = - ]; }; then
	if [ -h "./$links/mail" ]; then rm -f "./$links/mail"; fi
	if [ -d "./$links" ] && [ ! -h "./$links" ]; then rmdir "./$links" 2>/dev/null || :; fi
fi
exit 0
