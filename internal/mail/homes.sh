# Accounts and their homes: who has a .forward or a filter of its own.
#
#   parent DIRECTORY PEOPLE        people whose home is DIRECTORY/NAME; "-" elsewhere
#   forward USER KINDS; filter USER FILE
#   home-unreadable USER HOME; file-unreadable USER FILE
etc=$1
tab=$(printf '\t')
# shellcheck disable=SC2154 # begin.sh sets it
: "$kinds_of"

if has getent; then
	if ! passwd=$(getent passwd 2>&1); then
		echo "getent passwd failed: $passwd" >&2
		exit 1
	fi
else
	passwd=$(cat "$etc/passwd") || exit 1
fi

# People have numbers from 1000 on; 65534 is nobody (Debian Policy, section 9.2.2).
printf '%s\n' "$passwd" | awk -F: '
	$3 >= 1000 && $3 < 60000 && $1 !~ /^[#+-]/ {
		parent = "-"
		at = length($6) - length($1)
		if (at > 1 && substr($6, at) == "/" $1) parent = substr($6, 1, at - 1)
		count[parent]++
	}
	END { for (parent in count) printf "parent\t%s\t%d\n", parent, count[parent] }'

# The loop starts no program for a user: one awk reads all files.
printf '%s\n' "$passwd" | while IFS=: read -r name _ _ _ _ home _; do
	case $name in '' | '#'* | + | -) continue ;; esac
	case $home in '' | / | /nonexistent | *"$tab"*) continue ;; esac
	[ -d "$home" ] || continue
	if [ ! -x "$home" ]; then
		printf 'home-unreadable\t%s\t%s\n' "$name" "$home"
		continue
	fi
	if [ -f "$home/.forward" ]; then printf '.forward\t%s\t%s\n' "$name" "$home/.forward"; fi
	for file in .procmailrc .mailfilter .dovecot.sieve; do
		if [ -f "$home/$file" ]; then printf 'filter\t%s\t%s\n' "$name" "$file"; fi
	done
done | awk -F"$tab" "$kinds_of"'
	$1 != ".forward" { print; next }
	{
		text = first = ""
		n = 0
		while ((code = (getline line < $3)) > 0 && n++ < 1000) {
			if (n == 1) first = line
			if (line !~ /^[ \t]*#/) text = text "," line
		}
		close($3)
		if (code < 0) printf "file-unreadable\t%s\t%s\n", $2, $3
		else if (first ~ /^#[ \t]*([Ee]xim|[Ss]ieve) filter/) printf "forward\t%s\tfilter\n", $2
		else printf "forward\t%s\t%s\n", $2, kinds(text)
	}'
echo end
