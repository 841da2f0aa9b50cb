#!/bin/sh
# Installs Debian's ansible-core, which the benchmark compares with, where it is missing. Needs root.
set -eu
if command -v ansible-playbook >/dev/null 2>&1; then
	exit 0
fi
echo "setup: installing ansible-core"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt-get -q update && apt-get -q -y --no-install-recommends install ansible-core; } >"$log" 2>&1 </dev/null; then
	cat "$log" >&2
	exit 1
fi
