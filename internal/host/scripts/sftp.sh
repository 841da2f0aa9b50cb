# Becomes the SFTP server of OpenSSH, wherever the distribution puts it. It runs
# with root's rights where sudo gave them.
for server in /usr/lib/openssh/sftp-server /usr/libexec/openssh/sftp-server \
	/usr/lib/ssh/sftp-server /usr/libexec/sftp-server /usr/local/libexec/sftp-server; do
	if [ -x "$server" ]; then exec "$server"; fi
done
echo 'no sftp-server found' >&2
exit 127
