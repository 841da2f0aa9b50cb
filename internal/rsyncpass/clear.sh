# Takes away from the new host what one pass needed while it ran. The log stays.
#
#   $1       chain
set -eu
for run in /run /var/run; do
	if [ -e "$run/cutover/pass-$1" ]; then
		rm -rf "$run/cutover/pass-$1"
	fi
	rmdir "$run/cutover" 2>/dev/null || :
done
