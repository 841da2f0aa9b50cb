#!/bin/sh
# Sets up on either host what the load needs beside what the lab has: WebDAV below the first user's site, and mail
# that takes its time, and a mail server that many clients do not put off.
#
#   setup.sh USER
set -eu
user=$1

a2enmod -q dav dav_fs
cat >/etc/apache2/conf-available/load.conf <<DAV
DavLockDB \${APACHE_LOCK_DIR}/DavLock
<Directory /home/$user/www/dav>
	Dav On
	Require all granted
</Directory>
DAV
ln -sf ../conf-available/load.conf /etc/apache2/conf-enabled/load.conf
if [ -d /etc/mail ]; then
	# A filter that takes its time, as those against spam do: at any moment some message is accepted and not delivered.
	printf ':0fw\n| sleep 1 && cat\n' >"/home/$user/.procmailrc"
	chown "$user:" "/home/$user/.procmailrc"
	install -d -o www-data -g www-data "/home/$user/www/dav"
	# On a slow machine more than the lab's hundred clients are there at a time, and Sendmail would close its ports.
	sed -i 's/^O MaxDaemonChildren=.*/O MaxDaemonChildren=1000/' /etc/mail/sendmail.cf
	grep -q '^O MaxDaemonChildren=1000$' /etc/mail/sendmail.cf
	service sendmail restart
fi
if command -v postconf >/dev/null 2>&1; then
	# Through relays all clients have one address, and Postfix lets fifty of an address in at a time.
	postconf -e smtpd_client_connection_count_limit=0
	service postfix reload
fi
service apache2 restart
