# What of a host only the audit asks for, in one round trip. It only reads.
#
# Standard input has a path in a line, behind a word: "home", "maildir" (the root of
# somebody's Maildirs), "control" (where Dovecot keeps their numbers), "spool" (a mailbox
# in one file), "dot" (a file whose sum is wanted).
#
# Prints lines of a word and its values with tabs between, and "end" at the last:
#
#   home PATH MODE USER GROUP; amount PATH FILES BYTES
#   folder ROOT FOLDER MESSAGES; uidlist FILE:HEADER; spool FILE:MESSAGES
#   text KIND FILE, and behind it the file's lines with "| " in front; sum MD5 FILE
#   conffile FILE MD5               as the package had it
#   package NAME                    is installed, and a file of jobs has its name
#   at N                            jobs that wait for their time
#   zone NAME WINTER SUMMER         the time zone, and its distance from UTC
#   boot NAME                       is started by a System V or OpenRC init
#   unit NAME STATE                 systemd's list
#   renews PROGRAM NAME; database KIND NAME
#   find: ..., grep: ...            what could not be read, in the tool's words
#
# Exit code 0.
set -u
LC_ALL=C
export LC_ALL
input=$(cat)
has() {
	command -v "$1" >/dev/null 2>&1
}

# paths WORD: those of that word, each ended by a NUL.
paths() {
	printf '%s\n' "$input" | sed -n "s/^$1 //p" | tr '\n' '\0'
}

# texts KIND FILE...: what is in files that are there.
texts() {
	kind=$1
	shift
	for file; do
		shift
		if [ -f "$file" ] && [ -r "$file" ]; then set -- "$@" "$file"; fi
	done
	[ $# -gt 0 ] || return 0
	awk -v kind="$kind" 'FNR == 1 { printf "text\t%s\t%s\n", kind, FILENAME } { print "| " $0 }' "$@"
	md5sum "$@" | sed 's/^/sum	/'
}

# Messages of find and grep come in front of what awk prints at its end.
{
	paths home | xargs -0 -r sh -c 'find -H "$@" -maxdepth 0 -type d -printf "home\t%H\t%m\t%u\t%g\n"' sh 2>/dev/null
	paths home | xargs -0 -r sh -c 'find -H "$@" -xdev ! -type d -printf "%H\t%y\t%s\n"' sh 2>&3 | awk -F '\t' '
		{ files[$1]++; if ($2 == "f") bytes[$1] += $3 }
		END { for (each in files) printf "amount\t%s\t%.0f\t%.0f\n", each, files[each], bytes[each] }'
	paths maildir | xargs -0 -r sh -c 'find -H "$@" -xdev \( -type d -name cur -o -type f \( -path "*/cur/*" -o -path "*/new/*" \) \) -printf "%y\t%H\t%P\n"' sh 2>&3 | awk -F '\t' '
		$1 == "f" && !sub(/\/[^\/]*$/, "", $3) { next }
		{
			if ($3 == "cur" || $3 == "new") folder = ""
			else if (sub(/\/(cur|new)$/, "", $3)) folder = $3
			else next
			count[$2 "\t" folder] += $1 == "f"
		}
		END { for (each in count) printf "folder\t%s\t%.0f\n", each, count[each] }'
	{
		paths maildir
		paths control
	} | xargs -0 -r sh -c 'find -H "$@" -xdev -type f -name dovecot-uidlist -exec grep -H -m 1 "^[0-9]* V" {} +' sh 2>/dev/null | sed 's/^/uidlist	/'
	paths spool | xargs -0 -r grep -c -H '^From ' 2>&3 | sed 's/^/spool	/'
	paths dot | xargs -0 -r md5sum 2>&3 | sed 's/^/sum	/'
} 3>&1

texts cron /etc/crontab /etc/anacrontab /etc/cron.d/* /etc/cron.hourly/* /etc/cron.daily/* /etc/cron.weekly/* /etc/cron.monthly/* \
	/var/spool/cron/crontabs/* /var/spool/cron/tabs/* /var/spool/cron/[!.]* /etc/systemd/system/*.timer
texts sudo /etc/sudoers /etc/sudoers.d/* /etc/doas.conf /usr/local/etc/doas.conf
if has dpkg-query; then
	# shellcheck disable=SC2016 # dpkg-query's own
	dpkg-query -W -f '${Conffiles}\n' | awk -v OFS='\t' '$1 ~ /^\/etc\/(cron|anacrontab|sudoers|doas)/ { print "conffile", $1, $2 }'
fi
if has dpkg-query; then
	set --
	for file in /etc/cron.d/* /etc/cron.hourly/* /etc/cron.daily/* /etc/cron.weekly/* /etc/cron.monthly/*; do
		name=${file##*/}
		case $name in *[!a-z0-9.+-]*) ;; *) set -- "$@" "$name" ;; esac
	done
	[ $# -eq 0 ] || dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^.i *\(.*\)/package	\1/p'
fi
at=0
for job in /var/spool/cron/atjobs/[!.]* /var/spool/at/[a-z]0*; do
	if [ -f "$job" ]; then at=$((at + 1)); fi
done
printf 'at\t%s\n' "$at"

zone=$(readlink -f /etc/localtime) || zone=
case $zone in
*/zoneinfo/*) zone=${zone#*/zoneinfo/} ;;
*) zone=$(cat /etc/timezone 2>/dev/null) ;;
esac
# The first of January and of July 2026.
printf 'zone\t%s\t%s\t%s\n' "$zone" "$(date -d @1767225600 +%z)" "$(date -d @1782864000 +%z)"

