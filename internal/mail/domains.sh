# The domains whose mail the server takes.
#
#   domain-of WORD NAME          NAME is in the file that WORD of a Postfix setting names
#   domain NAME                  of Sendmail's classes w and {VirtHost}
#   unclear TEXT
#   domain-list TEXT             Exim's list local_domains
#   hostname NAME
etc=$1

say hostname "$(uname -n 2>/dev/null)"

# domains_in WORD FILE: the first word of each line.
domains_in() {
	if [ -f "$2" ] && [ -r "$2" ]; then
		awk -v word="$1" '/^[ \t]*(#|$)/ || /^[ \t]/ { next } { printf "domain-of\t%s\t%s\n", word, $1 }' "$2"
	else
		say map-unreadable "$2"
	fi
}

if has postconf; then
	for setting in mydestination virtual_mailbox_domains virtual_alias_domains; do
		for word in $(words "$(value "$setting")"); do
			file=$(file_of "$word")
			[ -z "$file" ] || domains_in "$word" "$file"
		done
	done
fi

for exim in exim4 exim; do
	has "$exim" || continue
	say domain-list "$("$exim" -bP domainlist local_domains 2>/dev/null | sed -n 's/^domainlist [^ ]* = //p')"
	break
done

cf=$etc/mail/sendmail.cf
if [ -f "$cf" ] && has sendmail && ! has postconf && ! has exim4 && ! has exim; then
	# "CwNAME NAME", "C{VirtHost}NAME", "Fw-o /FILE": a file that is optional need not be there.
	awk '
		/^C(w|[{](w|VirtHost)[}])/ { sub(/^C(w|[{][^}]*[}])/, ""); for (i = 1; i <= NF; i++) printf "domain\t%s\n", $i }' "$cf"
	sed -n 's/^F[{]*\(w\|VirtHost\)[}]*[[:blank:]]*//p' "$cf" | while IFS= read -r file; do
		optional=
		case $file in -o*) optional=yes file=${file#-o} ;; esac
		file=${file#"${file%%[! ]*}"}
		file=${file%% *}
		case $file in
		/*)
			if [ -f "$file" ] && [ -r "$file" ]; then
				sed 's/#.*//' "$file" | awk '{ for (i = 1; i <= NF; i++) printf "domain\t%s\n", $i }'
			elif [ -z "$optional" ] || [ -e "$file" ]; then
				say map-unreadable "$file"
			fi
			;;
		*) say unclear "sendmail: $file names domains, and is no file" ;;
		esac
	done
fi
