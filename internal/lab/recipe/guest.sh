#!/bin/sh
# Keeps one host of a lab: mounts its root, boots it, and boots it again when it reboots.
#
#   guest.sh DIR CGROUP MACHINE HOSTNAME BASE BRIDGE LINK MAC ADDRESS4/LENGTH ADDRESS6/LENGTH
#
# Runs in a mount namespace of its own, so that no mount of it ever shows on the machine and all of them vanish
# with it. DIR has upper, work, root and seed. If it has a file named cut, the host's cable is pulled.
set -eu
dir=$1 cgroup=$2 machine=$3 name=$4 base=$5 bridge=$6 link=$7 mac=$8 address4=$9
shift 9
address6=$1

# systemd in the guest notices the end of a service only in a pure cgroup v2 hierarchy.
umount -R /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 none /sys/fs/cgroup
cg=/sys/fs/cgroup/$cgroup
mkdir -p "$cg/keeper" "$cg/box"
echo $$ >"$cg/keeper/cgroup.procs"
# systemd-nspawn and ip leave things in /run that would outlive us.
mount -t tmpfs tmpfs /run

tun=
if [ -c /dev/net/tun ]; then
	# Open to all users, as udev makes it on a host; here it may be root's own.
	mknod -m 666 /run/tun c 10 200
	tun=--bind=/run/tun:/dev/net/tun
fi

# plug makes a network namespace that knows nothing of the boot before: no rules, routes or devices. The MAC
# address stays, so that nobody on the bridge has to learn it anew. No default route: nothing leaves the lab.
plug() {
	ip netns add guest
	ip link add "$link" type veth peer name eth0 address "$mac" netns guest
	if [ -e "$dir/cut" ]; then
		ip link set "$link" master "$bridge" down
	else
		ip link set "$link" master "$bridge" up
	fi
	ip -netns guest link set lo up
	ip -netns guest address add "$address4" dev eth0
	ip -netns guest address add "$address6" dev eth0 nodad
	ip -netns guest link set eth0 up
}

status=133
while [ "$status" = 133 ]; do
	plug
	# Mounted anew for each boot: the guest's shutdown leaves its root read-only.
	mount -t overlay "$machine" -o "lowerdir=$base,upperdir=$dir/upper,workdir=$dir/work" "$dir/root"
	if [ -d "$dir/seed" ]; then
		sh "$dir/seed/prepare.sh" "$dir/seed" "$dir/root" "$name"
		rm -rf "$dir/seed"
	fi
	status=0
	# shellcheck disable=SC2016,SC2086 # the inner shell expands; no device is no argument
	env SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_NSPAWN_API_VFS_WRITABLE=network \
		sh -c 'echo $$ >"$1/cgroup.procs"; shift; exec nsenter --net=/run/netns/guest "$@"' sh "$cg/box" \
		systemd-nspawn --quiet --directory="$dir/root" --machine="$machine" --hostname="$name" --register=no --keep-unit \
		--resolv-conf=off --timezone=off --link-journal=no --capability=CAP_NET_ADMIN $tun --boot </dev/null || status=$?
	echo "lab: systemd-nspawn ended with status $status"
	umount -R "$dir/root" 2>/dev/null || umount -l "$dir/root"
	ip netns delete guest
	ip link delete "$link" 2>/dev/null || true # unless the kernel was quicker
done
exit "$status"
