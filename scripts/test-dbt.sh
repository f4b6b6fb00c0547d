#!/usr/bin/env bash
# Proves deploy/dbt: fills a warehouse with the real program, on DuckDB and on PostgreSQL, runs `dbt build` and
# `dbt docs generate` on both, then plants defects in copies of the DuckDB file, each of which the tests must find.
# Prints one table. Usage: scripts/test-dbt.sh
#   WAYBILL_BIN  the program (target/release/waybill)
#   PG_BIN       the folder with initdb and postgres (where .venv/pg-bin points to)
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
program=$(realpath "${WAYBILL_BIN:-target/release/waybill}")
pg_bin=${PG_BIN:-$(readlink .venv/pg-bin || true)}

if [ ! -x "$program" ]; then
  echo "test-dbt: $program is missing: run \`make build\`" >&2
  exit 1
fi
if [ ! -x "$pg_bin/initdb" ] || [ ! -x "$pg_bin/postgres" ]; then
  echo "test-dbt: initdb and postgres are missing: run \`make test-tools\`, or set PG_BIN" >&2
  exit 1
fi

# --- Python environment ------------------------------------------------------------------------------------------
venv=$root/.venv-deploy/dbt
make_venv() {
  local wanted
  wanted=$(cksum <deploy/dbt/requirements.txt)
  # An environment knows its own folder: a moved one is made again.
  wanted="$wanted $(python3 --version) $PWD"
  if [ "$(cat "$venv/stamp" 2>/dev/null)" = "$wanted" ]; then
    return
  fi
  rm -rf "$venv"
  echo "test-dbt: making .venv-deploy/dbt"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement deploy/dbt/requirements.txt
  printf '%s\n' "$wanted" >"$venv/stamp"
}
make_venv

