#!/usr/bin/env bash
# Holds a running server to openapi/waybill.yaml: Schemathesis makes up requests for every operation, on both
# listeners, signed and not; then every webhook that was answered 200 must be in the warehouse or a dead letter, and
# every dead letter still open: of what is made up, no order to replay or drop is carried out on any.
# Usage: scripts/surface.sh
#   EXAMPLES  requests made up per operation and run (200); examples and edge cases come on top
#   SEED      the same seed makes up the same requests
#   WAYBILL   the program (target/release/waybill)
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
program=$(realpath "${WAYBILL:-target/release/waybill}")
examples=${EXAMPLES:-200}
seed=${SEED:-$RANDOM}

if [ ! -x "$program" ]; then
  echo "surface: $program is missing: run \`make build\`" >&2
  exit 1
fi

# --- Python environment ------------------------------------------------------------------------------------------
venv() {
  local wanted
  wanted=$(cksum <scripts/surface-requirements.txt)
  # An environment knows its own folder: a moved one is made again.
  wanted="$wanted $(python3 --version) $PWD"
  if [ "$(cat .venv-surface/stamp 2>/dev/null)" = "$wanted" ]; then
    return
  fi
  rm -rf .venv-surface
  echo "surface: making .venv-surface"
  python3 -m venv .venv-surface
  .venv-surface/bin/pip install --quiet --disable-pip-version-check --requirement scripts/surface-requirements.txt
  printf '%s\n' "$wanted" >.venv-surface/stamp
}
venv

# --- the server --------------------------------------------------------------------------------------------------
data=$(mktemp -d)
server=
cleanup() {
  if [ -n "$server" ]; then
    kill -KILL "$server" 2>/dev/null || true
  fi
  rm -rf "$data"
}
trap cleanup EXIT

# Nothing of the developer's own settings, no waybill.toml of this folder, and no proxy for what is on this machine.
unset ${!WAYBILL_@}
export NO_PROXY=127.0.0.1 no_proxy=127.0.0.1 PYTHONDONTWRITEBYTECODE=1
cd "$data"
export SURFACE_SECRET=surface-secret-0123456789abcdef SURFACE_RECORDS=$data/records.jsonl
ops_token=surface-operators-token

WAYBILL_WEBHOOK_SECRETS=$SURFACE_SECRET WAYBILL_OPS_TOKEN=$ops_token WAYBILL_LISTEN=127.0.0.1:0 \
  WAYBILL_OPS_LISTEN=127.0.0.1:0 WAYBILL_BATCH_AGE=200ms WAYBILL_LOAD_INTERVAL=200ms WAYBILL_DRAIN_DELAY=0s \
  "$program" up --data "$data/waybill" --ports-file "$data/ports.json" >stdout.log 2>stderr.log &
server=$!

deadline=$((SECONDS + 60))
until [ -s ports.json ]; do
  if ! kill -0 "$server" 2>/dev/null || [ $SECONDS -ge $deadline ]; then
    echo "surface: the server did not come up:" >&2
    cat stderr.log >&2
    exit 1
  fi
  sleep 0.1
done
port_of() {
  sed -E "s/.*\"$1\":\"([^\"]+)\".*/\1/" ports.json
}
listen=http://$(port_of listen)
ops=http://$(port_of ops)

# --- the runs ----------------------------------------------------------------------------------------------------
export SCHEMATHESIS_HOOKS=$root/scripts/surface_hooks.py
failed=0
# Usage: run NAME URL TAGS SIGNATURE TOKEN [OPTION...]
run() {
  local name=$1 url=$2 tags=$3 signature=$4 token=$5
  shift 5
  local include=()
  for tag in $tags; do
    include+=(--include-tag "$tag")
  done
  if ! SURFACE_RUN=$name SURFACE_SIGNATURE=$signature SURFACE_TOKEN=$token \
    "$root/.venv-surface/bin/schemathesis" --config-file "$root/scripts/surface.toml" --no-color \
    run "$root/openapi/waybill.yaml" --url "$url" "${include[@]}" --max-examples "$examples" --seed "$seed" \
    --continue-on-failure --warnings off "$@" >"$name.log" 2>&1; then
    failed=1
    printf '\n--- %s\n' "$name" >&2
    # A body may have a million characters.
    cut -c 1-2000 "$name.log" >&2
  fi
}

echo "surface: $examples examples, seed $seed"
run "signed" "$listen" public right ""
run "unsigned" "$listen" public none ""
run "wrong-secret" "$listen" public wrong ""
run "odd-signature" "$listen" public odd "" --generation-with-security-parameters true
run "operators" "$ops" "health admin" none "$ops_token"
run "no-token" "$ops" admin none ""

# --- the account -------------------------------------------------------------------------------------------------
WAYBILL_WAREHOUSE=duckdb:$data/waybill/warehouse.duckdb WAYBILL_LAKE=file:$data/waybill/lake \
  "$root/.venv-surface/bin/python" "$root/scripts/surface_account.py" "$SURFACE_RECORDS" "$program" "$ops/metrics" ||
  failed=1

# --- the end -----------------------------------------------------------------------------------------------------
kill -TERM "$server" 2>/dev/null || true
code=0
wait "$server" || code=$?
server=
if [ "$code" -ne 0 ]; then
  echo "surface: the server ended with $code" >&2
  failed=1
fi
if grep -n panicked stderr.log >&2; then
  echo "surface: the server panicked" >&2
  failed=1
fi
if [ "$failed" -ne 0 ]; then
  echo "surface: FAILED; to see the same again: EXAMPLES=$examples SEED=$seed make surface" >&2
  exit 1
fi
echo "surface: passed"
