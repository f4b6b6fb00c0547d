#!/usr/bin/env bash
# Runs the DAGs of deploy/airflow in a real Airflow: unit tests, then a scheduler that loads a made-up shop with the
# real program into a DuckDB file. Prints a table; fails when anything is not as it should be.
# Usage: scripts/test-airflow.sh
#   WAYBILL_BIN     the program (target/release/waybill)
#   AIRFLOW_PYTHON  the Python to make the environment with (the newest of 3.12, 3.11, 3.10, 3.13 that is there)
#   AIRFLOW_FROM    what to install (deploy/airflow/requirements-test.txt)
#   AIRFLOW_VENV    where to (.venv-deploy/airflow)
set -euo pipefail
cd "$(dirname "$0")/.."
program=$(realpath "${WAYBILL_BIN:-target/release/waybill}")
requirements=${AIRFLOW_FROM:-deploy/airflow/requirements-test.txt}
venv=${AIRFLOW_VENV:-.venv-deploy/airflow}

if [ ! -x "$program" ]; then
  echo "test-airflow: $program is missing: run \`make build\`" >&2
  exit 1
fi

# --- Python environment ------------------------------------------------------------------------------------------
find_python() {
  local name
  # MWAA has 3.12.
  for name in ${AIRFLOW_PYTHON:-python3.12 python3.11 python3.10 python3.13 python3}; do
    # A name may be there without a Python behind it; Debian's has venv but not the pip that venv puts inside.
    if "$name" -c 'import ensurepip, sys, venv; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
      echo "$name"
      return
    fi
  done
  echo "test-airflow: no Python 3.10 to 3.13 that can make virtual environments; Debian: apt-get install python3-venv" >&2
  return 1
}

make_venv() {
  local python wanted
  python=$(find_python)
  # An environment knows its own folder: a moved one is made again.
  wanted="$(cksum <"$requirements") $("$python" --version) $PWD"
  if [ "$(cat "$venv/stamp" 2>/dev/null)" = "$wanted" ]; then
    return
  fi
  rm -rf "$venv"
  echo "test-airflow: making $venv, about a minute"
  "$python" -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$requirements"
  "$venv/bin/pip" check --disable-pip-version-check >/dev/null
  printf '%s\n' "$wanted" >"$venv/stamp"
}

began=$SECONDS
make_venv
made=$((SECONDS - began))

# --- the tests ---------------------------------------------------------------------------------------------------
data=$(mktemp -d)
journey=
cleanup() {
  if [ -n "$journey" ]; then
    # It ends its own processes first.
    kill -TERM "$journey" 2>/dev/null || true
    wait "$journey" 2>/dev/null || true
  fi
  rm -rf "$data"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# Nothing of the developer's own settings, and no proxy for what is on this machine.
unset ${!WAYBILL_@} ${!AIRFLOW_@}
export NO_PROXY=127.0.0.1 no_proxy=127.0.0.1 PYTHONDONTWRITEBYTECODE=1
export AWS_EC2_METADATA_DISABLED=true

began=$SECONDS
AIRFLOW_HOME=$data/unit "$venv/bin/python" -m pytest -q -p no:cacheprovider deploy/airflow/tests
row() {
  printf '  %-22s %4d   s  %s\n' "$@"
}
row "environment" "$made" "0 when it was there"
row "unit tests" "$((SECONDS - began))" "commands, exit codes, settings, shape of the DAGs, ECS"

# In the background, so that a signal is noticed at once.
"$venv/bin/python" deploy/airflow/tests/journey.py "$program" "$PWD/deploy/airflow/dags" "$data" &
journey=$!
code=0
wait "$journey" || code=$?
journey=
exit "$code"
