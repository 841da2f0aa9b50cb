# Debian 12 with systemd and Exim, and nothing else that serves: an old host whose mail queue is Exim's.
cat >/etc/exim4/update-exim4.conf.conf <<'EXIM'
dc_eximconfig_configtype='internet'
dc_other_hostnames='example.test'
dc_local_interfaces=''
dc_readhost=''
dc_relay_domains=''
dc_minimaldns='false'
dc_relay_nets=''
dc_smarthost=''
CFILEMODE='644'
dc_use_split_config='false'
dc_hide_mailname=''
dc_mailname_in_oh='true'
dc_localdelivery='maildir_home'
EXIM
echo example.test >/etc/mailname
printf 'postmaster: root\nmailer-daemon: postmaster\n' >/etc/aliases
update-exim4.conf
systemctl enable ssh exim4
systemctl mask getty@tty1.service console-getty.service apt-daily.timer apt-daily-upgrade.timer \
	dpkg-db-backup.timer e2scrub_all.timer fstrim.timer man-db.timer logrotate.timer exim4-base.timer
