# Postfix for example.test with Maildirs in ~/mail, and Dovecot's SASL for submission.
#
# mynetworks is empty on purpose: a relay on this host makes every client look like localhost, and mail for
# foreigners must not leave through it.
cat >/etc/postfix/main.cf <<'MAIN'
compatibility_level = 3.6
mydomain = example.test
myorigin = example.test
mydestination = example.test, $myhostname, localhost
mynetworks =
relayhost =
inet_interfaces = all
inet_protocols = all
home_mailbox = mail/
recipient_delimiter = +
mailbox_size_limit = 0
biff = no
append_dot_mydomain = no
smtpd_banner = $myhostname ESMTP Postfix
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
smtpd_sasl_security_options = noanonymous
smtpd_tls_security_level = none
alias_maps = hash:/etc/aliases
alias_database = hash:/etc/aliases
MAIN
cat >>/etc/postfix/master.cf <<'MASTER'
submission inet n       -       y       -       -       smtpd
  -o syslog_name=postfix/submission
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_client_restrictions=
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject_unauth_destination
MASTER
printf 'postmaster: root\nmailer-daemon: postmaster\n' >/etc/aliases
newaliases
postfix check # makes the directories of the queue
