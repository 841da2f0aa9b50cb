# Sets messages aside on the old host, which the new host has a copy of: its mail server
# does not find them any more when it is started, and the way back can put them back.
#   $1 mark of what is set aside; see parts.sh
# Standard input has a message a line: KEY KIND NAME STAMP PATH, with the STAMP at which
# it was copied. Prints for each what has become of it:
#   aside KEY
#   changed KEY          it is not what was copied
#   running NAME         its mail server has been started: it stays
# shellcheck disable=SC2034,SC2154 # mark is for parts.sh; tab and instances come from there
set -u
mark=$1
started=''
for name in $(printf '%s\n' "$instances" | cut -d ' ' -f 1) sendmail exim; do
	if running "$name"; then
		started="$started $name"
		echo "running $name"
	fi
done

# renamed renames the control file, unless Sendmail works on it: that locks it.
renamed() { # KIND FROM TO
	if [ -e "$3" ]; then return 1; fi
	if [ "$1" = sendmail ] && command -v flock >/dev/null 2>&1; then
		flock -n "$2" mv "$2" "$3"
	else
		mv "$2" "$3"
	fi
}

while read -r key kind name stamp path; do
	case " $started " in *" $name "*) continue ;; esac
	if [ "$(stat -c %i.%Y.%s "$path" 2>/dev/null)" != "$stamp" ]; then
		echo "changed $key"
		continue
	fi
	parts "$kind" "$name" "$path" | {
		IFS="$tab" read -r _ one other
		umask 077
		mkdir -p "${other%/*}"
		if renamed "$kind" "$one" "$other" 2>/dev/null; then
			# What is left of it in a crash is found at either place.
			while IFS="$tab" read -r _ one other; do
				if [ -f "$one" ]; then
					mkdir -p "${other%/*}"
					mv "$one" "$other"
				fi
			done
			echo "aside $key"
		else
			echo "changed $key"
		fi
	}
done
sync
exit 0
