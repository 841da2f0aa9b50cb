# As the new host, with nginx in Apache's place (which is there, but off), PHP-FPM and ProFTPD, and nobody on it but
# those who look after it.
userdel -r doasuser
userdel -r doasfree
groupdel doas
rm /etc/doas.conf
systemctl disable apache2
systemctl enable nginx php8.4-fpm proftpd
