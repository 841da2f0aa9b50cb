# The mail server: where it delivers to, and its aliases.
#
#   server NAME; sendmail-program PATH
#   postfix KEY VALUE
#   sendmail KEY VALUE FILE:LINE          of the mailer local, and the files of aliases
#   exim router|transport NAME KEY VALUE
#   other NAME                            a server of mailboxes beside Dovecot
#   procmail KEY VALUE FILE:LINE          KEY "recipes" where it has some
#   map FILE ENTRIES; map-unreadable FILE
#   alias FILE LINE NAME KINDS
etc=$1
tab=$(printf '\t')
# shellcheck disable=SC2154 # begin.sh sets it
: "$kinds_of"

# words VALUE: a list of Postfix or Sendmail, one word a line.
words() {
	printf '%s\n' "$1" | awk '{ for (i = split($0, word, /[, \t]+/); i; i--) if (word[i] != "") print word[i] }'
}

# aliases FILE: "name: target, target"; a line that begins with a blank goes on.
aliases() {
	if [ ! -f "$1" ] || [ ! -r "$1" ]; then
		say map-unreadable "$1"
		return
	fi
	awk -v file="$1" "$kinds_of"'
		function put(   at) {
			at = name ~ /^"/ ? index(substr(text, length(name) + 1), ":") + length(name) : index(text, ":")
			if (name == "" || !at) return
			printf "alias\t%s\t%d\t%s\t%s\n", file, line, name, kinds(substr(text, at + 1))
		}
		/^[ \t]*(#|$)/ { next }
		/^[ \t]/ { text = text " " $0; next }
		{
			put()
			text = $0; line = FNR; name = $0
			if (name ~ /^"[^"]*"/) { match(name, /^"[^"]*"/); name = substr(name, 1, RLENGTH) }
			else if (!sub(/[ \t]*:.*/, "", name)) name = ""
		}
		END { put() }' "$1"
}

