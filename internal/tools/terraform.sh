#!/bin/sh
# Prints the path of the Terraform or OpenTofu that tests, demo and documentation use:
# TF_ACC_TERRAFORM_PATH where it is set, else terraform or tofu in PATH, else OpenTofu built from its
# module with ordinary Go.
set -eu

if [ -n "${TF_ACC_TERRAFORM_PATH:-}" ]; then
	if [ ! -x "$TF_ACC_TERRAFORM_PATH" ]; then
		echo "terraform.sh: TF_ACC_TERRAFORM_PATH is $TF_ACC_TERRAFORM_PATH, which is no program" >&2
		exit 1
	fi
	echo "$TF_ACC_TERRAFORM_PATH"
	exit 0
fi
for program in terraform tofu; do
	if command -v "$program" >/dev/null 2>&1; then
		command -v "$program"
		exit 0
	fi
done
exec sh "$(dirname "$0")/tool.sh" opentofu "neither terraform nor tofu is in PATH; about 6 minutes"
