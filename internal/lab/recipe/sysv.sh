# Debian 11 with sysvinit, Sendmail and procmail, Apache, Dovecot 2.3, vsftpd and iptables.
a2enmod -q headers userdir
cat >/etc/dovecot/conf.d/99-site.conf <<'DOVECOT'
mail_location = maildir:~/mail
disable_plaintext_auth = no
DOVECOT

cat >/etc/mail/sendmail.mc <<'MC'
divert(0)dnl
define(`_USE_ETC_MAIL_')dnl
include(`/usr/share/sendmail/cf/m4/cf.m4')dnl
VERSIONID(`lab')dnl
OSTYPE(`debian')dnl
DOMAIN(`debian-mta')dnl
FEATURE(`no_default_msa')dnl
dnl The IPv6 sockets take IPv4 as well; a second socket for it could not be bound.
DAEMON_OPTIONS(`Family=inet6, Name=MTA, Port=smtp')dnl
DAEMON_OPTIONS(`Family=inet6, Name=MSP, Port=submission, Modifiers=E')dnl
define(`confPRIVACY_FLAGS', `needmailhelo,needexpnhelo,needvrfyhelo,restrictqrun,restrictexpand,nobodyreturn,authwarnings')dnl
define(`confSERVICE_SWITCH_FILE', `/etc/mail/service.switch')dnl
define(`confTO_IDENT', `0')dnl
define(`confMAX_DAEMON_CHILDREN', `100')dnl
define(`PROCMAIL_MAILER_PATH', `/usr/bin/procmail')dnl
FEATURE(`use_cw_file')dnl
FEATURE(`access_db', , `skip')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`local_procmail')dnl
MAILER_DEFINITIONS
MAILER(`local')dnl
MAILER(`smtp')dnl
MC
# Without DNS, Sendmail would defer what it cannot look up: mail from any foreign domain. So neither it nor the C
# library asks.
printf 'passwd\tfiles\nhosts\tfiles\naliases\tfiles\n' >/etc/mail/service.switch
sed -i 's/^hosts:.*/hosts: files/' /etc/nsswitch.conf
printf 'localhost\nexample.test\n' >/etc/mail/local-host-names
install -d -o smmta -g smmsp -m 2750 /var/lib/sendmail/host_status
m4 /etc/mail/sendmail.mc >/etc/mail/sendmail.cf
make -C /etc/mail all
newaliases

cat >/etc/procmailrc <<'PROCMAIL'
DROPPRIVS=yes
MAILDIR=$HOME/mail
DEFAULT=$HOME/mail/
PROCMAIL

cat >>/etc/vsftpd.conf <<'VSFTPD'
write_enable=YES
chroot_local_user=NO
VSFTPD

# A container has no consoles for getty to respawn on, and no kernel log of its own.
sed -i 's/^[1-6]:.*getty/#&/' /etc/inittab
sed -i 's/^module(load="imklog".*/#&/' /etc/rsyslog.conf
