# Prints messages of the old host's queues, with the mail server stopped. Changes nothing.
#   $1 mark of what is set aside; see parts.sh
# Standard input has a message a line: KEY KIND NAME PATH, PATH being its control file.
# Prints for each
#   message KEY STAMP     STAMP changes with the control file
#   control BYTES         and so many bytes: what the mail server knows of it, and, of
#                         Sendmail and Exim, its header
#   journal BYTES         of Exim, where there is one: who has got it since
#   body BYTES            its body, or, of Postfix, header and body
#   end
# or, for what cannot be read, "failed TEXT" in the place of the rest.
# shellcheck disable=SC2034,SC2154,SC2317 # mark is for parts.sh; tab and instances come from there; section calls the functions by their names
set -u
mark=$1

control() {
	case $kind in
	postfix) postcat -e "$path" ;;
	*) cat "$path" ;;
	esac
}

journal() { cat "$journal"; }

body() {
	case $kind in
	postfix) postcat -bh "$path" ;;
	exim) tail -n +2 "$body" ;; # its first line is its own name
	sendmail) cat "$body" ;;
	esac
}

# section prints what a function prints, with its length before it. It is made twice, so
# that nothing of it lies on this host's disk.
section() { # NAME
	counted=$({ {
		"$1" 2>/dev/null
		echo "$?" >&3
	} | wc -c; } 3>&1 </dev/null)
	code=${counted%%
*}
	if [ "$code" != 0 ]; then
		echo "failed its $1 cannot be read: $("$1" 2>&1 >/dev/null </dev/null | tail -n 1)"
		return 1
	fi
	echo "$1 $((${counted#*
}))"
	"$1" 2>/dev/null </dev/null
}

while read -r key kind name path; do
	echo "message $key $(stat -c %i.%Y.%s "$path" 2>/dev/null </dev/null)"
	body='' journal=''
	# What a crash has left at either place counts.
	files=$(parts "$kind" "$name" "$(plain "$kind" "$path")" </dev/null)
	while IFS="$tab" read -r what one other; do
		for file in "$one" "$other"; do
			if [ -f "$file" ]; then
				case $what in body) body=$file ;; journal) journal=$file ;; esac
			fi
		done
	done <<FILES
$files
FILES
	section control || continue
	if [ -n "$journal" ]; then section journal || continue; fi
	if [ "$kind" != postfix ] && [ -z "$body" ]; then
		echo "failed the file of its body is not there"
		continue
	fi
	section body || continue
	echo end
done
exit 0
