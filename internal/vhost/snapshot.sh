# What web servers a host has, all of their site files, and the answers to
# questions about paths. Reads only.
# Input, one line each, with tabs between:
#   root PATH       is it a directory, and does it lead elsewhere?
#   pair CERT KEY   do a certificate and a key belong together?
#   log PATH        is there a directory for it?
#   socket PATH     is there such a socket?
# Prints "key value" lines, a section for each server from "server NAME" on;
# files as "file PATH" and the lines with "| " in front; "answer N WORD …" for
# the Nth question; and end.

# directories finds where the sites are, from what the main file includes.
directories() { # SERVER MAIN FILE
	above=${2%/*}
	case $1 in
	apache)
		includes='^[[:space:]]*Include(Optional)?[[:space:]]+"?([^"[:space:]]*/)?'
		places="vhosts.d conf.d sites.d"
		ending=.conf
		;;
	*)
		includes='^[[:space:]]*include[[:space:]]+"?([^"[:space:]]*/)?'
		places="http.d conf.d vhosts.d"
		ending=
		;;
	esac
	if [ -d "$above/sites-available" ] && [ -d "$above/sites-enabled" ] && grep -Eiq "${includes}sites-enabled" "$2"; then
		say "layout sites"
		say "available $(cd -P "$above/sites-available" && pwd)"
		say "enabled $(cd -P "$above/sites-enabled" && pwd)"
		grep -Eiq "${includes}sites-enabled/[*][.]conf" "$2" && ending=.conf
		say "ending $ending"
		return
	fi
	for place in $places; do
		for top in "$above" "${above%/conf}"; do
			if [ -d "$top/$place" ] && grep -Eiq "$includes$place" "$2"; then
				say "layout directory"
				say "available $(cd -P "$top/$place" && pwd)"
				say "enabled $(cd -P "$top/$place" && pwd)"
				say "ending .conf"
				return
			fi
		done
	done
}

apache() {
	ctl=$(program apache) || return 0
	build=$("$ctl" -V 2>/dev/null)
	top=$(say "$build" | sed -n 's/.*-D HTTPD_ROOT="\(.*\)".*/\1/p')
	main=$(say "$build" | sed -n 's/.*-D SERVER_CONFIG_FILE="\(.*\)".*/\1/p')
	case $main in
	/*) ;;
	*) main=$top/$main ;;
	esac
	[ -f "$main" ] || return 0
	say "server apache"
	say "program $ctl"
	say "$build" | sed -n 's,^Server version: Apache/\([0-9.]*\).*,version \1,p'
	say "tree $(cd -P "$top" && pwd)"
	say "main $main"
	[ -z "$(master apache)" ] || say "running yes"
	directories apache "$main"
	# Not apache2ctl here: it makes directories for a server that does not run.
	(
		set +u
		# shellcheck disable=SC1091 # Debian's file of variables
		[ ! -f "$top/envvars" ] || . "$top/envvars"
		env | sed -n 's/^\(APACHE_[A-Z_]*\)=/variable \1 /p'
		binary=/usr/sbin/apache2
		[ -x "$binary" ] || binary=$(command -v httpd) || binary=$ctl
		"$binary" -M 2>&1 </dev/null | sed -n 's/^ *\([a-z0-9_]*_module\) .*/module \1/p'
	)
}

