# Runs the worker on this host, where the right one is there.
#
#   $1       directory in which it lies
#   $2       the SHA-256 of its builds: MACHINE=DIGEST, parted by blanks; MACHINE as uname -m says it
#   $3...    its arguments
#
# Exit code 69 (EX_UNAVAILABLE of sysexits.h): it is not there, or not as it should be;
# a line on stdout then says the machine, the kernel's release, and "kept" where there
# is anything else in the directory. Else the worker's.
set -u
directory=$1 digests=$2
shift 2
# One that is there was put for this machine: asking for its name is a process more.
for each in $digests; do
	digest=${each#*=}
	file=$directory/worker-${digest%????????????????????????????????????????????????}
	if [ -f "$file" ]; then
		there=$(sha256sum "$file")
		if [ "${there%% *}" = "$digest" ]; then exec "$file" "$@"; fi
	fi
done
kept=
for each in "$directory"/*; do
	if [ -e "$each" ]; then kept=kept; fi
done
echo "$(uname -m) $(uname -r) $kept"
exit 69
