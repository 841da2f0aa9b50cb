# What a machine is and what runs on it, in one round trip. It only reads.
#
# Prints lines of a word, a tab and a value; for what is not there, nothing.
# Listening sockets come as the tool prints them, behind its name. Exit code 0.
set -u
tab=$(printf '\t')
say() {
	[ -z "$2" ] || printf '%s\t%s\n' "$1" "$2"
}
has() {
	command -v "$1" >/dev/null 2>&1
}
# after MARK: the word that follows MARK, where it stands first on standard input.
after() {
	sed -n "s,.*$1\([^ ;)]*\).*,\1,p" | head -n 1
}

if [ -r /etc/os-release ]; then
	(
		# shellcheck disable=SC1091 # a file of the host
		. /etc/os-release
		say os_id "${ID-}"
		say os_version "${VERSION_ID-}"
		say os_name "${PRETTY_NAME-}"
	)
elif [ -f /etc/debian_version ]; then
	say os_id debian
	say os_version "$(cat /etc/debian_version)"
	say os_name "Debian GNU/Linux $(cat /etc/debian_version)"
elif [ -f /etc/redhat-release ]; then
	say os_id rhel
	say os_version "$(sed -n 's/.*release \([0-9.]*\).*/\1/p' /etc/redhat-release)"
	say os_name "$(head -n 1 /etc/redhat-release)"
elif [ -r /etc/lsb-release ]; then
	(
		# shellcheck disable=SC1091 # a file of the host
		. /etc/lsb-release
		say os_id "$(echo "${DISTRIB_ID-}" | tr '[:upper:]' '[:lower:]')"
		say os_version "${DISTRIB_RELEASE-}"
		say os_name "${DISTRIB_DESCRIPTION-}"
	)
fi
# A point release stands only here; a name, as of a testing system, says nothing more.
if [ -f /etc/debian_version ]; then
	case $(cat /etc/debian_version) in [0-9]*) say debian_version "$(cat /etc/debian_version)" ;; esac
fi
say kernel "$(uname -r)"
say architecture "$(uname -m)"
say hostname "$(uname -n)"
if [ -d /run/systemd/system ]; then
	say init systemd
elif [ -d /run/openrc ] || [ -d /lib/rc/init.d ]; then
	say init openrc
else
	say init sysv
fi

if has sshd; then say sshd "$(sshd -V 2>&1 </dev/null | after OpenSSH_ | sed 's/,$//')"; fi
if has rsync; then say rsync "$(rsync --version 2>/dev/null | after 'rsync  *version ')"; fi
for apache in apache2 httpd; do
	if has "$apache"; then
		say apache "$("$apache" -v 2>/dev/null | after Apache/)"
		break
	fi
done
if has nginx; then say nginx "$(nginx -v 2>&1 | after nginx/)"; fi
if has dovecot; then say dovecot "$(dovecot --version 2>/dev/null | cut -d' ' -f1)"; fi

# Several may be installed; who listens on port 25 decides.
if has postconf; then say mta "postfix $(postconf -h mail_version 2>/dev/null)"; fi
for exim in exim4 exim; do
	if has "$exim"; then
		say mta "exim $("$exim" -bV 2>/dev/null | after 'Exim version ')"
		break
	fi
done
if has smtpctl; then say mta "opensmtpd $(smtpd -h 2>&1 | after 'OpenSMTPD ')"; fi
if [ -f /etc/mail/sendmail.cf ] && has sendmail && ! has postconf; then
	say mta "sendmail $(sendmail -bt -d0.1 2>/dev/null </dev/null | after 'Version ')"
fi
for tool in nft iptables; do
	if has "$tool"; then
		say firewall "$tool"
		break
	fi
done

# Each family by itself: "*:22" is IPv6's as well to ss of today, and IPv4's alone
# to that of iproute2 before 4.18, which writes ":::22" for the other.
if has ss && sockets=$(ss -4ltnp 2>/dev/null) && [ -n "$sockets" ]; then
	printf '%s\n' "$sockets" | sed "s/^/ss4$tab/"
	ss -6ltnp 2>/dev/null | sed "s/^/ss6$tab/"
elif has netstat && sockets=$(netstat -ltnp 2>/dev/null) && [ -n "$sockets" ]; then
	printf '%s\n' "$sockets" | sed "s/^/netstat$tab/"
else
	# State 0A is LISTEN (include/net/tcp_states.h of the kernel).
	cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '$4 == "0A" { print "proc\t" $2 "\t" $10 }'
	for process in /proc/[0-9]*; do
		if read -r stat 2>/dev/null <"$process/stat"; then
			name=${stat#*"("}
			printf 'process\t%s\t%s\n' "${process#/proc/}" "${name%")"*}"
		fi
	done
	# shellcheck disable=SC2012 # the names are numbers
	ls -l /proc/[0-9]*/fd 2>/dev/null | awk '
		/^\/proc\// { split($1, part, "/"); pid = part[3] }
		$NF ~ /^socket:/ { inode = $NF; gsub(/[^0-9]/, "", inode); print "socket\t" inode "\t" pid }'
fi
exit 0
