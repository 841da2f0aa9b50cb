#!/bin/sh
# Installs what the lab and its tests need on a bare Debian or Ubuntu machine.
#
#   setup.sh         installs what is missing. Needs root. Does nothing where nothing is missing.
#   setup.sh check   changes nothing; prints what this machine can do, and ends with 1 where something is missing
#
# It tries what is needed and does not ask for the names of packages: a program that is there and cannot do
# its work counts as missing.
set -eu

mode=${1:-install}
case $mode in
install | check) ;;
*)
	echo "setup: unknown mode $mode; it is check, or nothing" >&2
	exit 2
	;;
esac
PATH=$PATH:/usr/sbin:/sbin

# speaks PROGRAM PROTOCOL: what swaks and curl say of themselves.
speaks() {
	case $1 in
	swaks) swaks --support 2>/dev/null | grep -Eqx "=== ($2) supported" ;;
	curl) curl --version | grep -q "^Protocols:.* $2\( \|$\)" ;;
	esac
}

# A browser that needs no screen: whichever is there.
browser() {
	for program in chromium-headless-shell chromium google-chrome; do
		"$program" --version && return
	done
	return 1
}

# Debian has such a browser since 12. Ubuntu has one as a snap alone, which does not start in a container or without
# systemd; there the tests that need a browser use one that somebody has installed, or are skipped.
has_browser_package() (
	# shellcheck disable=SC1091 # the system's own
	. /etc/os-release && [ "$ID" = debian ] && [ "${VERSION_ID:-99}" -ge 12 ]
)

# capabilities calls need for each: what this machine can do, the packages that bring it, and the command that
# shows it.
capabilities() {
	need "boots a container" systemd-container systemd-nspawn --version
	need "installs a Debian into a directory" debootstrap test -x /usr/sbin/debootstrap
	need "trusts the Debian archive" debian-archive-keyring test -s /usr/share/keyrings/debian-archive-keyring.gpg
	need "makes namespaces" util-linux unshare --version
	need "enters namespaces" util-linux nsenter --version
	need "makes network links" iproute2 ip -V
	need "opens SSH connections and makes keys" openssh-client ssh -V
	need "serves SFTP" openssh-sftp-server test -x /usr/lib/openssh/sftp-server
	need "copies with rsync" rsync rsync --version
	need "fetches HTTP" curl speaks curl http
	need "reads mail by IMAP" curl speaks curl imap
	need "reads mail by POP3" curl speaks curl pop3
	need "lists by FTP" curl speaks curl ftp
	need "sends mail" swaks speaks swaks "Basic AUTH"
	need "sends mail over IPv6" "swaks libio-socket-inet6-perl" speaks swaks "IPv6|IPv4/v6 Socket Transport"
	need "listens on a port" netcat-openbsd nc -h
	need "lists processes" procps ps -p 1
	need "loads packet filters" nftables nft --version
	need "sets ACLs" acl setfacl --version
	need "sets extended attributes" attr setfattr --version
	need "reads certificates" ca-certificates test -s /etc/ssl/certs/ca-certificates.crt
	need "packs programs" xz-utils xz --version
	need "checks shell scripts" shellcheck shellcheck --version
	if { browser || has_browser_package; } >/dev/null 2>&1; then
		need "shows a page in a browser" "chromium-headless-shell fonts-dejavu-core" browser
	fi
}

# look sets missing (capabilities) and packages.
look() {
	missing=
	packages=
	capabilities
}

# need CAPABILITY PACKAGES COMMAND...
need() {
	capability=$1
	wanted=$2
	shift 2
	if "$@" >/dev/null 2>&1 </dev/null; then
		[ "$mode" = install ] || echo "ok       $capability"
		return
	fi
	[ "$mode" = install ] || echo "missing  $capability: $* (Debian: $wanted)"
	missing="$missing${missing:+, }$capability"
	for package in $wanted; do
		case " $packages " in
		*" $package "*) ;;
		*) packages="$packages${packages:+ }$package" ;;
		esac
	done
}

look
if [ -z "$missing" ]; then
	echo "setup: everything that the lab needs is there"
	exit 0
fi
[ "$mode" = install ] || exit 1
if ! command -v apt-get >/dev/null 2>&1; then
	echo "setup: this is neither Debian nor Ubuntu; please install what these packages of theirs have: $packages" >&2
	exit 1
fi
if [ "$(id -u)" != 0 ]; then
	echo "setup: needs root to install $packages" >&2
	exit 1
fi
echo "setup: installing $packages"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086 # a list of packages
if ! { apt-get -q update && apt-get -q -y --no-install-recommends install $packages; } >"$log" 2>&1 </dev/null; then
	cat "$log" >&2
	exit 1
fi
installed=$packages
look
if [ -n "$missing" ]; then
	echo "setup: installed $installed, and this machine still lacks: $missing; see sh internal/lab/setup.sh check" >&2
	exit 1
fi
