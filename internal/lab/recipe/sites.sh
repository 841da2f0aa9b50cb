#!/bin/sh
# Web sites of users, in Apache or nginx: USER.example.test with ~/public_html, and www.example.test with ~/www
# of the first user.
#
#   sites.sh USER...
set -eu

# site NAME ROOT
site() {
	if [ -d /etc/apache2 ]; then
		cat >"/etc/apache2/sites-available/$1.conf" <<SITE
<VirtualHost *:80>
	ServerName $1
	DocumentRoot $2
	<Directory $2>
		Options SymLinksIfOwnerMatch
		Require all granted
	</Directory>
</VirtualHost>
SITE
		ln -sf "../sites-available/$1.conf" "/etc/apache2/sites-enabled/$1.conf"
	else
		cat >"/etc/nginx/sites-available/$1" <<SITE
server {
	listen 80;
	listen [::]:80;
	server_name $1;
	root $2;
}
SITE
		ln -sf "../sites-available/$1" "/etc/nginx/sites-enabled/$1"
	fi
}

site www.example.test "/home/$1/www"
for user in "$@"; do
	site "$user.example.test" "/home/$user/public_html"
done
if [ -d /etc/apache2 ]; then
	apache2ctl configtest
	service apache2 reload
else
	nginx -t
	service nginx reload
fi
