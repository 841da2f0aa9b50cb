# Puts back into the old host's queues what was set aside, or takes it away for good.
#   $1 mark of what is set aside; see parts.sh
#   $2 back or away
# Standard input has a message a line: KEY KIND NAME PATH, with the path aside. Prints
# "taken KEY" for what cannot be put back, because something else has its name.
# shellcheck disable=SC2034,SC2154 # mark is for parts.sh; tab and instances come from there
set -u
mark=$1 what=$2
while read -r key kind name path; do
	file=$(plain "$kind" "$path")
	if [ -e "$file" ]; then
		if [ "$what" = back ]; then
			echo "taken $key"
			continue
		fi
		named=yes
	else
		named=no
	fi
	# The control file last: with it the message is in the queue, or gone.
	parts "$kind" "$name" "$file" | sed '1!G;h;$!d' | while IFS="$tab" read -r _ one other; do
		if [ "$what" = back ]; then
			if [ -f "$other" ]; then mv "$other" "$one"; fi
		else
			rm -f "$other"
			# A crash may have left it under its old name.
			if [ "$named" = no ]; then rm -f "$one"; fi
		fi
	done
	if [ "$what/$kind" = away/exim ]; then
		# The log of its deliveries.
		log=$(printf '%s\n' "${file%-H}" | sed 's:/input/\(.*\)$:/msglog/\1:')
		rm -f "$log"
	fi
done
printf '%s\n' "$instances" | while read -r _ _ queue; do
	[ -n "$queue" ] || continue
	find "$(aside_root "$queue")" -depth -type d -exec rmdir {} + 2>/dev/null
done
exit 0
