# Says what of this host a lock of logins has to do with, and changes nothing.
#   $1 the login that the provider uses
#   then files whose content is wanted
# Standard input: "user NAME" and "group NAME", one a line.
set -u
login=$1
shift

file() { # PATH
	if [ -f "$1" ]; then
		echo "file $1 $(base64 <"$1" | tr -d '\n')"
	elif [ ! -e "$1" ]; then
		echo "none $1"
	else
		echo "$1 is no file" >&2
		exit 1
	fi
}

# setting FILE KEY: the last value of a "key=value" file.
setting() { sed -n "s/^[[:blank:]]*$2[[:blank:]]*=[[:blank:]]*//p" "$1" 2>/dev/null | tail -n 1 | tr -d '[:blank:]'; }

# switched FILE KEY: on, off, or what it says otherwise. vsftpd reads YES, TRUE and 1
# without regard to case, and so NO, FALSE and 0 (its parseconf.c).
switched() {
	value=$(setting "$1" "$2" | tr '[:lower:]' '[:upper:]')
	case $value in
	YES | TRUE | 1) echo on ;;
	NO | FALSE | 0) echo off ;;
	*) echo "$value" ;;
	esac
}

for path in "$@"; do file "$path"; done

# Accounts that must be able to log in: ours, root, and those of tunnels.
for name in root "$login" $(getent passwd | sed -n 's/^\(cutover-[a-z0-9-]*\):.*/\1/p'); do
	echo "own $name $(id -Gn "$name" 2>/dev/null)"
done

while read -r kind name; do
	entry=$(getent "$([ "$kind" = user ] && echo passwd || echo group)" "$name" </dev/null)
	code=$?
	if [ "$code" -eq 2 ]; then
		echo "no-$kind $name"
	elif [ "$code" -ne 0 ]; then
		echo "getent for the $kind $name ended with exit code $code" >&2
		exit 1
	elif [ "$kind" = user ]; then
		echo "user $name $(printf '%s\n' "$entry" | cut -d: -f3)"
	else
		gid=$(printf '%s\n' "$entry" | cut -d: -f3)
		echo "group $name $(printf '%s\n' "$entry" | cut -d: -f4 | tr , ' ') $(getent passwd | awk -F: -v gid="$gid" '$4 == gid { print $1 }' | tr '\n' ' ')"
	fi
done

list() { # KIND FILE
	echo "$1 $2"
	file "$2"
}

# Where FTP servers look up who may not log in. pam_listfile(8): item, sense, file.
denied_by_pam() { # SERVICE
	[ -f "/etc/pam.d/$1" ] || return 1
	lists=$(awk '!/^[[:blank:]]*#/ && /pam_listfile\.so/ && /item=user/ && /sense=deny/ {
		for (i = 1; i <= NF; i++) if (sub(/^file=/, "", $i)) print $i
	}' "/etc/pam.d/$1")
	[ -n "$lists" ] || return 1
	for list in $lists; do list deny "$list"; done
}

if command -v vsftpd >/dev/null 2>&1; then
	conf=/etc/vsftpd.conf
	[ -f "$conf" ] || conf=/etc/vsftpd/vsftpd.conf
	service=$(setting "$conf" pam_service_name)
	shut=
	if denied_by_pam "${service:-ftp}"; then shut=1; fi
	case $(switched "$conf" userlist_enable) in
	on)
		list=$(setting "$conf" userlist_file)
		if [ -z "$list" ]; then
			list=/etc/vsftpd.user_list
			[ "$conf" = /etc/vsftpd.conf ] || list=/etc/vsftpd/user_list
		fi
		case $(switched "$conf" userlist_deny) in
		off) list allow "$list" ;;
		*) list deny "$list" ;;
		esac
		shut=1
		;;
	esac
	[ -n "$shut" ] || echo "open vsftpd $conf"
fi
if command -v proftpd >/dev/null 2>&1; then
	conf=/etc/proftpd/proftpd.conf
	[ -f "$conf" ] || conf=/etc/proftpd.conf
	settings=$(cat "$conf" "${conf%/*}"/conf.d/*.conf 2>/dev/null)
	if ! printf '%s\n' "$settings" | grep -qi '^[[:blank:]]*UseFtpUsers[[:blank:]]\{1,\}"\{0,1\}\(off\|no\|false\|0\)'; then
		list deny /etc/ftpusers
	elif ! printf '%s\n' "$settings" | grep -qi '^[[:blank:]]*AuthOrder[[:blank:]]\{1,\}mod_auth_pam\.c\*' || ! denied_by_pam proftpd; then
		# Whom PAM refuses, ProFTPD looks up in /etc/shadow, unless PAM has the
		# last word: the star (proftpd.org/docs/modules/mod_core.html#AuthOrder).
		echo "open proftpd $conf"
	fi
fi
if command -v pure-ftpd >/dev/null 2>&1 && ! denied_by_pam pure-ftpd; then
	echo 'open pure-ftpd /etc/pam.d/pure-ftpd'
fi
[ ! -f /etc/ftpusers ] || list deny /etc/ftpusers
echo end
