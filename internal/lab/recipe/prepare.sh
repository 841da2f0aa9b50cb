#!/bin/sh
# Gives a host what it has of its own, before it boots for the first time.
#
#   prepare.sh SEED ROOT NAME
#
# SEED has ssh_host_*_key(.pub), authorized_keys, hosts and machine-id.
set -eu
seed=$1 root=$2 name=$3
fqdn=$name.example.test

cp "$seed"/ssh_host_* "$root/etc/ssh/"
chmod 600 "$root"/etc/ssh/ssh_host_*_key
for file in "$root"/root/.ssh/authorized_keys "$root"/home/*/.ssh/authorized_keys; do
	cat "$seed/authorized_keys" >"$file"
done
cat "$seed/hosts" >"$root/etc/hosts"
cat "$seed/machine-id" >"$root/etc/machine-id"
printf '%s\n' "$name" >"$root/etc/hostname"

# Whoever asks a service can tell from the answer which host it was.
if [ -d "$root/etc/dovecot" ]; then
	printf 'login_greeting = %s ready\n' "$fqdn" >"$root/etc/dovecot/conf.d/99-greeting.conf"
fi
if [ -d "$root/etc/apache2" ]; then
	printf 'ServerName %s\nHeader always set X-Served-By "%s"\n' "$fqdn" "$name" >"$root/etc/apache2/conf-available/served-by.conf"
	ln -s ../conf-available/served-by.conf "$root/etc/apache2/conf-enabled/served-by.conf"
fi
if [ -d "$root/etc/nginx" ]; then
	printf 'add_header X-Served-By "%s" always;\n' "$name" >"$root/etc/nginx/conf.d/served-by.conf"
fi
if [ -e "$root/etc/vsftpd.conf" ]; then
	printf 'ftpd_banner=%s ready\n' "$fqdn" >>"$root/etc/vsftpd.conf"
fi
if [ -e "$root/etc/mail/sendmail.cf" ]; then
	# The load average that Sendmail goes by is that of the whole machine below, which tests keep busy.
	sed -i 's/^#\{0,1\}O \(QueueLA\|RefuseLA\|DelayLA\)=.*/O \1=1000000/' "$root/etc/mail/sendmail.cf"
fi
