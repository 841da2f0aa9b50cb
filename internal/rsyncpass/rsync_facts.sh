# What rsync is here, in lines as the surveys print them; goes before both.
#
# "fixed" are the vulnerabilities that its package says to have mended, which its
# version does not tell.
rsync_facts() {
	command -v rsync >/dev/null 2>&1 || return 0
	rsync --version 2>/dev/null | sed 's/^/rsync	/'
	{
		if [ -r /usr/share/doc/rsync/changelog.Debian.gz ]; then
			gzip -dc /usr/share/doc/rsync/changelog.Debian.gz
		elif command -v rpm >/dev/null 2>&1; then
			rpm -q --changelog rsync
		fi
	} 2>/dev/null | grep -o 'CVE-[0-9]*-[0-9]*' | sort -u | sed 's/^/fixed	/'
}
