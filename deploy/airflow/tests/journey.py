"""Runs the DAGs under a real scheduler against a real warehouse, and compares what is there with what should be.

Usage: journey.py PROGRAM DAGS_FOLDER TEMPORARY_FOLDER. Called by scripts/test-airflow.sh, which says what is needed.
Runs: first, nothing new, a command that fails once, a rejected line with strict, the run after it, a day that is not
published, the run after that, a backfill. Reads Airflow's metadata database only to see what became of tasks.
"""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import airflow

IS_2 = airflow.__version__.startswith("2.")
RUN_SECONDS_MAX = 300
START_SECONDS_MAX = 120
# The last day of the history; later days come one by one.
HISTORY_END = date(2026, 6, 28)
HISTORY_DAYS = 60
FIRST_DAYS = (date(2026, 6, 29), date(2026, 6, 30))
# Product 2 sells each day until then: on the last of the first days it has ceased to sell.
CEASED_DAYS = 9
CEASED_FROM = FIRST_DAYS[-1] - timedelta(days=CEASED_DAYS - 1)
MASTERS = ["load_departments", "load_categories", "load_products", "load_customers"]
LOADS = [*MASTERS, "load_orders", "load_order_items", "load_trackings"]
FINISH = ["marts", "audit", "publish"]
EVENTS = 5