# --- what ends with us -------------------------------------------------------------------------------------------
work=$(mktemp -d)
pg_dir=$(mktemp -d)
up='' pg='' log=''
# Where errors go, also while a function writes all it says to a file.
exec 3>&2
cleanup() {
  local code=$?
  set +e
  if [ "$code" -ne 0 ] && [ -s "$log" ]; then
    cat "$log" >&3
  fi
  if [ -n "$up" ]; then
    kill -KILL "$up" 2>/dev/null || true
  fi
  if [ -n "$pg" ]; then
    # SIGINT: clients are thrown out. Killing it would leave its shared memory behind.
    kill -INT "$pg" 2>/dev/null || true
    wait "$pg" 2>/dev/null || true
  fi
  rm -rf "$work" "$pg_dir"
  exit "$code"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Nothing of the developer's own settings, no waybill.toml of this folder, and no proxy for what is on this machine.
unset ${!WAYBILL_@} ${!DBT_@} ${!PG@}
export NO_PROXY=127.0.0.1 no_proxy=127.0.0.1 PYTHONDONTWRITEBYTECODE=1 DO_NOT_TRACK=1 HOME=$work
cd "$work"

failed=0
began=$SECONDS
report() { printf '%s\t%s\t%s\t%s\n' "$@" >>table; }
# Usage: step NAME WHERE COMMAND...: runs it, notes how it went and how long it took, shows its output if it failed.
step() {
  local name=$1 where=$2 from=$SECONDS code=0
  shift 2
  # Not in a condition: there bash would go on after what fails inside.
  set +e
  (set -e; "$@") >step.log 2>&1
  code=$?
  set -e
  if [ "$code" -eq 0 ]; then
    report "$name" "$where" "$(tail -n 1 step.log)" "$((SECONDS - from)) s"
  else
    failed=1
    report "$name" "$where" FAILED "$((SECONDS - from)) s"
    printf '\n--- %s, %s\n' "$name" "$where" >&2
    cat step.log >&2
  fi
}
# Usage: wait_for WHAT PID COMMAND...: until the command succeeds, or the process has ended, or a minute is over.
wait_for() {
  local what=$1 pid=$2 deadline=$((SECONDS + 60))
  shift 2
  until "$@"; do
    if ! kill -0 "$pid" 2>/dev/null || [ $SECONDS -ge $deadline ]; then
      echo "test-dbt: $what did not come up" >&2
      return 1
    fi
    sleep 0.1
  done
}

# --- a warehouse on each engine ----------------------------------------------------------------------------------
lake=file:$work/waybill/lake
retail=file:$work/retail
duckdb=$work/waybill/warehouse.duckdb

# Parcels: real webhooks, with repetitions and with some that cannot be read. The second round has the same ids and
# other bodies.
parcels() {
  local listen code=0
  export WAYBILL_WEBHOOK_SECRETS=test-dbt-secret-0123456789abcdef
  WAYBILL_LISTEN=127.0.0.1:0 WAYBILL_OPS_LISTEN=127.0.0.1:0 WAYBILL_BATCH_AGE=200ms WAYBILL_LOAD_INTERVAL=200ms \
    WAYBILL_DRAIN_DELAY=0s "$program" up --data "$work/waybill" --ports-file "$work/ports.json" >up.out 2>up.err &
  up=$!
  wait_for "waybill" "$up" test -s ports.json || { cat up.err; return 1; }
  listen=$(sed -E 's/.*"listen":"([^"]+)".*/\1/' ports.json)
  "$program" simulate --url "http://$listen/webhooks/aftership" --count 3000 --seed 1 --version mixed --poison 0.01
  "$program" simulate --url "http://$listen/webhooks/aftership" --count 300 --seed 1 --version mixed
  unset WAYBILL_WEBHOOK_SECRETS
  # SIGTERM drains: what was received is loaded when it ends.
  kill -TERM "$up"
  wait "$up" || code=$?
  up=''
  return "$code"
}

# The shop of these parcels. `first` writes a hundred days of files, `second` what comes later: corrected bytes under
# the old name, the same bytes under a new one, and orders that lines wait for.
shop_files() {
  "$venv/bin/python" - "$1" "$work/retail" "$work/parcels.csv" <<'PYTHON'
import csv, datetime, pathlib, random, sys

round_, root, parcels = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
chance = random.Random(7)
today = datetime.datetime.now(datetime.timezone.utc).date()
day = lambda back: today - datetime.timedelta(days=back)

def put(dataset, back, rows, suffix=""):
    path = root / dataset / f"{day(back)}{suffix}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))

ids = sorted(int(row[0]) for row in list(csv.reader(open(parcels)))[1:] if row[0].isdigit())
# One order in ten is not there: its parcels stay unlinked. Others have no parcel.
ids = [order for n, order in enumerate(ids) if n % 10] + list(range(100_001, 100_201))
price = {product: 5 + 3 * product for product in range(1, 9)}
orders, items, item = {}, {}, 0
for n, order in enumerate(ids):
    # Most parcels are new, so most orders are; product 3 sells daily and then no more.
    back = 1 + n % 100
    status = chance.choice(["COMPLETE"] * 6 + ["CLOSED", "PENDING", "CANCELED", "ODD_STATUS"])
    customer = chance.choice(range(1, 32))
    orders.setdefault(back, []).append((order, f"{day(back)} {chance.randrange(7, 22):02}:30:00.0", customer, status))
    for _ in range(chance.randrange(0 if n % 50 == 0 else 1, 4)):
        product = chance.choice([1, 2, 4, 5, 6, 7, 8] + ([3] * 9 if back > 8 else []) + [77] * (n % 20 == 0))
        quantity = -1 if chance.random() < 0.05 else chance.randrange(1, 4)
        paid = price.get(product, 9)
        item += 1
        items.setdefault(back, []).append((item, order, product, quantity, f"{paid * quantity}.00", f"{paid}.00"))

if round_ == "first":
    put("departments", 100, [(1, "Outdoors"), (2, "Water")])
    put("categories", 100, [(1, 1, "Camping"), (2, 2, "Boats")])
    products = lambda more: [(p, 1 + p % 2, f"Product {p}", "", f"{price[p] + more * (p < 4)}.00", "") for p in price]
    # The price goes up and comes back; and one category is in no file.
    put("products", 100, products(0) + [(9, 59, "Odd one", "", "1.00", "")])
    put("products", 40, products(2))
    put("products", 20, products(0))
    people = lambda city: [(c, "A", f"Person {c}", "X", "X", f"{c} Road", city, "SH", f"{c:05}") for c in range(1, 31)]
    put("customers", 100, people("Kiel"))
    put("customers", 50, people("Hamburg")[:10])
    put("orders", 8, [row for back in range(100, 7, -1) for row in orders.get(back, [])])
    put("order_items", 8, [row for back in range(100, 7, -1) for row in items.get(back, [])])
    for back in range(7, 0, -1):
        put("orders", back, orders.get(back, []))
        wrong = [(item + 1, ids[0], 1, "two", "9.00", "9.00")] if back == 3 else []
        # The first two wait for an order that comes later, the third for one that never does.
        early = [(item + 2, 200_001, 1, 1, "8.00", "8.00"), (item + 3, 200_001, 2, 1, "11.00", "11.00"),
                 (item + 4, 200_002, 2, 1, "11.00", "11.00")] if back == 2 else []
        put("order_items", back, items.get(back, []) + wrong + early)
    # Not a shop file at all.
    put("order_items", 9, [("<html>",), ("<body>",), ("busy",)])
else:
    put("orders", 5, [(o, at, who, "CLOSED") for o, at, who, _ in orders.get(5, [])])
    put("orders", 4, orders.get(4, []), "-again")
    put("orders", 1, [(200_001, f"{day(2)} 12:00:00.0", 5, "COMPLETE")], "-late")
PYTHON
}

# Usage: load WAREHOUSE: everything there is now, for a shop whose clock is changed twice a year.
load() {
  WAYBILL_LAKE=$lake WAYBILL_RETAIL=$retail WAYBILL_WAREHOUSE=$1 WAYBILL_OPS_LISTEN=off \
    WAYBILL_BUSINESS_TIME_ZONE=Europe/Berlin "$program" load --once 2>load.err || { cat load.err; return 1; }
}
warehouses() {
  parcels
  "$program" query --warehouse "duckdb:$duckdb" --format csv \
    "select distinct order_id from base.fct_shipment_tracking where not is_test order by 1" >parcels.csv
  # Both engines see the same files at the same time, in the same two rounds.
  local round
  for round in first second; do
    shop_files "$round"
    load "duckdb:$duckdb"
    load "postgres://waybill@127.0.0.1:$PGPORT/$PGDATABASE"
  done
  echo loaded
}

free_port() {
  "$venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
# The server's own word: its eighth line in this file.
pg_is_ready() { [ "$(sed -n '8{s/ *$//;p;}' "$pg_dir/data/postmaster.pid" 2>/dev/null)" = ready ]; }
# The server runs on a free port of loopback, and as another account where we are root, which it refuses to be.
as_server=()
postgres() {
  local attempt
  if [ "$(id -u)" -eq 0 ]; then
    as_server=(setpriv --reuid postgres --regid postgres --clear-groups)
    chown postgres: "$pg_dir"
  fi
  cd "$pg_dir"
  "${as_server[@]+"${as_server[@]}"}" "$pg_bin/initdb" --no-sync -A trust -U waybill -E UTF8 --locale=C \
    -D "$pg_dir/data" >"$work/initdb.log" 2>&1 || { cat "$work/initdb.log" >&2; return 1; }
  # Another process may take a free port first.
  for attempt in 1 2 3 4 5; do
    PGPORT=$(free_port)
    "${as_server[@]+"${as_server[@]}"}" "$pg_bin/postgres" -D "$pg_dir/data" -p "$PGPORT" \
      -c listen_addresses=127.0.0.1 -c unix_socket_directories="$pg_dir" -c fsync=off -c full_page_writes=off \
      >"$work/postgres.log" 2>&1 &
    pg=$!
    if wait_for "PostgreSQL, attempt $attempt," "$pg" pg_is_ready; then
      cd "$work"
      export PGHOST=127.0.0.1 PGPORT PGUSER=waybill PGDATABASE=postgres
      return
    fi
  done
  cat "$work/postgres.log" >&2
  return 1
}

# --- dbt ---------------------------------------------------------------------------------------------------------
# Proof that nothing is fetched: where this machine can, DuckDB's runs have no network at all.
offline=()
if unshare --map-root-user --net true 2>/dev/null; then
  offline=(unshare --map-root-user --net)
fi
# Usage: run_dbt TARGET DUCKDB_FILE COMMAND...
run_dbt() {
  local target=$1 file=$2 without=()
  shift 2
  [ "$target" = postgres ] || without=("${offline[@]+"${offline[@]}"}")
  WAYBILL_DBT_TARGET=$target WAYBILL_WAREHOUSE=duckdb:$file \
    "${without[@]+"${without[@]}"}" "$venv/bin/dbt" "$@" --project-dir "$root/deploy/dbt" \
    --profiles-dir "$root/deploy/dbt" --target-path "$work/$target" --log-path "$work/logs"
}
# Prints how many nodes passed, and which tests warned or failed; the names one a line with a word as argument.
results() {
  "$venv/bin/python" - "$work/$1/run_results.json" "${2:-}" <<'PYTHON'
import collections, json, sys
results = json.load(open(sys.argv[1]))["results"]
if sys.argv[2]:
    print(*(r["unique_id"].split(".")[2] for r in results if r["status"] == sys.argv[2]), sep="\n")
    sys.exit()
count = collections.Counter(r["status"] for r in results)
words = {"success": "models", "pass": "tests", "warn": "warned", "fail": "failed", "error": "errors"}
print(", ".join(f"{count[status]} {word}" for status, word in words.items() if count[status]))
PYTHON
}
build() {
  run_dbt "$1" "$duckdb" build
  results "$1"
}
docs() {
  run_dbt "$1" "$duckdb" docs generate
  # Every table and column of the warehouse is described, and what is described is there. PostgreSQL has partitions beside
  # them, which are nobody's to read.
  "$venv/bin/python" - "$work/$1" "$duckdb" <<'PYTHON'
import json, pathlib, sys
import duckdb
folder = pathlib.Path(sys.argv[1])
manifest, catalog = (json.loads((folder / f"{name}.json").read_text()) for name in ("manifest", "catalog"))
described = manifest["sources"] | {k: n for k, n in manifest["nodes"].items() if n["resource_type"] == "model"}
there = catalog["sources"] | catalog["nodes"]
wrong = [f"{key}: not in the warehouse" for key in described.keys() - there.keys()]
for key in described.keys() & there.keys():
    wrong += [f"{key}.{c}" for c in set(described[key]["columns"]) ^ {c.lower() for c in there[key]["columns"]}]
tables = duckdb.connect(sys.argv[2], read_only=True).execute(
    "select table_schema || '.' || table_name from information_schema.tables where table_schema in ('raw', 'base', 'mart')"
).fetchall()
known = {f"{node['schema']}.{node['name']}" for node in described.values()}
wrong += [f"{table}: not described" for (table,) in tables if table not in known]
print(*sorted(wrong), sep="\n")
columns = sum(len(table["columns"]) for table in there.values())
print(f"{len(there)} tables, {columns} columns")
sys.exit(bool(wrong))
PYTHON
}
fresh() {
  run_dbt "$1" "$duckdb" source freshness
  results_of_freshness "$1"
}
results_of_freshness() {
  "$venv/bin/python" - "$work/$1/sources.json" <<'PYTHON'
import json, sys
results = json.load(open(sys.argv[1]))["results"]
print(", ".join(sorted(r["unique_id"].split(".")[-1] + " " + r["status"] for r in results)))
PYTHON
}
# The models hold the same rows on both engines.
same_models() {
  "$venv/bin/python" - "$duckdb" <<'PYTHON'
import datetime, sys
import duckdb, psycopg2
utc = lambda v: v.astimezone(datetime.timezone.utc) if isinstance(v, datetime.datetime) else v
rows_of = lambda cursor: {tuple(map(utc, row)) for row in cursor.fetchall()}
file, server = duckdb.connect(sys.argv[1], read_only=True), psycopg2.connect("").cursor()
counts = []
for table in ("order_delivery", "category_week"):
    query = f"select * from analytics.{table}"
    server.execute(query)
    left, right = rows_of(file.execute(query)), rows_of(server)
    for row in sorted(left ^ right, key=str)[:10]:
        print(table, "DuckDB" if row in left else "PostgreSQL", row)
    if left != right or not left:
        sys.exit(f"{table} differs, or is empty")
    counts.append(f"{len(left)} {table}")
print("same rows: " + ", ".join(counts))
PYTHON
}

# --- defects -----------------------------------------------------------------------------------------------------
plant() {
  cp "$duckdb" "$work/defect.duckdb"
  "$venv/bin/python" -c '
import duckdb, sys
connection = duckdb.connect(sys.argv[1])
connection.execute("set timezone = \"UTC\"")
for statement in sys.argv[2].split(";"):
    changed = connection.execute(statement).fetchone()
    if changed and changed[0] == 0:
        sys.exit("the defect changes nothing: " + statement)
' "$work/defect.duckdb" "$1"
}
# Usage: defect NAME TEST SQL: the build must fail, and TEST among what failed.
defect() { step "defect: $1" duckdb find_defect "$2" "$3"; }
find_defect() {
  local test=$1 sql=$2 code=0
  plant "$sql"
  run_dbt duckdb "$work/defect.duckdb" build || code=$?
  results duckdb fail >found
  if [ "$code" -ne 1 ] || ! grep -q "$test" found; then
    echo "dbt ended with $code, and what failed is not $test:"
    cat found
    return 1
  fi
  echo "found by $test$([ "$(wc -l <found)" -eq 1 ] || echo ", $(($(wc -l <found) - 1)) more")"
}
find_stale() {
  local code=0
  plant "update raw.tracking_event set received_at = received_at - interval 3 day"
  run_dbt duckdb "$work/defect.duckdb" source freshness || code=$?
  results_of_freshness duckdb | tee found
  [ "$code" -eq 1 ] && grep -q "tracking_event error" found
}

# --- the run -----------------------------------------------------------------------------------------------------
# Not a step: what it starts must be ours to stop.
from=$SECONDS
postgres
report "start PostgreSQL" postgres "$("$pg_bin/postgres" --version | cut -d ' ' -f 3)" "$((SECONDS - from)) s"
from=$SECONDS
log=$work/warehouses.log
warehouses >"$log" 2>&1
log=
report "fill both warehouses" both "$(wc -l <parcels.csv) orders with parcels" "$((SECONDS - from)) s"

report "network while dbt runs" duckdb "$([ ${#offline[@]} -gt 0 ] && echo none || echo "not taken away: no unshare")" "-"
for target in duckdb postgres; do
  step "dbt build" "$target" build "$target"
  step "dbt docs generate" "$target" docs "$target"
  step "dbt source freshness" "$target" fresh "$target"
done
step "models are the same" both same_models

defect "an event twice" no_duplicate_event \
  "insert into raw.tracking_event select * from raw.tracking_event limit 1"
defect "an event without its tracking" every_event_has_its_tracking \
  "delete from base.fct_shipment_tracking where tracking_id = (select min(tracking_id) from raw.tracking_event)"
defect "a checkpoint lost" tracking_agrees_with_its_checkpoints \
  "delete from base.fct_tracking_checkpoint
   where position = 1 and tracking_id = (select min(tracking_id) from base.fct_tracking_checkpoint)"
# The table itself would refuse it: in a copy without its CHECK.
defect "a ledger row that does not add up" lines_are_the_sum_of_outcomes \
  "create or replace table raw.loaded_file as select * replace (inserted + 1 as inserted) from raw.loaded_file"
defect "a ledger status of no meaning" accepted_values_raw_loaded_file_status \
  "update raw.loaded_file set status = 'lost' where dataset = 'departments'"
defect "versions that overlap" unbroken_versions_base_dim_product \
  "update base.dim_product set valid_to = valid_to + interval 1 day where not is_current and product_id = 1"
defect "versions with a gap" unbroken_versions_base_dim_customer \
  "update base.dim_customer set valid_to = valid_to - interval 1 day where not is_current and customer_id = 1"
defect "two current versions" unbroken_versions_base_dim_product \
  "update base.dim_product set is_current = true where not is_current and product_id = 2"
defect "a line without its order" relationships_base_fct_order_line_order_id \
  "delete from base.fct_order where order_id = (select min(order_id) from base.fct_order_line)"
defect "a line that is not what landed" facts_are_the_newest_that_landed \
  "update base.fct_order_line set quantity = quantity + 1 where order_item_id = 1"
defect "a mart that is not the facts" agg_product_day_equals_the_facts \
  "update mart.agg_product_day set lines = lines + 1 where product_id = 1"
defect "a day missing in the mart" product_day_has_no_holes \
  "delete from mart.product_day where product_id = 1 and date = (select max(as_of) - 3 from mart.published)"
defect "a day published too early" published_day_is_the_last_complete_one \
  "update mart.published set as_of = as_of + 1"
step "defect: no webhook for three days" duckdb find_stale

# --- the end -----------------------------------------------------------------------------------------------------
awk -F '\t' '{ printf "%-42s %-9s %5s  %s\n", $1, $2, $4, $3 }' table
if [ "$failed" -ne 0 ]; then
  echo "test-dbt: FAILED" >&2
  exit 1
fi
echo "test-dbt: passed in $((SECONDS - began)) s"
