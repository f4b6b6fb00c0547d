#!/usr/bin/env bash
# Uses the operators' console in a real browser (Chromium), by what a user sees: every page, the keyboard alone, without
# a script, light and dark, wide and narrow. Starts the demo for that; prints a line for each thing that was looked at.
# Usage: scripts/test-console.sh [--update-screenshots]
#   --update-screenshots  also write docs/images/console-*.png, after three minutes, so that charts have something to show
#   WAYBILL_BIN  the program (target/release/waybill)
#   CHROMIUM     the browser (chromium, chromium-browser, google-chrome: the first that is there)
set -euo pipefail
cd "$(dirname "$0")/.."
program=$(realpath "${WAYBILL_BIN:-target/release/waybill}")
venv=.venv-console

if [ ! -x "$program" ]; then
  echo "test-console: $program is missing: run \`make build\`" >&2
  exit 1
fi

. scripts/need-package.sh

find_chromium() {
  local name
  for name in ${CHROMIUM:-chromium chromium-browser google-chrome}; do
    if command -v "$name" 2>/dev/null; then
      return
    fi
  done
  return 1
}

make_venv() {
  local wanted
  if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    need_package python3-venv "python3 cannot make virtual environments"
  fi
  # An environment knows its own folder: a moved one is made again.
  wanted="$(cksum <tests/browser/requirements.txt) $(python3 --version) $PWD"
  if [ "$(cat "$venv/stamp" 2>/dev/null)" = "$wanted" ]; then
    return
  fi
  rm -rf "$venv"
  echo "test-console: making $venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement tests/browser/requirements.txt
  printf '%s\n' "$wanted" >"$venv/stamp"
}

if ! browser=$(find_chromium); then
  # The fonts are for the pages' own signs, such as ✓.
  need_package "chromium fonts-dejavu-core" "Chromium is missing"
  browser=$(find_chromium)
fi
make_venv

data=$(mktemp -d)
testing=
cleanup() {
  if [ -n "$testing" ]; then
    # It ends its own processes first.
    kill -TERM "$testing" 2>/dev/null || true
    wait "$testing" 2>/dev/null || true
  fi
  rm -rf "$data"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# Nothing of the developer's own settings, and no proxy for what is on this machine.
unset ${!WAYBILL_@}
export NO_PROXY=127.0.0.1,localhost no_proxy=127.0.0.1,localhost PYTHONDONTWRITEBYTECODE=1

# In the background, so that a signal is noticed at once.
"$venv/bin/python" tests/browser/console.py "$program" "$browser" "$data" "$@" &
testing=$!
code=0
wait "$testing" || code=$?
testing=
exit "$code"