class Shop:
    """Made-up files of a shop. One order a day with a line for each product that sells."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.order = 0
        self.item = 0

    def write(self, dataset: str, day: date, text: str) -> None:
        folder = self.root / dataset
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / f"{day}.csv.tmp"
        unfinished.write_text(text)
        unfinished.rename(folder / f"{day}.csv")

    def masters(self, day: date) -> None:
        self.write("departments", day, "1,Outdoors\n")
        self.write("categories", day, "1,1,Boats\n")
        # The comma of the third is not quoted: one column too many.
        self.write("products", day, "1,1,Canoe,,10.00,\n2,1,Paddle,,5.00,\n3,1,Dry bag, red,,2.00,\n")
        self.write("customers", day, "1,Ada,L,x,x,1 Lake Road,Kiel,SH,01234\n")

    def sales(self, days: list[date], *, broken: str = "") -> None:
        orders, items = [], []
        for day in days:
            self.order += 1
            orders.append(f"{self.order},{day} 10:00:00,1,COMPLETE\n")
            for product, price in ((1, 10), (2, 5)):
                if product == 2 and day >= CEASED_FROM:
                    continue
                self.item += 1
                items.append(f"{self.item},{self.order},{product},1,{price}.00,{price}.00\n")
        self.write("orders", days[-1], "".join(orders) + broken)
        self.write("order_items", days[-1], "".join(items))


class Airflow:
    """The processes of Airflow, below one folder, on loopback."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.processes: list[subprocess.Popen] = []
        self.airflow = str(Path(sys.executable).with_name("airflow"))

    def start(self) -> None:
        self.command("db", "migrate")
        port = free_port()
        os.environ["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] = f"http://127.0.0.1:{port}/execution/"
        # Its log server would listen on all addresses, and on a fixed port.
        self.spawn("scheduler", "--skip-serve-logs")
        if not IS_2:
            self.spawn("dag-processor")
            self.spawn("api-server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1")
        self.wait("both DAGs are known", START_SECONDS_MAX, lambda: len(self.rows("select dag_id from dag")) == 2)
        if not IS_2:
            self.wait("the API server listens", START_SECONDS_MAX, lambda: listens(port))
        for dag in ("waybill_load", "waybill_ceased_selling"):
            self.command("dags", "unpause", dag)

    def spawn(self, *arguments: str) -> None:
        log = (self.home / f"{arguments[0]}.log").open("w")
        # A session of its own, so that its children can be ended with it.
        self.processes.append(
            subprocess.Popen([self.airflow, *arguments], stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        )

    def stop(self) -> None:
        for ending in (signal.SIGTERM, signal.SIGKILL):
            for process in self.processes:
                try:
                    os.killpg(process.pid, ending)
                except ProcessLookupError:
                    pass
            for process in self.processes:
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    pass

    def command(self, *arguments: str) -> str:
        done = subprocess.run([self.airflow, *arguments], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"airflow {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def rows(self, sql: str, *values: str) -> list[tuple]:
        connection = sqlite3.connect(f"file:{self.home}/airflow.db?mode=ro", uri=True, timeout=30)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def wait(self, what: str, seconds: float, holds) -> None:
        end = time.monotonic() + seconds
        while not holds():
            for process in self.processes:
                if process.poll() is not None:
                    raise SystemExit(f"{process.args[1]} ended with {process.returncode}; its log:\n{self.tail()}")
            if time.monotonic() > end:
                raise SystemExit(f"not within {seconds} s: {what}\n{self.tail()}")
            time.sleep(0.3)

    def tail(self) -> str:
        logs = sorted(self.home.glob("*.log"))
        return "\n".join(f"--- {log.name}\n" + "\n".join(log.read_text().splitlines()[-25:]) for log in logs)

    def run(self, run_id: str, conf: dict) -> tuple[str, dict[str, tuple[str, int]], float]:
        """State of the run, then state and tries of each task, then seconds from the trigger to the end."""
        began = time.monotonic()
        # As the runs of a schedule have one: it says which run is the one before.
        logical_date = [] if IS_2 else ["--logical-date", datetime.now(timezone.utc).isoformat()]
        self.command("dags", "trigger", "waybill_load", "--run-id", run_id, "--conf", json.dumps(conf), *logical_date)
        state = lambda: self.rows("select state from dag_run where run_id = ?", run_id)[0][0]  # noqa: E731
        self.wait(f"run {run_id} ends", RUN_SECONDS_MAX, lambda: state() in ("success", "failed"))
        tasks = self.rows("select task_id, state, try_number from task_instance where run_id = ?", run_id)
        return state(), {task: (state, tries) for task, state, tries in tasks}, time.monotonic() - began

    def log_of(self, run_id: str, task: str, dag: str = "waybill_load") -> str:
        logs = sorted((self.home / "logs").glob(f"dag_id={dag}/run_id={run_id}/task_id={task}/*.log"))
        return "\n".join(log.read_text() for log in logs)

    def published(self) -> list[str]:
        table = "dataset_event" if IS_2 else "asset_event"
        return [json.loads(extra).get("as_of") for (extra,) in self.rows(f"select extra from {table} order by id")]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


class Check:
    """Facts, expected and found, and the table at the end."""

    def __init__(self, program: str) -> None:
        self.program = program
        self.faults: list[str] = []
        self.table: list[tuple[str, float, str]] = []

    def equal(self, what: str, found, expected) -> None:
        if found != expected:
            self.faults.append(f"{what}: expected {expected!r}, found {found!r}")
            print(f"  WRONG {self.faults[-1]}", flush=True)

    def tasks(self, what: str, found: dict, *, success=(), skipped=(), failed=(), upstream_failed=()) -> None:
        """Every task is in the state that is named; `discover` has always succeeded."""
        expected = {"discover": "success"}
        for state, names in (
            ("success", success),
            ("skipped", skipped),
            ("failed", failed),
            ("upstream_failed", upstream_failed),
        ):
            expected.update(dict.fromkeys(names, state))
        self.equal(f"{what}, tasks", {task: state for task, (state, _) in found.items()}, expected)

    def query(self, sql: str) -> list[dict]:
        done = subprocess.run(
            [self.program, "query", sql, "--format", "json"], capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)

    def one(self, sql: str):
        return self.query(sql)[0]["n"]

    def row(self, name: str, seconds: float, told: str) -> None:
        self.table.append((name, seconds, told))
        print(f"  {name:<22} {seconds:6.1f} s  {told}", flush=True)


def land_parcels(program: str, folder: Path) -> None:
    """A few trackings in the lake, by the program's own receiver, simulator and batch."""
    secret = "journey-secret-0123456789"
    ports = folder / "ports.json"
    environment = {
        **os.environ,
        "WAYBILL_WEBHOOK_SECRETS": secret,
        "WAYBILL_LISTEN": "127.0.0.1:0",
        "WAYBILL_OPS_LISTEN": "off",
        "WAYBILL_QUEUE": f"file:{folder}/queue",
        "WAYBILL_DRAIN_DELAY": "0s",
        "WAYBILL_BATCH_AGE": "200ms",
    }
    with (folder / "receive.log").open("w") as log:
        receiver = subprocess.Popen(
            [program, "receive", "--ports-file", str(ports)], env=environment, stdout=log, stderr=log
        )
        try:
            end = time.monotonic() + 30
            while not ports.exists():
                if time.monotonic() > end or receiver.poll() is not None:
                    raise SystemExit(f"receive did not start:\n{(folder / 'receive.log').read_text()}")
                time.sleep(0.05)
            url = f"http://{json.loads(ports.read_text())['listen']}/webhooks/aftership"
            subprocess.run(
                [program, "simulate", "--url", url, "--secret", secret, "--count", str(EVENTS), "--rate", "100"],
                env=environment,
                check=True,
                stdout=log,
                stderr=log,
            )
        finally:
            receiver.terminate()
            receiver.wait()
        subprocess.run([program, "batch", "--once"], env=environment, check=True, stdout=log, stderr=log)


def flaky(program: str, folder: Path, marker: Path) -> Path:
    """The program, but a load of customers ends with 1 while there is a marker, which it takes away."""
    path = folder / "waybill-flaky"
    path.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *"--dataset customers"*) if rm "{marker}" 2>/dev/null; then exit 1; fi ;; esac\n'
        f'exec "{program}" "$@"\n'
    )
    path.chmod(0o755)
    return path


def first(check: Check, running: Airflow, shop: Shop) -> None:
    history = [HISTORY_END - timedelta(days=back) for back in reversed(range(HISTORY_DAYS))]
    shop.masters(history[0])
    for days in (history, *([day] for day in FIRST_DAYS)):
        shop.sales(days)
    units = sum(day < CEASED_FROM for day in history)

    state, tasks, seconds = running.run("first", {"day": str(FIRST_DAYS[-1])})

    check.equal("first", state, "success")
    check.tasks("first", tasks, success=[*LOADS, *FINISH])
    check.equal("orders", check.one("select count(*) as n from base.fct_order"), HISTORY_DAYS + 2)
    check.equal("lines", check.one("select count(*) as n from base.fct_order_line"), HISTORY_DAYS + 2 + units)
    sold = "select cast(sum(units_sold) as bigint) as n from mart.product_day where product_id = 2"
    check.equal("units of 2", check.one(sold), units)
    check.equal("rejected", check.one("select count(*) as n from raw.rejected_row where status = 'open'"), 1)
    landed = "select cast(sum(lines) as bigint) as n from raw.loaded_file where dataset = 'tracking'"
    check.equal("events", check.one(landed), EVENTS)
    check.equal("a parcel", check.one("select count(*) as n from base.fct_shipment_tracking") > 0, True)
    check.equal("published", running.published(), [str(FIRST_DAYS[-1])])
    check.row("first", seconds, "10 files and the trackings loaded, audited, published")


def report(check: Check, running: Airflow) -> None:
    began = time.monotonic()
    runs = "select run_id, state from dag_run where dag_id = 'waybill_ceased_selling'"

    running.wait("the report has run", RUN_SECONDS_MAX, lambda: [one[1] for one in running.rows(runs)] == ["success"])

    told = running.log_of(running.rows(runs)[0][0], "*", "waybill_ceased_selling")
    check.equal("report", f"product 2: {CEASED_DAYS} days without a sale" in told, True)
    check.equal("report, day", f"'--as-of', '{FIRST_DAYS[-1]}'" in told, True)
    check.row("its report", time.monotonic() - began, "started by the asset, for its day: product 2 has ceased")


def nothing_new(check: Check, running: Airflow) -> None:
    ledger = check.one("select count(*) as n from raw.loaded_file")

    state, tasks, seconds = running.run("nothing", {})

    check.equal("nothing", state, "success")
    check.tasks("nothing", tasks, skipped=[*LOADS, *FINISH])
    check.equal("nothing, ledger", check.one("select count(*) as n from raw.loaded_file"), ledger)
    check.equal("nothing, published", len(running.published()), 1)
    check.row("nothing new", seconds, "all loads, marts, audit, publish skipped")


def fails_once(check: Check, running: Airflow, shop: Shop, marker: Path) -> None:
    shop.write("customers", date(2026, 7, 1), "2,Bob,M,x,x,2 Lake Road,Kiel,SH,01234\n")
    marker.touch()

    state, tasks, seconds = running.run("fails-once", {})

    check.equal("fails once", state, "success")
    check.tasks("fails once", tasks, success=["load_customers", *FINISH], skipped=without(LOADS, "load_customers"))
    check.equal("fails once, tries", tasks["load_customers"][1], 2)
    check.row("fails once", seconds, "exit code 1 was tried again, then loaded and published")


def rejected_with_strict(check: Check, running: Airflow, shop: Shop) -> None:
    shop.sales([date(2026, 7, 1)], broken="x,y\n")
    published = len(running.published())

    state, tasks, seconds = running.run("strict", {"strict": True})

    check.equal("strict", state, "failed")
    check.tasks(
        "strict",
        tasks,
        skipped=[*MASTERS, "load_trackings"],
        failed=["load_orders"],
        upstream_failed=["load_order_items", *FINISH],
    )
    check.equal("strict, tries", tasks["load_orders"][1], 1)
    check.equal("strict, dead end", "dead_end=rejected" in running.log_of("strict", "load_orders"), True)
    check.equal("strict, published", len(running.published()), published)
    check.equal("strict, day", check.query("select as_of from mart.published")[0]["as_of"], str(FIRST_DAYS[-1]))
    check.row("rejected, strict", seconds, "load_orders failed at its first try; nothing after it ran")

    state, tasks, seconds = running.run("after-strict", {"day": "2026-07-01"})

    check.equal("after strict", state, "success")
    check.tasks(
        "after strict",
        tasks,
        success=["load_order_items", *FINISH],
        skipped=without(LOADS, "load_order_items"),
    )
    check.equal("after strict, published", running.published()[-1], "2026-07-01")
    check.row("the run after", seconds, "the day's order lines, then published")


def day_not_published(check: Check, running: Airflow) -> None:
    published = len(running.published())

    state, tasks, seconds = running.run("late-day", {"day": "2026-12-31"})

    check.equal("late day", state, "failed")
    check.tasks("late day", tasks, success=["marts"], skipped=LOADS, failed=["audit"], upstream_failed=["publish"])
    check.equal("late day, tries", tasks["audit"][1], 1)
    check.equal("late day, published", len(running.published()), published)
    check.row("a day not published", seconds, "audit failed at its first try; publish did not run")

    state, tasks, seconds = running.run("after-late-day", {})

    check.equal("after late day", state, "success")
    check.tasks("after late day", tasks, success=FINISH, skipped=LOADS)
    check.row("the run after", seconds, "nothing new, yet marts, audit, publish: the run before had failed")


def backfill(check: Check, running: Airflow, shop: Shop) -> None:
    for day in (2, 3, 4):
        shop.sales([date(2026, 7, day)])
    range_ = {"from": "2026-07-03", "to": "2026-07-03", "datasets": ["orders", "order_items"]}

    state, tasks, seconds = running.run("backfill", range_)

    check.equal("backfill", state, "success")
    check.tasks(
        "backfill",
        tasks,
        success=["load_orders", "load_order_items", *FINISH],
        skipped=[*MASTERS, "load_trackings"],
    )
    loaded = check.query("select file from raw.loaded_file where file like 'order%/2026-07-0%' order by file")
    days = ("2026-07-01", "2026-07-03")
    expected = [f"{dataset}/{day}.csv" for dataset in ("order_items", "orders") for day in days]
    check.equal("backfill, files", [row["file"] for row in loaded], expected)
    check.row("backfill", seconds, "only the files of 2026-07-03")


def without(names: list[str], name: str) -> list[str]:
    return [one for one in names if one != name]


def settle(program: str, dags: str, folder: Path, marker: Path) -> None:
    """The environment of all that is started from here."""
    home = folder / "airflow"
    os.environ.update(
        {
            "WAYBILL_WAREHOUSE": f"duckdb:{folder}/warehouse.duckdb",
            "WAYBILL_LAKE": f"file:{folder}/lake",
            "WAYBILL_RETAIL": f"file:{folder}/retail",
            "AIRFLOW_HOME": str(home),
            # Airflow 2 starts itself by its name.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "AIRFLOW_VAR_WAYBILL": json.dumps(
                {
                    "program": str(flaky(program, folder, marker)),
                    "schedule": None,
                    "retries": 2,
                    "retry_delay_seconds": 1,
                    "timeout_minutes": 2,
                }
            ),
            "AIRFLOW__CORE__DAGS_FOLDER": dags,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
            "AIRFLOW__CORE__EXECUTOR": "SequentialExecutor" if IS_2 else "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "true",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
            # Shared by its processes, of which each would make one up.
            "AIRFLOW__API_AUTH__JWT_SECRET": os.urandom(32).hex(),
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
            # How soon the end of a task is noticed; 5 by default.
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "false",
        }
    )


def main() -> int:
    program, dags, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    home = folder / "airflow"
    home.mkdir()
    marker = folder / "fails-once"
    settle(program, dags, folder, marker)
    # So that `finally` is reached.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    check = Check(program)
    began = time.monotonic()
    shop = Shop(folder / "retail")
    land_parcels(program, folder)
    check.row("parcels", time.monotonic() - began, f"{EVENTS} simulated events in the lake")

    running = Airflow(home)
    began_airflow = time.monotonic()
    try:
        running.start()
        check.row(
            "start", time.monotonic() - began_airflow, f"Airflow {airflow.__version__}: database, scheduler, DAGs"
        )
        first(check, running, shop)
        report(check, running)
        nothing_new(check, running)
        fails_once(check, running, shop, marker)
        rejected_with_strict(check, running, shop)
        day_not_published(check, running)
        backfill(check, running, shop)
    finally:
        running.stop()
    if check.faults:
        print(running.tail(), file=sys.stderr)
        print("\n".join(["journey: FAILED", *check.faults]), file=sys.stderr)
        return 1
    print(f"journey: passed, {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
