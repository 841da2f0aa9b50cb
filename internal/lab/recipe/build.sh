#!/bin/sh
# Builds the base of one kind of lab host: a Debian suite, packages, and a setup script run in it.
#
#   build.sh TARGET SUITE INCLUDE PACKAGE... < SETUP
#
# TARGET is an empty directory, INCLUDE a comma-separated list for debootstrap, and SETUP runs in a chroot
# once the PACKAGEs are there. Must run in mount, PID and UTS namespaces of its own: nothing that it mounts
# or starts can outlive it, and it sets the host's name. CUTOVER_LAB_MIRROR names another archive than debootstrap's own.
set -eu
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
umask 022

target=$1
suite=$2
include=$3
shift 3

# The setup script is read first: debootstrap and apt share our standard input otherwise.
setup=$(cat)

echo "PROGRESS debootstrap $suite"
# shellcheck disable=SC2086 # no mirror must be no argument
debootstrap --variant=minbase --include="$include" "$suite" "$target" ${CUTOVER_LAB_MIRROR:-} </dev/null

mountpoint -q "$target/proc" || mount -t proc proc "$target/proc"

# No service starts while packages are installed.
printf '#!/bin/sh\nexit 101\n' >"$target/usr/sbin/policy-rc.d"
chmod 755 "$target/usr/sbin/policy-rc.d"
echo force-unsafe-io >"$target/etc/dpkg/dpkg.cfg.d/lab-build"

# How this machine reaches the archive (a proxy, its certificates, clock checks), for the build alone.
apt-config dump | grep -E '^Acquire::(https?|Check|Retries|ForceIPv)' >"$target/etc/apt/apt.conf.d/99lab-build" || true
cp /etc/resolv.conf "$target/etc/resolv.conf"
# Sendmail's installation waits for minutes if it cannot qualify the machine's name.
printf '127.0.0.1 base.example.test base localhost\n' >"$target/etc/hosts"
echo base >"$target/etc/hostname"
hostname base

echo "PROGRESS packages of $suite"
chroot "$target" apt-get -q update </dev/null
chroot "$target" apt-get -q -y --no-install-recommends install "$@" </dev/null

echo "PROGRESS setup of $suite"
printf '%s\n' "$setup" | chroot "$target" /bin/sh -eu

# What the build needed, and what each host must have of its own.
chroot "$target" apt-get -q clean </dev/null
rm -rf "$target"/var/lib/apt/lists/* "$target"/var/cache/apt/*.bin
rm -f "$target/usr/sbin/policy-rc.d" "$target/etc/dpkg/dpkg.cfg.d/lab-build" "$target/etc/apt/apt.conf.d/99lab-build"
rm -f "$target"/etc/ssh/ssh_host_* "$target"/var/log/*.log "$target"/var/log/apt/*
: >"$target/etc/machine-id"
umount "$target/proc"