nginx_() {
	binary=$(program nginx) || return 0
	build=$("$binary" -V 2>&1)
	main=$(say "$build" | tr ' ' '\n' | sed -n 's/^--conf-path=//p')
	[ -n "$main" ] || main=/usr/local/nginx/conf/nginx.conf
	[ -f "$main" ] || return 0
	say "server nginx"
	say "program $binary"
	say "$build" | sed -n 's,^nginx version: [^/]*/\([0-9.]*\).*,version \1,p'
	case $build in
	*--with-ipv6*) say "built with-ipv6" ;;
	esac
	say "tree $(cd -P "${main%/*}" && pwd)"
	say "main $main"
	[ -z "$(master nginx)" ] || say "running yes"
	directories nginx "$main"
}

# files prints the sites of a server, whose section is in $1. What a run that
# was killed has left half done counts as it was before, for the next run puts
# it back first; a run that still goes on is waited for.
files() {
	tree=$(say "$1" | sed -n 's/^tree //p')
	available=$(say "$1" | sed -n 's/^available //p')
	enabled=$(say "$1" | sed -n 's/^enabled //p')
	[ -n "$available" ] || return 0
	work=/var/lib/cutover/change$(printf '%s' "$tree" | tr / -) # the journal of managedfile
	[ ! -d "$work" ] || flock -s -w 60 "$tree" true 2>/dev/null || :
	half=
	if [ -f "$work/armed" ]; then
		before
	fi
	set -- "$available"/*
	[ "$available" = "$enabled" ] || set -- "$@" "$enabled"/*
	for file in "$@"; do
		shift
		case "$half" in
		*"|$file|"*) continue ;;
		esac
		if [ -L "$file" ]; then
			say "link $file"
			say "| $(readlink -f "$file")"
		elif [ -f "$file" ]; then
			say "is $file"
			set -- "$@" "$file"
		fi
	done
	[ "$#" -eq 0 ] || awk 'FNR == 1 { print "file " FILENAME } { print "| " $0 }' "$@"
}

# before prints the files of a journal as they were, and puts their paths into
# $half.
before() {
	half='|'
	n=0
	while IFS=$tab read -r op _ _ _ _ path; do
		n=$((n + 1))
		[ "$op" != directory ] || continue
		half="$half$path|"
		case ${path%/*} in
		"$available" | "$enabled") ;;
		*) continue ;;
		esac
		if [ -L "$work/old.$n" ]; then
			goal=$(readlink "$work/old.$n")
			case $goal in
			/*) ;;
			*) goal=${path%/*}/$goal ;;
			esac
			say "link $path"
			say "| $(readlink -f "$goal")"
		elif [ -f "$work/old.$n" ]; then
			say "is $path"
			say "file $path"
			sed 's/^/| /' "$work/old.$n"
		fi
	done <"$work/list"
}

# root says what a path is, and which link on it leads out of its directory.
# Links that root has made on the way are the host's own business; the last
# step, and links of others, are not.
root() { # PATH
	if [ ! -e "$1" ]; then
		if [ -L "$1" ]; then say "astray $1 $(readlink "$1")"; else say absent; fi
		return
	elif [ ! -d "$1" ]; then
		say other
		return
	fi
	walked=
	left=${1#/}
	while [ -n "$left" ]; do
		step=${left%%/*}
		case $left in
		*/*) left=${left#*/} ;;
		*) left= ;;
		esac
		if [ -L "$walked/$step" ]; then
			inside=$(cd -P "$walked/" && pwd)
			goal=$(readlink -f "$walked/$step")
			case $goal in
			"${inside%/}"/*) ;;
			*)
				if [ -z "$left" ] || [ "$(stat -c %u "$walked/$step")" != 0 ]; then
					say "astray $walked/$step $goal"
					return
				fi
				;;
			esac
		fi
		walked=$walked/$step
	done
	say directory
}

# pair compares public keys. The private key stays where it is.
pair() { # CERTIFICATE KEY
	[ -f "$1" ] || { say "missing $1" && return; }
	[ -f "$2" ] || { say "missing $2" && return; }
	command -v openssl >/dev/null 2>&1 || { say untold && return; }
	of_certificate=$(openssl x509 -noout -pubkey -in "$1" 2>/dev/null </dev/null) || { say "unreadable $1" && return; }
	of_key=$(openssl pkey -pubout -passin pass: -in "$2" 2>/dev/null </dev/null) ||
		of_key=$(openssl rsa -pubout -passin pass: -in "$2" 2>/dev/null </dev/null) || { say "unreadable $2" && return; }
	if [ "$of_certificate" = "$of_key" ]; then say fits; else say mismatch; fi
}

tab=$(printf '\t')
[ ! -e /proc/net/if_inet6 ] || say "ipv6 yes"
for saved in /var/lib/cutover/replaced/*; do
	[ ! -e "$saved" ] || say "saved ${saved##*/}"
done
for server in apache nginx_; do
	section=$($server)
	[ -n "$section" ] || continue
	say "$section"
	files "$section"
done
n=0
while IFS=$tab read -r question first second; do
	case $question in
	root | pair) answer=$($question "$first" "$second") ;;
	log) [ -d "${first%/*}" ] && answer=there || answer=absent ;;
	socket) [ -S "$first" ] && answer=there || answer=absent ;;
	*) answer=unknown ;;
	esac
	say "answer $n $answer"
	n=$((n + 1))
done
say end
