#!/bin/sh
# Gives what serves on this host a key with its certificate.
#
#   tls.sh NAME < PEM
set -eu
umask 077
name=$1
mkdir -p /etc/ssl/lab
pem=/etc/ssl/lab/$name.pem
cat >"$pem"
chmod 711 /etc/ssl/lab

if [ -d /etc/nginx ]; then
	cat >"/etc/nginx/sites-enabled/$name-tls" <<SITE
server {
	listen 443 ssl;
	listen [::]:443 ssl;
	server_name $name;
	ssl_certificate $pem;
	ssl_certificate_key $pem;
	return 200 "$name\n";
}
SITE
	nginx -t 2>/dev/null
	service nginx reload
elif [ -d /etc/apache2 ]; then
	a2enmod -q ssl
	cat >"/etc/apache2/sites-enabled/$name-tls.conf" <<SITE
<VirtualHost *:443>
	ServerName $name
	DocumentRoot /var/www/html
	SSLEngine on
	SSLCertificateFile $pem
	SSLCertificateKeyFile $pem
</VirtualHost>
SITE
	apache2ctl configtest 2>/dev/null
	service apache2 restart
fi
if command -v postconf >/dev/null; then
	postconf -e "smtpd_tls_cert_file=$pem" "smtpd_tls_key_file=$pem" smtpd_tls_security_level=may
	postfix reload 2>/dev/null
elif command -v exim4 >/dev/null; then
	install -m 640 -g Debian-exim "$pem" /etc/exim4/lab.pem
	printf 'MAIN_TLS_ENABLE = yes\nMAIN_TLS_CERTIFICATE = /etc/exim4/lab.pem\nMAIN_TLS_PRIVATEKEY = /etc/exim4/lab.pem\n' >/etc/exim4/exim4.conf.localmacros
	update-exim4.conf
	service exim4 restart
fi
if command -v dovecot >/dev/null; then
	case $(dovecot --version) in
	2.4*) printf 'ssl = yes\nssl_server_cert_file = %s\nssl_server_key_file = %s\n' "$pem" "$pem" ;;
	*) printf 'ssl = yes\nssl_cert = <%s\nssl_key = <%s\n' "$pem" "$pem" ;;
	esac >/etc/dovecot/conf.d/99-zz-tls.conf
	service dovecot restart
fi
