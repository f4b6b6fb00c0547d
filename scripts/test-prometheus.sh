#!/usr/bin/env bash
# Checks deploy/prometheus and deploy/grafana with promtool: rules and example parse, every alert fires and keeps quiet
# when its tests say so, and every query of the dashboard is one. Starts no server and installs none: without promtool
# it takes the program out of Debian's package `prometheus`.
# Usage: scripts/test-prometheus.sh
#   PROMTOOL  the program (promtool in PATH, else in .venv-deploy/promtool)
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# --- promtool ----------------------------------------------------------------------------------------------------
kept=.venv-deploy/promtool/promtool

# Debian's package would start a server, so it is unpacked instead.
fetch() {
  local why="promtool is missing"
  if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "test-prometheus: $why. Install Prometheus (macOS: brew install prometheus), or set PROMTOOL" >&2
    exit 1
  fi
  echo "test-prometheus: $why, taking it out of Debian's package prometheus"
  if ! (cd "$work" && apt-get download -qq prometheus) >"$work/log" 2>&1; then
    # Lists that are missing or old: only root may renew them.
    local as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
    if ! { ${as_root[@]+"${as_root[@]}"} apt-get update -qq && (cd "$work" && apt-get download -qq prometheus); } \
      >>"$work/log" 2>&1; then
      cat "$work/log" >&2
      echo "test-prometheus: fetching failed. Run: sudo apt-get update; or set PROMTOOL" >&2
      exit 1
    fi
  fi
  dpkg-deb -x "$work"/prometheus_*.deb "$work/package"
  mkdir -p "$(dirname "$kept")"
  cp "$work/package/usr/bin/promtool" "$kept"
}

if [ -n "${PROMTOOL:-}" ]; then
  promtool=$PROMTOOL
elif command -v promtool >/dev/null; then
  promtool=promtool
else
  [ -x "$kept" ] || fetch
  promtool=$PWD/$kept
fi

# --- the rules ---------------------------------------------------------------------------------------------------
"$promtool" check config deploy/prometheus/prometheus.yml
"$promtool" test rules deploy/prometheus/tests/*.yml

# --- the dashboard -----------------------------------------------------------------------------------------------
# Each query as a rule of its own, with Grafana's variables filled in. JSON is YAML.
python3 - deploy/grafana/waybill.json "$work/dashboard.rules.yml" <<'PYTHON'
import json, sys
with open(sys.argv[1], encoding="utf-8") as file:
    dashboard = json.load(file)
values = {"$__rate_interval": "5m", "$__range": "6h", "$job": ".+"}
rules = []
for panel in dashboard["panels"]:
    for target in panel.get("targets", []):
        query = target["expr"]
        for variable, value in values.items():
            query = query.replace(variable, value)
        if "$" in query:
            sys.exit(f"{panel['title']}: a variable that is not known here: {query}")
        rules.append({"record": f"panel:{panel['id']}:{target['refId']}", "expr": query})
if not rules:
    sys.exit("the dashboard has no query")
with open(sys.argv[2], "w", encoding="utf-8") as file:
    json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)
PYTHON
"$promtool" check rules "$work/dashboard.rules.yml"
echo "test-prometheus: passed"