for link in /etc/rc2.d/S* /etc/runlevels/default/*; do
	if [ -e "$link" ]; then
		name=${link##*/}
		case $link in /etc/rc2.d/*) name=${name#S[0-9][0-9]} ;; esac
		printf 'boot\t%s\n' "$name"
	fi
done
if [ -d /run/systemd/system ]; then
	systemctl list-unit-files --no-legend --no-pager | awk -v OFS='\t' '$1 ~ /\.(service|socket|timer|path)$/ { print "unit", $1, $2 }'
fi

# renews PROGRAM ENDING FILE...
renews() {
	program=$1 ending=$2
	shift 2
	for file; do
		if [ -e "$file" ]; then
			name=${file##*/}
			printf 'renews\t%s\t%s\n' "$program" "${name%"$ending"}"
		fi
	done
}
renews certbot .conf /etc/letsencrypt/renewal/*.conf
renews acme.sh .csr.conf /root/.acme.sh/*/*.csr.conf
renews dehydrated '' /var/lib/dehydrated/certs/* /etc/dehydrated/certs/*
renews lego .crt /var/lib/lego/certificates/*.crt /etc/lego/certificates/*.crt
renews mod_md '' /var/lib/apache2/md/domains/* /etc/apache2/md/domains/* /etc/httpd/state/md/domains/*

for directory in /var/lib/mysql/*/; do
	name=${directory%/}
	name=${name##*/}
	case $name in '*' | mysql | performance_schema | information_schema | sys | '#'* | lost+found) ;;
	*) printf 'database\tmysql\t%s\n' "$name" ;; esac
done
# The databases that somebody has made have numbers from 16384 on.
for base in /var/lib/postgresql/*/*/base /var/lib/pgsql/*/data/base /var/lib/pgsql/data/base; do
	for database in "$base"/*; do
		number=${database##*/}
		case $number in '' | *[!0-9]*) continue ;; esac
		if [ "$number" -ge 16384 ]; then
			printf 'database\tpostgresql\t%s\n' "${base%/base}"
			break
		fi
	done
done
# database KIND FILE...: one for each file that is there.
database() {
	kind=$1
	shift
	for file; do
		if [ -s "$file" ]; then printf 'database\t%s\t%s\n' "$kind" "${file%/*}"; fi
	done
}
database mongodb /var/lib/mongodb/WiredTiger /var/lib/mongo/WiredTiger
database redis /var/lib/redis/dump.rdb /var/lib/redis/appendonlydir /var/lib/valkey/dump.rdb
database openldap /var/lib/ldap/data.mdb /var/lib/ldap/*.bdb /var/lib/openldap/data.mdb
database couchdb /var/lib/couchdb/_dbs.couch
echo end
