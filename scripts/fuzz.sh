#!/usr/bin/env bash
# Fuzzes every target of fuzz/ and prints a table of runs and crashes. Fails if there was a crash.
# Usage: scripts/fuzz.sh [seconds for each target, 60 by default]
#
# Begins with the seeds in fuzz/corpus; what it finds on the way goes to fuzz/found, and what crashed to
# fuzz/artifacts, to be made a seed together with the fix. With a nightly compiler that is new enough the address
# sanitizer watches too. The first build takes long: everything is built anew, with coverage counters.
set -euo pipefail
cd "$(dirname "$0")/.."

duration=${1:-60}
if ! [[ $duration =~ ^[1-9][0-9]*$ ]]; then
  echo "fuzz: \`$duration\` is no number of seconds" >&2
  exit 2
fi

version=0.13.2
if [ "$(.venv/bin/cargo-fuzz --version 2>/dev/null)" != "cargo-fuzz $version" ]; then
  echo "fuzz: installing cargo-fuzz $version into .venv"
  cargo install --quiet --locked --force --root .venv "cargo-fuzz@$version"
fi
export PATH="$PWD/.venv/bin:$PATH"

sanitizer=none
if command -v rustup >/dev/null && rustup toolchain list | grep '^nightly' >/dev/null; then
  wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
  nightly=$(rustup run nightly rustc --version | cut -d ' ' -f 2 | cut -d - -f 1)
  if [ "$(printf '%s\n' "$wanted" "$nightly" | sort -V | head -n 1)" = "$wanted" ]; then
    sanitizer=address
    export RUSTUP_TOOLCHAIN=nightly
  fi
fi

# The versions that the program has; what the fuzzer needs besides is added to this copy.
if ! [ fuzz/Cargo.lock -nt Cargo.lock ]; then
  cp Cargo.lock fuzz/Cargo.lock
fi
# The fuzzer's binaries do not know where DuckDB's library is.
export LD_LIBRARY_PATH="$PWD/.duckdb${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export DYLD_LIBRARY_PATH="$PWD/.duckdb${DYLD_LIBRARY_PATH:+:$DYLD_LIBRARY_PATH}"
# Leaks are not what we look for, and looking for them needs rights that containers lack.
export ASAN_OPTIONS="detect_leaks=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
export RUST_BACKTRACE=1

echo "fuzz: building, sanitizer: $sanitizer"
cargo fuzz build --sanitizer "$sanitizer"

rows=()
failed=0
logs=fuzz/target/logs
mkdir -p "$logs"
for source in fuzz/fuzz_targets/*.rs; do
  target=$(basename "$source" .rs)
  found=fuzz/found/$target
  artifacts=fuzz/artifacts/$target
  log=$logs/$target.log
  mkdir -p "$found" "$artifacts"
  touch "$logs/started"
  echo "fuzz: $target, $duration s"
  ended=0
  cargo fuzz run --sanitizer "$sanitizer" "$target" "$found" "fuzz/corpus/$target" -- \
    -max_total_time="$duration" -timeout=25 -rss_limit_mb=4096 -detect_leaks=0 -print_final_stats=1 \
    >"$log" 2>&1 || ended=$?
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
  # A slow unit is worth a look, but no failure.
  crashes=$(find "$artifacts" -type f -newer "$logs/started" ! -name 'slow-unit-*' | wc -l | tr -d ' ')
  if [ "$ended" -ne 0 ]; then
    failed=1
    { grep -v '^#[0-9]' "$log" || true; } | tail -n 40
    echo "fuzz: $target ended with code $ended, the whole log is $log"
    # It may have ended without leaving an input behind.
    if [ "$crashes" -eq 0 ]; then
      crashes=1
    fi
  fi
  rows+=("$(printf '%-20s %12s %8s' "$target" "${runs:--}" "$crashes")")
done

printf '\n%-20s %12s %8s\n' target runs crashes
printf '%s\n' "${rows[@]}"
exit "$failed"
