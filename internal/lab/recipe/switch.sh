#!/bin/sh
# Keeps the network namespace of a lab's bridge, and becomes the only process in it.
#
#   switch.sh CGROUP BRIDGE
#
# Runs in mount and network namespaces of its own. The bridge is not the machine's, because a machine with Docker
# passes what is bridged through its firewall, and drops it.
set -eu
cgroup=$1 bridge=$2
umount -R /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 none /sys/fs/cgroup
mkdir -p "/sys/fs/cgroup/$cgroup"
echo $$ >"/sys/fs/cgroup/$cgroup/cgroup.procs"

# No spanning tree and no snooping: a link that comes up forwards at once.
ip link add "$bridge" type bridge forward_delay 0 stp_state 0 mcast_snooping 0
ip link set lo up
ip link set "$bridge" up
exec sleep 2147483647
