#!/bin/sh
# Keeps one host of a lab: mounts its root, boots it, and boots it again when it reboots.
#
#   guest.sh DIR CGROUP MACHINE HOSTNAME BASE
#
# Runs in mount and network namespaces of its own, so that no mount of it ever shows on the machine and all of
# them vanish with it. DIR has upper, work, root and seed. It waits for a line on standard input: by then its
# network is there.
set -eu
dir=$1 cgroup=$2 machine=$3 name=$4 base=$5

read -r _

# systemd in the guest notices the end of a service only in a pure cgroup v2 hierarchy.
umount -R /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 none /sys/fs/cgroup
cg=/sys/fs/cgroup/$cgroup
mkdir -p "$cg/keeper" "$cg/box"
echo $$ >"$cg/keeper/cgroup.procs"
# systemd-nspawn leaves directories in /run that would outlive it.
mount -t tmpfs tmpfs /run

tun=
if [ -c /dev/net/tun ]; then
	tun=--bind=/dev/net/tun
fi

status=133
while [ "$status" = 133 ]; do
	# Mounted anew for each boot: the guest's shutdown leaves its root read-only.
	mount -t overlay "$machine" -o "lowerdir=$base,upperdir=$dir/upper,workdir=$dir/work" "$dir/root"
	if [ -d "$dir/seed" ]; then
		sh "$dir/seed/prepare.sh" "$dir/seed" "$dir/root" "$name"
		rm -rf "$dir/seed"
	fi
	status=0
	# shellcheck disable=SC2016,SC2086 # the inner shell expands; no device is no argument
	env SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_NSPAWN_API_VFS_WRITABLE=network \
		sh -c 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"' sh "$cg/box" \
		systemd-nspawn --quiet --directory="$dir/root" --machine="$machine" --hostname="$name" --register=no --keep-unit \
		--resolv-conf=off --timezone=off --link-journal=no --capability=CAP_NET_ADMIN $tun --boot </dev/null || status=$?
	echo "lab: systemd-nspawn ended with status $status"
	umount -R "$dir/root" 2>/dev/null || umount -l "$dir/root"
done
exit "$status"
