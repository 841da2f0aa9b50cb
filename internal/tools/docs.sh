#!/bin/sh
# Writes docs/ from the provider's schema, templates/ and examples/, or says whether it is fresh.
#
#   sh internal/tools/docs.sh write     replaces docs/
#   sh internal/tools/docs.sh check     changes nothing; exit 1 and a diff where docs/ is stale
#
# tfplugindocs would download a Terraform to read the schema. This reads it with the one that is here.
set -eu

mode=${1:?usage: docs.sh write|check}
case $mode in
write | check) ;;
*)
	echo "docs.sh: unknown mode $mode; it is write or check" >&2
	exit 2
	;;
esac

tools=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$tools/../.." && pwd)
terraform=$(sh "$tools/terraform.sh")
tfplugindocs=$(sh "$tools/tool.sh" tfplugindocs)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

(cd "$root" && go build -o "$work/bin/terraform-provider-cutover" .)

# A configuration and a CLI configuration of their own: whatever ~/.terraformrc says, the schema
# comes from the provider built a moment ago, and nothing is downloaded.
mkdir "$work/schema"
cat >"$work/schema/main.tf" <<-'HCL'
	terraform {
	  required_providers {
	    cutover = {
	      source = "cutover-dev/cutover"
	    }
	  }
	}
HCL
cat >"$work/cli.tfrc" <<-HCL
	provider_installation {
	  dev_overrides {
	    "cutover-dev/cutover" = "$work/bin"
	  }
	  direct {}
	}
HCL
if ! (cd "$work/schema" && TF_CLI_CONFIG_FILE=$work/cli.tfrc CHECKPOINT_DISABLE=1 \
	"$terraform" providers schema -json >"$work/full.json" 2>"$work/stderr"); then
	cat "$work/stderr" "$work/full.json" >&2
	echo "docs.sh: $terraform could not read the provider's schema" >&2
	exit 1
fi

# tfplugindocs looks for the bare name or for hashicorp's namespace; Terraform and OpenTofu write the
# provider's address, each with its own registry.
sed -E 's#"registry\.(terraform\.io|opentofu\.org)/cutover-dev/cutover"#"cutover"#' \
	"$work/full.json" >"$work/schema.json"

# Into a copy: tfplugindocs writes below the provider's folder only.
mkdir "$work/provider"
cp -R "$root/templates" "$root/examples" "$work/provider/"
"$tfplugindocs" generate --provider-dir "$work/provider" --providers-schema "$work/schema.json" \
	--provider-name cutover --rendered-provider-name Cutover >"$work/log" 2>&1 || {
	cat "$work/log" >&2
	exit 1
}
"$tfplugindocs" validate --provider-dir "$work/provider" --providers-schema "$work/schema.json" \
	--provider-name cutover >"$work/log" 2>&1 || {
	cat "$work/log" >&2
	exit 1
}

if [ "$mode" = check ]; then
	if ! diff -r -u -N "$root/docs" "$work/provider/docs"; then
		echo "docs/ is not what the schema, templates/ and examples/ say; run 'make generate' and commit docs/" >&2
		exit 1
	fi
	echo "docs/ is fresh."
	exit 0
fi

# The new tree is complete before the old one goes.
rm -rf "$root/docs"
cp -R "$work/provider/docs" "$root/docs"
echo "docs/ written: $(find "$root/docs" -type f | wc -l | tr -d ' ') pages."
