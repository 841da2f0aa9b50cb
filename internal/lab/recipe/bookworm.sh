# Debian 12 with systemd, Postfix, nginx and Dovecot 2.3.
cat >/etc/dovecot/conf.d/99-site.conf <<'DOVECOT'
mail_location = maildir:~/mail
disable_plaintext_auth = no
service auth {
  unix_listener /var/spool/postfix/private/auth {
    mode = 0660
    user = postfix
    group = postfix
  }
}
DOVECOT
systemctl enable ssh postfix nginx dovecot nftables
systemctl disable unbound # a test starts it, as a resolver
systemctl mask getty@tty1.service console-getty.service apt-daily.timer apt-daily-upgrade.timer \
	dpkg-db-backup.timer e2scrub_all.timer fstrim.timer man-db.timer logrotate.timer
