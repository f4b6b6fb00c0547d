#!/usr/bin/env bash
# Checks deploy/terraform without AWS: Terraform's own checks and plans of both examples with the provider's schema, rules
# that hold them to the program's source, planted mistakes that have to be found, checkov, and the table of costs.
# Usage: scripts/test-terraform.sh
#   TERRAFORM       the program (terraform in PATH)
#   QUICK=1         without the planted mistakes
#   TERRAFORM_VENV  where the Python environment is (.venv-deploy/terraform)
set -euo pipefail
cd "$(dirname "$0")/.."
folder=deploy/terraform
requirements=$folder/tests/requirements.txt
venv=${TERRAFORM_VENV:-.venv-deploy/terraform}

# --- what it needs -----------------------------------------------------------------------------------------------
. scripts/need-package.sh

terraform=${TERRAFORM:-$(command -v terraform || true)}
if [ -z "$terraform" ] || ! command -v "$terraform" >/dev/null; then
  echo "test-terraform: Terraform is missing. Install Terraform 1.11 or later into PATH, or set TERRAFORM" >&2
  exit 1
fi
export TERRAFORM=$terraform

make_venv() {
  command -v python3 >/dev/null || need_package python3 "python3 is missing"
  # Debian's python3 has venv but not the pip that venv puts inside.
  python3 -c 'import ensurepip, venv' 2>/dev/null || need_package python3-venv "python3 cannot make virtual environments"
  local wanted
  # An environment knows its own folder: a moved one is made again.
  wanted="$(cksum <"$requirements") $(python3 --version) $PWD"
  if [ "$(cat "$venv/stamp" 2>/dev/null)" = "$wanted" ]; then
    return
  fi
  rm -rf "$venv"
  echo "test-terraform: making $venv, about a minute"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$requirements"
  "$venv/bin/pip" check --disable-pip-version-check >/dev/null
  printf '%s\n' "$wanted" >"$venv/stamp"
}
make_venv

# Nothing of the developer's own settings or account, and no proxy for what is on this machine.
unset ${!TF_@} ${!AWS_@}
export NO_PROXY=127.0.0.1 no_proxy=127.0.0.1 PYTHONDONTWRITEBYTECODE=1

# --- the rules ---------------------------------------------------------------------------------------------------
if [ -n "${QUICK:-}" ]; then
  "$venv/bin/python" "$folder/tests/check.py"
else
  "$venv/bin/python" "$folder/tests/check.py" --self-test
fi

# --- checkov -----------------------------------------------------------------------------------------------------
# It writes nothing and asks nobody. What it skips says why, in the files. It is told once whether it works at all: a
# bucket that is open to everybody has to be found.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
scan() {
  BC_API_KEY='' LOG_LEVEL=ERROR "$venv/bin/checkov" --directory "$1" --framework terraform --quiet --compact \
    --skip-download --download-external-modules false
}
cat >"$work/open.tf" <<'HCL'
resource "aws_s3_bucket" "open" {
  bucket = "open"
}

resource "aws_s3_bucket_acl" "open" {
  bucket = aws_s3_bucket.open.id
  acl    = "public-read"
}
HCL
if scan "$work" >"$work/found"; then
  echo "test-terraform: checkov finds nothing wrong with an open bucket, so it proves nothing" >&2
  exit 1
fi
grep -q CKV_AWS_20 "$work/found"
scan "$folder"

# --- costs -------------------------------------------------------------------------------------------------------
python3 "$folder/costs/costs.py" --check
echo "test-terraform: passed"
