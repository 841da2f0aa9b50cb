# Prints the sites that Apache itself has found in its files, if it can say. It
# is not asked by way of apache2ctl, which makes directories for a server that
# does not run.
#   $1  directory of the configuration
set +u
# shellcheck disable=SC1091 # Debian's file of variables
[ ! -f "$1/envvars" ] || . "$1/envvars"
for binary in /usr/sbin/apache2 /usr/sbin/httpd; do
	if [ -x "$binary" ]; then
		exec "$binary" -t -D DUMP_VHOSTS 2>&1 </dev/null
	fi
done
