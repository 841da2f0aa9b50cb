#!/bin/sh
# Makes a machine that nobody has prepared, with nothing but what the README asks for (Go, make, git), and sets it up
# as make demo and make test do. In the end it says what the machine can do.
#
#   bare.sh ROOT SUITE CHECKOUT GOROOT GOMODCACHE GOCACHE [NAME=VALUE...]
#
# ROOT is an empty directory, CHECKOUT a repository whose last commit is tried. Go comes from this machine, read-only, with its caches; the further arguments are Go's
# settings. Must run in mount, PID and UTS namespaces of its own: nothing that it mounts or starts outlives it.
set -eu
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
umask 022

root=$1
suite=$2
checkout=$3
goroot=$4
modules=$5
builds=$6
shift 6

case $suite in
noble) components=main,universe ;; # as every Ubuntu has it
*) components=main ;;
esac
debootstrap --variant=minbase --components="$components" --include=make,git,ca-certificates "$suite" "$root" </dev/null
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"

# How this machine reaches Debian's archive and that of Go's modules (a proxy, its certificates, clock checks).
apt-config dump | grep -E '^Acquire::(https?|Check|Retries|ForceIPv)' >"$root/etc/apt/apt.conf.d/99bare" || true
cp /etc/resolv.conf "$root/etc/resolv.conf"
cp /etc/hosts "$root/etc/hosts"
# No service starts in a chroot.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"

mkdir "$root/go"
if [ -s /etc/ssl/certs/ca-certificates.crt ]; then
	cp /etc/ssl/certs/ca-certificates.crt "$root/go/certificates.crt"
	set -- SSL_CERT_FILE=/go/certificates.crt "$@"
fi
for shared in "$goroot:/usr/local/go" "$modules:/go/modules" "$builds:/go/builds"; do
	mkdir -p "$root${shared#*:}"
	mount --bind "${shared%%:*}" "$root${shared#*:}"
done
git clone -q "$checkout" "$root/checkout"

# What a person types, and then each capability by itself.
# shellcheck disable=SC2016 # it expands there
exec chroot "$root" env -i PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
	GOMODCACHE=/go/modules GOCACHE=/go/builds CUTOVER_LAB=required "$@" sh -euc '
	cd /checkout
	echo "== before"
	sh internal/lab/setup.sh check || :
	echo "== set-up"
	make setup
	terraform=$(sh internal/tools/terraform.sh)
	"$terraform" version
	gotestsum=$(sh internal/tools/tool.sh gotestsum)
	"$gotestsum" --version
	go build -o /tmp/provider .
	echo "== after"
	sh internal/lab/setup.sh check'
