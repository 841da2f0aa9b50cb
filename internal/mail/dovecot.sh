# Dovecot: what doveconf prints of where mail and users are.
#
#   dovecot VERSION; dovecot-broken PLACE; dovecot-old VERSION
#   set BLOCK KEY VALUE       BLOCK is "" or such as "namespace inbox"
#   users passdb|userdb NUMBER KEY VALUE
#   passwd-file PATH ACCOUNTS UID GID HOMES PLACES; passwd-file-unreadable PATH
#   layout-line FILE:LINE VALUE; unclear TEXT
etc=$1
tab=$(printf '\t')

# settings reads doveconf -n. Of passdb and userdb it keeps the driver, the file of
# accounts, and where mail is: what else they say may be a password or a query.
settings() {
	# shellcheck disable=SC2016 # the dollars are awk's
	awk '
	function put(key, value) { printf "users\t%s\t%d\t%s\t%s\n", kind, number, key, value }
	function fields(text,   n, i, word) {
		if (kind != "userdb") return
		n = split(text, word, " ")
		for (i = 1; i <= n; i++)
			if (word[i] ~ /^(uid|gid|home|mail)=/) put(substr(word[i], 1, index(word[i], "=") - 1), substr(word[i], index(word[i], "=") + 1))
	}
	function close_users(   n, word) {
		if (driver == "") driver = name
		put("driver", driver)
		if (driver == "passwd-file" && file == "" && args != "") {
			n = split(args, word, " ")
			if (word[n] ~ /^\//) file = word[n]
		}
		# A list of those who are refused, or of masters, is none of users.
		if (driver == "passwd-file" && file != "" && !aside) put("file", file)
		if (driver == "static" || driver == "passwd-file" || driver == "passwd") fields(args)
	}
	/^[ \t]*#/ || !NF { next }
	{ sub(/^[ \t]+/, ""); sub(/[ \t]+$/, "") }
	/[{]$/ {
		block[++depth] = substr($0, 1, length($0) - 1)
		sub(/[ \t]+$/, "", block[depth])
		if (depth == 1 && $1 ~ /^(passdb|userdb)$/) {
			kind = $1; number++; driver = file = args = ""; aside = 0
			name = $2 == "{" ? "" : $2
		}
		if (depth > 1 && $1 == "userdb") {
			at = block[1]
			for (i = 2; i < depth; i++) at = at " / " block[i]
			gsub(/\t/, " ", at)
			printf "unclear\tDovecot: %s has a userdb of its own, which was not read\n", at
		}
		# An empty block is one all the same.
		if (depth == 1 && $1 == "namespace") printf "set\t%s\t\t\n", block[1]
		next
	}
	/^}/ {
		if (depth == 1 && kind != "") { close_users(); kind = "" }
		depth--
		next
	}
	{
		at = index($0, "=")
		if (!at) next
		key = substr($0, 1, at - 1); value = substr($0, at + 1)
		gsub(/^[ \t]+|[ \t]+$/, "", key); gsub(/^[ \t]+|[ \t]+$/, "", value); gsub(/\t/, " ", value)
	}
	kind != "" && depth == 1 {
		if (key == "driver" || key == "passdb_driver" || key == "userdb_driver") driver = value
		else if ((key == "deny" || key == "master") && value == "yes") aside = 1
		else if (key == "args") args = value
		else if (key == "passwd_file_path") file = value
		else if (key == "default_fields" || key == "override_fields") fields(value)
		next
	}
	kind == "userdb" && depth == 2 && block[2] == "fields" && key ~ /^(uid|gid|home|mail|mail_driver|mail_path)$/ { put(key, value); next }
	kind != "" { next }
	key ~ /^(mail_location|mail_driver|mail_path|mail_inbox_path|mail_control_path|mail_index_path|mail_alt_path|mailbox_list_layout|mail_home|mail_uid|mail_gid)$/ ||
	key ~ /^(mailbox_directory_name|mailbox_root_directory_name|mailbox_subscriptions_filename|mailbox_list_utf8)$/ ||
	depth == 1 && block[1] ~ /^namespace/ && key ~ /^(inbox|prefix|separator|location|type|hidden|list|subscriptions|disabled)$/ {
		at = block[1]
		for (i = 2; i <= depth; i++) at = at " / " block[i]
		printf "set\t%s\t%s\t%s\n", depth ? at : "", key, value
	}'
}

# accounts FILE: those of a passwd-file, and what is the same for all of them.
accounts() {
	if [ ! -f "$1" ] || [ ! -r "$1" ]; then
		say passwd-file-unreadable "$1"
		return
	fi
	# shellcheck disable=SC2016 # the dollars are awk's
	awk -F: -v file="$1" '
		/^[ \t]*(#|$)/ { next }
		{
			n++
			if (n == 1) { uid = $3; gid = $4 }
			if ($3 != uid) uid = ""
			if ($4 != gid) gid = ""
			if ($6 != "") homes++
			if ($0 ~ /userdb_mail/) places++
		}
		END { printf "passwd-file\t%s\t%d\t%s\t%s\t%d\t%d\n", file, n, uid, gid, homes, places }' "$1"
}

if has doveconf; then
	say dovecot "$(dovecot --version 2>/dev/null | cut -d' ' -f1)"
	# A command substitution gives doveconf a pipe; 2.4 prints a file otherwise.
	if conf=$(doveconf -n 2>/dev/null); then
		found=$(printf '%s\n' "$conf" | settings)
		printf '%s\n' "$found"
		# A mailbox_list_layout of "fs" is also the default of drivers other than
		# maildir, so that doveconf 2.4 leaves it out; where it stands it counts.
		grep -n '^[[:blank:]]*mailbox_list_layout[[:blank:]]*=' "$etc/dovecot/dovecot.conf" "$etc/dovecot/local.conf" "$etc"/dovecot/conf.d/*.conf /dev/null 2>/dev/null |
			sed "s/^\([^:]*:[0-9]*\):[^=]*=[[:blank:]]*\([^[:blank:]]*\).*/layout-line$tab\1$tab\2/"
		printf '%s\n' "$found" | sed -n "s/^users${tab}[a-z]*${tab}[0-9]*${tab}file${tab}//p" | sort -u |
			while IFS= read -r file; do accounts "$file"; done
	else
		# The message may show the line; its place says enough.
		say dovecot-broken "$(doveconf -n 2>&1 >/dev/null | sed -n 's/.*configuration file \([^:]*\) line \([0-9]*\).*/\1:\2/p' | head -n 1)"
	fi
elif has dovecot; then
	say dovecot-old "$(dovecot --version 2>/dev/null | cut -d' ' -f1)"
fi