# table FILE: "address target, target", as of virtual_alias_maps.
table() {
	if [ ! -f "$1" ] || [ ! -r "$1" ]; then
		say map-unreadable "$1"
		return
	fi
	awk -v file="$1" "$kinds_of"'
		function put() {
			if (name != "") printf "alias\t%s\t%d\t%s\t%s\n", file, line, name, kinds(text)
		}
		/^[ \t]*(#|$)/ { next }
		/^[ \t]/ { text = text " " $0; next }
		{ put(); name = $1; line = FNR; text = $0; sub(/^[^ \t]+/, "", text) }
		END { put() }' "$1"
}

# file_of WORD: the source of a map such as hash:/etc/aliases; nothing for others.
file_of() {
	case $1 in
	hash:/* | btree:/* | dbm:/* | lmdb:/* | cdb:/* | texthash:/* | implicit:/*) echo "${1#*:}" ;;
	/*) echo "$1" ;;
	esac
}

[ ! -x "$(command -v sendmail 2>/dev/null)" ] || say sendmail-program "$(readlink -f "$(command -v sendmail)")"

if has postconf; then
	say server postfix
	directory=$(postconf -h config_directory 2>/dev/null)
	# What an older Postfix does not know, it only warns of.
	settings=$(postconf home_mailbox mail_spool_directory mailbox_command mailbox_command_maps mailbox_transport mailbox_transport_maps local_transport \
		alias_maps virtual_alias_maps virtual_mailbox_domains virtual_mailbox_maps virtual_mailbox_base virtual_uid_maps virtual_gid_maps virtual_transport \
		mydestination virtual_alias_domains myhostname mydomain 2>/dev/null |
		sed "s#\$config_directory\|\${config_directory}#$directory#g; s/:{.*}/:{}/")
	# Of a command only the program is told, of a map that holds its entries itself
	# only its kind: the rest may be anything.
	printf '%s\n' "$settings" | sed -n "s/^mailbox_command = *\([^[:blank:]]*\).*/postfix${tab}mailbox_command$tab\1/p
		/^mailbox_command = /!s/^\([a-z_]*\) = *\(.*\)/postfix$tab\1$tab\2/p"
	value() { printf '%s\n' "$settings" | sed -n "s/^$1 = *//p"; }
	for word in $(words "$(value alias_maps)"); do
		file=$(file_of "$word")
		[ -z "$file" ] || aliases "$file"
	done
	for word in $(words "$(value virtual_alias_maps)"); do
		file=$(file_of "$word")
		[ -z "$file" ] || table "$file"
	done
	for word in $(words "$(value virtual_mailbox_maps)"); do
		file=$(file_of "$word")
		[ -n "$file" ] || continue
		if [ -r "$file" ]; then
			say map "$file" "$(grep -c '^[^#[:space:]]' "$file")"
		else
			say map-unreadable "$file"
		fi
	done
fi

for exim in exim4 exim; do
	has "$exim" || continue
	say server exim
	# A lookup's query and a command's arguments are not told.
	for what in router transport; do
		"$exim" -bP "${what}s" 2>/dev/null | awk -v what="$what" '
			/ (router|transport):$/ { name = $1; next }
			/^(no_)?(check_local_user|maildir_format|mailstore_format)$/ { printf "exim\t%s\t%s\t%s\t\n", what, name, $1; next }
			/^(driver|transport|local_part_prefix|local_part_suffix|file|directory|socket) = ./ {
				value = substr($0, index($0, "=") + 2)
				if (value ~ /lookup/) value = "${lookup}"
				gsub(/\t/, " ", value)
				printf "exim\t%s\t%s\t%s\t%s\n", what, name, $1, value; next
			}
			/^(require_files|condition) = ./ { printf "exim\t%s\t%s\t%s\tyes\n", what, name, $1; next }
			/^command = ./ { printf "exim\t%s\t%s\tcommand\t%s\n", what, name, $3; next }
			/^data = ./ {
				if (match($0, /lsearch[*@]*[{]\/[^}]*}/)) {
					file = substr($0, RSTART, RLENGTH); sub(/^[^{]*[{]/, "", file); sub(/}$/, "", file)
					printf "exim\t%s\t%s\taliases\t%s\n", what, name, file
				} else if ($0 ~ /lookup/) printf "exim\t%s\t%s\tlookup\t\n", what, name
			}'
	done
	"$exim" -bP routers 2>/dev/null | sed -n 's/^data = .*lsearch[*@]*{\(\/[^}]*\)}.*/\1/p' | sort -u | while IFS= read -r file; do
		[ ! -e "$file" ] || aliases "$file"
	done
	break
done

cf=$etc/mail/sendmail.cf
if [ -f "$cf" ] && has sendmail && ! has postconf && ! has exim4 && ! has exim; then
	say server sendmail
	awk -v file="$cf" '
		/^Mlocal,/ { line = FNR; text = $0; next }
		/^[ \t]/ && line && !done { text = text " " $0; next }
		{ if (line) done = 1 }
		/^O AliasFile=/ { printf "sendmail\taliases\t%s\t%s:%d\n", substr($0, 13), file, FNR }
		/^Kvirtuser / { for (i = 2; i <= NF; i++) if ($i ~ /^\//) printf "sendmail\tvirtuser\t%s\t%s:%d\n", $i, file, FNR }
		END {
			if (!line) exit
			program = ""
			if (match(text, /[, \t]P=[^, \t]*/)) program = substr(text, RSTART + 3, RLENGTH - 3)
			printf "sendmail\tlocal\t%s\t%s:%d\n", program, file, line
		}' "$cf"
	for word in $(words "$(sed -n 's/^O AliasFile=//p' "$cf")"); do
		case $word in /* | *:/*) aliases "/${word#*/}" ;; esac
	done
	sed -n 's/^Kvirtuser .*[[:blank:]]\(\/[^[:blank:]]*\).*/\1/p' "$cf" | while IFS= read -r file; do
		[ ! -f "$file" ] || table "$file"
	done
fi
if has smtpctl; then say server opensmtpd; fi
if [ -d /var/qmail/control ]; then say server qmail; fi
if [ -d "$etc/courier" ]; then say other Courier; fi
if [ -f "$etc/cyrus.conf" ]; then say other Cyrus; fi

# procmail's own file counts for all users where the mail server calls it.
if [ -r "$etc/procmailrc" ]; then
	awk -v file="$etc/procmailrc" '
		/^[ \t]*:0/ { if (!recipes++) printf "procmail\trecipes\t\t%s:%d\n", file, FNR }
		recipes { next }
		/^[ \t]*(DEFAULT|MAILDIR|ORGMAIL|INCLUDERC|SWITCHRC)[ \t]*=/ {
			text = $0; sub(/^[ \t]+/, "", text); at = index(text, "=")
			key = substr(text, 1, at - 1); value = substr(text, at + 1)
			sub(/[ \t]+$/, "", key); gsub(/^[ \t"]+|[ \t"]+$/, "", value); sub(/[ \t]+#.*/, "", value); gsub(/\t/, " ", value)
			printf "procmail\t%s\t%s\t%s:%d\n", key, value, file, FNR
		}' "$etc/procmailrc"
fi
