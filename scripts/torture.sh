#!/usr/bin/env bash
# Kills the program at every named moment and at random ones, and lets AWS fail in every way, for as long as asked;
# prints one table. Fails if anything was lost, doubled, changed or made up.
# Usage: scripts/torture.sh [hours, 0.2 by default]
set -euo pipefail
cd "$(dirname "$0")/.."

hours=${1:-0.2}
if ! [[ $hours =~ ^[0-9]+(\.[0-9]+)?$ ]]; then
  echo "torture: \`$hours\` is no number of hours" >&2
  exit 2
fi
PG_BIN=$(readlink .venv/pg-bin)
WAYBILL_TEST_TABLE=$(mktemp)
export PG_BIN WAYBILL_TEST_TABLE WAYBILL_TEST_HOURS=$hours
trap 'rm -f "$WAYBILL_TEST_TABLE"' EXIT

outcome=0
# One at a time, each with both cores. The seeded mistakes come with it: a judge that finds none proves nothing.
cargo test --locked --features failpoints --test all -- --test-threads 1 --nocapture \
  journeys::crash journeys::seeded || outcome=$?

echo
awk -F '\t' '
  { runs[$1]++; faults[$1] += $3; ok[$1] += $4; unknown[$1] += $5; refused[$1] += $6; repeated[$1] += $7; bad[$1] += $8 }
  END {
    form = "%-42s %6s %8s %9s %9s %9s %9s %9s\n"
    printf form, "what", "passes", "faults", "ok", "unknown", "refused", "repeated", "problems"
    for (what in runs) {
      printf form, what, runs[what], faults[what], ok[what], unknown[what], refused[what], repeated[what], bad[what] | "sort"
    }
    close("sort")
    for (what in runs) {
      r += runs[what]; f += faults[what]; o += ok[what]; u += unknown[what]; n += refused[what]; d += repeated[what]; b += bad[what]
    }
    printf form, "all", r, f, o, u, n, d, b
  }' "$WAYBILL_TEST_TABLE"
exit "$outcome"
