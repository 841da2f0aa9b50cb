#!/bin/sh
# Installs what the lab and its tests need on a bare Debian or Ubuntu machine. Needs root. Says in one line what it
# does; does nothing where nothing is missing.
set -eu

missing=
# need COMMAND-OR-FILE PACKAGE
need() {
	case $1 in
	/*) [ ! -e "$1" ] || return 0 ;;
	*) ! command -v "$1" >/dev/null 2>&1 || return 0 ;;
	esac
	missing="$missing $2"
}

PATH=$PATH:/usr/sbin:/sbin
need systemd-nspawn systemd-container
need debootstrap debootstrap
need /usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
need unshare util-linux
need ip iproute2
need ssh-keygen openssh-client
need /usr/lib/openssh/sftp-server openssh-sftp-server
need rsync rsync
need curl curl
need swaks swaks
# swaks only recommends what it speaks IPv6 with
need /usr/share/perl5/IO/Socket/INET6.pm libio-socket-inet6-perl
need nc netcat-openbsd
need ps procps
need nft nftables
need setfacl acl
need setfattr attr
need shellcheck shellcheck
need /etc/ssl/certs/ca-certificates.crt ca-certificates

if [ -z "$missing" ]; then
	echo "setup: everything that the lab needs is there"
	exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
	echo "setup: this is neither Debian nor Ubuntu; please install what these packages of theirs have:$missing" >&2
	exit 1
fi
if [ "$(id -u)" != 0 ]; then
	echo "setup: needs root to install:$missing" >&2
	exit 1
fi
echo "setup: installing$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086 # a list of packages
if ! { apt-get -q update && apt-get -q -y --no-install-recommends install $missing; } >"$log" 2>&1 </dev/null; then
	cat "$log" >&2
	exit 1
fi
