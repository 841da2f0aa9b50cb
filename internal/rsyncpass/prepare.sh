# Makes the directories that a pass writes to on the new host.
#
#   $@       target directories
#
# Prints the real name of each, a line each.
set -eu
mkdir -p /var/lib/cutover
for path; do
	parent=${path%/*}
	mkdir -p "${parent:-/}"
	# It gets its mode with the rest; until then what is in it is nobody's business.
	if [ ! -d "$path" ]; then (umask 077 && mkdir -p "$path"); fi
	cd -P "$path"
	pwd -P
done
