# Debian 13 with systemd, Postfix, Apache and Dovecot 2.4.
a2enmod -q headers userdir
sed -i 's/^\(mail_inbox_path\|mail_driver\|mail_path\|mail_home\) *=/#&/' /etc/dovecot/conf.d/10-mail.conf
cat >/etc/dovecot/conf.d/99-site.conf <<'DOVECOT'
mail_driver = maildir
mail_path = ~/mail
auth_allow_cleartext = yes
service auth {
  unix_listener /var/spool/postfix/private/auth {
    mode = 0660
    user = postfix
    group = postfix
  }
}
DOVECOT

# opendoas: one group that must give a password, one user who need not.
groupadd doas
for user in doasuser doasfree; do
	useradd -m -s /bin/bash -c 'Lab doas user' "$user"
	printf '%s:%s-secret\n' "$user" "$user" | chpasswd
	mkdir -p "/home/$user/.ssh"
	chmod 700 "/home/$user/.ssh"
	: >"/home/$user/.ssh/authorized_keys"
	chmod 600 "/home/$user/.ssh/authorized_keys"
	chown -R "$user:$user" "/home/$user/.ssh"
done
usermod -aG doas doasuser
printf 'permit :doas\npermit nopass doasfree\n' >/etc/doas.conf
chmod 400 /etc/doas.conf

systemctl enable ssh postfix apache2 dovecot nftables
systemctl disable nsd # a test starts it, as the authoritative server of a zone
systemctl mask getty@tty1.service console-getty.service apt-daily.timer apt-daily-upgrade.timer \
	dpkg-db-backup.timer e2scrub_all.timer fstrim.timer man-db.timer logrotate.timer
