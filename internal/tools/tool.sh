#!/bin/sh
# Prints the path of a development tool at the version that its module below this folder pins, and
# builds it first where this machine has not got it yet.
#
#   sh internal/tools/tool.sh golangci-lint
#
# Tools are modules of their own so that their dependencies stay out of the provider's. They are
# built into a cache outside the checkout, so a second clone does not build them again.
set -eu

name=${1:?usage: tool.sh NAME, where NAME is a folder with a go.mod below internal/tools}
here=$(cd "$(dirname "$0")" && pwd)
module=$here/$name

if [ ! -f "$module/go.mod" ]; then
	echo "tool.sh: no module $module; the tools are:" >&2
	ls "$here"/*/go.mod >&2
	exit 2
fi
if ! command -v go >/dev/null 2>&1; then
	echo "tool.sh: go is not in PATH; install Go (https://go.dev/dl/) and try again" >&2
	exit 1
fi

package=$(sed -n 's/^tool //p' "$module/go.mod")
cache=${XDG_CACHE_HOME:-${HOME:?neither XDG_CACHE_HOME nor HOME is set}/.cache}/cutover-tools

# OpenTofu calls itself 1.x.y-dev otherwise, and a prerelease does not satisfy ">= 1.x".
ldflags=
[ "$name" != opentofu ] || ldflags='-X github.com/opentofu/opentofu/version.dev=no'

# The key changes with the pinned versions and with the Go that builds: a linter cannot read code
# written for a newer Go than its own.
key=$({
	cat "$module/go.mod" "$module/go.sum"
	echo "$ldflags"
	cd "$module" && go version
} | cksum | cut -d ' ' -f 1)
binary=$cache/$name-$key/${package##*/}

if [ ! -x "$binary" ]; then
	mkdir -p "${binary%/*}"
	echo "Building $name from its pinned module${2:+ ($2)}; this happens once." >&2
	started=$(date +%s)
	# Beside its final place and then renamed: an interrupted build leaves no half of a binary,
	# and two builds at once do not meet.
	fresh=$binary.$$
	trap 'rm -f "$fresh"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	(cd "$module" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w $ldflags" -o "$fresh" "$package")
	mv "$fresh" "$binary"
	echo "Built $name in $(($(date +%s) - started)) s." >&2
fi
echo "$binary"
