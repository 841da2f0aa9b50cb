#!/bin/sh
# Keeps the network namespace of a lab's client, and becomes the only process in it.
#
#   client.sh CGROUP BRIDGE LINK MAC ADDRESS4/LENGTH ADDRESS6/LENGTH
#
# Runs in a mount namespace of its own.
set -eu
cgroup=$1 bridge=$2 link=$3 mac=$4 address4=$5 address6=$6
umount -R /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 none /sys/fs/cgroup
mkdir -p "/sys/fs/cgroup/$cgroup"
echo $$ >"/sys/fs/cgroup/$cgroup/cgroup.procs"
mount -t tmpfs tmpfs /run

ip netns add client
ip link add "$link" type veth peer name eth0 address "$mac" netns client
ip link set "$link" master "$bridge" up
ip -netns client link set lo up
ip -netns client address add "$address4" dev eth0
ip -netns client address add "$address6" dev eth0 nodad
ip -netns client link set eth0 up
exec nsenter --net=/run/netns/client sleep 2147483647
