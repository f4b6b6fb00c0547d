#!/usr/bin/env python3
"""What Waybill on AWS costs a month, by events a second: the arithmetic behind the tables in ../README.md.

    python3 costs.py                  prints the tables
    python3 costs.py --check          exits 1 when README.md has others, or docs/PERFORMANCE.md other counts
    python3 costs.py --write          puts them into README.md

Requests are those that the program counted (docs/PERFORMANCE.md, "What a million events cost"). Prices are in
prices.json. Machines are measured where it says so, and else estimated.
"""

import argparse
import json
import math
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
README = HERE.parent / "README.md"
PERFORMANCE = HERE.parents[2] / "docs" / "PERFORMANCE.md"
PRICES = json.loads((HERE / "prices.json").read_text(encoding="utf-8"))

SECONDS_A_MONTH = PRICES["hours_a_month"] * 3600

# Requests in thousands for a million events, with a freshness of a minute: SQS, S3 PUT and LIST, S3 GET. --check holds
# them to the table in docs/PERFORMANCE.md.
COUNTED = {10: (2136.7, 120.0, 40.0), 500: (596.0, 2.7, 1.1)}
# What an idle deployment asks for in a month, by the settings: a long poll each 5 s, a listing each 5 and 10 s.
IDLE_SQS, IDLE_LISTS = 0.52e6, 0.78e6

# Bytes of an event on its way, of the stand-in's bodies. Measured on 2026-11-29: 2,625 and 20,000 events.
BODY_BYTES = 9_000  # the median is 8 to 11 kB (docs/ARCHITECTURE.md)
MESSAGE_BYTES = 2_600  # compressed and as text, mean
LAKE_BYTES = 470  # zstd, objects of 1,800 events, manifests included; in objects of 63 events it is 570
DATABASE_BYTES = (
    2_200  # PostgreSQL 15, 20,000 events, tables and indexes, less the empty database; Redshift: not measured
)

# Processes at each rate: (vCPU, GB, how many), and zones. `shape` is an example of ours.
SIZES = {
    10: {
        "shape": "one task (examples/small)",
        "tasks": {"up": (1, 2, 1)},
        "reconcile": (0.5, 2),
        "database": "db.t4g.small",
        "nat": 1,
        "endpoints": 0,
    },
    100: {
        "shape": "apart, PostgreSQL",
        "tasks": {"receive": (0.5, 1, 2), "batch": (0.5, 1, 1), "load": (1, 2, 1), "poll": (0.25, 0.5, 1)},
        "reconcile": (0.5, 2),
        "database": "db.m7g.large",
        "nat": 1,
        "endpoints": 0,
    },
    1000: {
        "shape": "apart, Redshift (examples/large)",
        "tasks": {"receive": (1, 2, 3), "batch": (1, 2, 2), "load": (2, 4, 1), "poll": (0.25, 0.5, 1)},
        "reconcile": (1, 4),
        "database": "2 x ra3.xlplus",
        "nat": 3,
        "endpoints": 18,
    },
    10000: {
        "shape": "the same, larger",
        "tasks": {"receive": (2, 4, 6), "batch": (2, 4, 5), "load": (4, 8, 1), "poll": (0.25, 0.5, 1)},
        "reconcile": (2, 8),
        "database": "4 x ra3.4xlarge",
        "nat": 3,
        "endpoints": 18,
    },
}
# Of an hour, how much a reconciliation takes: an estimate.
RECONCILE_SHARE = 0.1
# One log line for each batch and load, and those of requests of nobody.
LOG_GB = {10: 0.3, 100: 0.5, 1000: 2, 10000: 10}
KEYS, SECRETS, ALARMS = 1, 5, 15


def requests_of_a_million(rate):
    """Thousands of requests: as counted, in between by the logarithm of the rate, beyond as at 500 a second."""
    if rate in COUNTED:
        return COUNTED[rate]
    low, high = COUNTED[10], COUNTED[500]
    share = min(1.0, (math.log(rate) - math.log(10)) / (math.log(500) - math.log(10)))
    return tuple(math.exp(math.log(a) + share * (math.log(b) - math.log(a))) for a, b in zip(low, high))


def month(rate):
    """Dollars a month by part, and events."""
    size, hours = SIZES[rate], PRICES["hours_a_month"]
    events = rate * SECONDS_A_MONTH
    sqs, puts, gets = (thousands * 1e3 * events / 1e6 for thousands in requests_of_a_million(rate))
    gb = events / 1e9
    parts = {}
    parts["requests"] = (
        (sqs + IDLE_SQS) / 1e6 * PRICES["sqs_million_requests"]
        + (puts + IDLE_LISTS) / 1e6 * PRICES["s3_million_puts_and_lists"]
        + gets / 1e6 * PRICES["s3_million_gets"]
    )
    tasks = [(cpu * count, memory * count) for cpu, memory, count in size["tasks"].values()]
    cpu, memory = size["reconcile"]
    tasks.append((cpu * RECONCILE_SHARE, memory * RECONCILE_SHARE))
    parts["tasks"] = hours * (
        sum(cpu for cpu, _ in tasks) * PRICES["fargate_vcpu_hour"]
        + sum(memory for _, memory in tasks) * PRICES["fargate_gb_hour"]
    )
    # A unit is 1 GB an hour or 25 new connections a second, whatever is more. Whether AfterShip keeps connections is not
    # published: here each webhook comes on its own.
    units = max(rate * BODY_BYTES * 3600 / 1e9, rate / 25)
    parts["door"] = hours * (PRICES["load_balancer_hour"] + units * PRICES["load_balancer_unit_hour"])
    # Each message goes to SQS and comes back; S3 goes by its own endpoint, for nothing.
    way = 2 * MESSAGE_BYTES * gb
    per_gb = PRICES["endpoint_gb"] if size["endpoints"] else PRICES["nat_gateway_gb"]
    parts["network"] = (
        hours * (size["nat"] * PRICES["nat_gateway_hour"] + size["endpoints"] * PRICES["endpoint_hour"]) + way * per_gb
    )
    parts["database"] = hours * PRICES["database_hour"][size["database"]]
    # What a month adds, paid for a month.
    database_gb = PRICES["database_gb_month"]["ra3" if "ra3" in size["database"] else "db"]
    parts["storage"] = gb * (LAKE_BYTES * PRICES["s3_gb_month"] + DATABASE_BYTES * database_gb)
    parts["rest"] = (
        LOG_GB[rate] * PRICES["log_gb"]
        + KEYS * PRICES["key_month"]
        + SECRETS * PRICES["secret_month"]
        + ALARMS * PRICES["alarm_month"]
    )
    return events, parts


def dollars(amount):
    return f"{amount:,.0f}" if amount >= 10 else f"{amount:.1f}"


def tables():
    """Both tables, as Markdown."""
    lines = [
        "| events a second | shape | tasks (vCPU, GB) | database |",
        "|---|---|---|---|",
    ]
    for rate, size in SIZES.items():
        tasks = ", ".join(
            f"{count} `{name}` ({cpu:g}, {memory:g})" for name, (cpu, memory, count) in size["tasks"].items()
        )
        lines.append(f"| {rate:,} | {size['shape']} | {tasks} | {size['database']} |")
    parts = list(month(10)[1])
    lines += [
        "",
        f"| events a second | events a month | {' | '.join(parts)} | dollars a month | a million events |",
        "|---|" + "---|" * (len(parts) + 3),
    ]
    for rate in SIZES:
        events, costs = month(rate)
        total = sum(costs.values())
        cells = " | ".join(dollars(costs[part]) for part in parts)
        lines.append(
            f"| {rate:,} | {events / 1e6:,.0f} M | {cells} | **{dollars(total)}** | {total / events * 1e6:.2f} |"
        )
    return "\n".join(lines)


def counted():
    """The counts in docs/PERFORMANCE.md, by rate, with a freshness of a minute."""
    rows = re.findall(
        r"^\| (\d+) \| `1m` \| \d+ \|(?: [\d.]+ \|){4} ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|",
        PERFORMANCE.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    return {int(rate): tuple(map(float, counts)) for rate, *counts in rows}


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--check", action="store_true")
    arguments.add_argument("--write", action="store_true")
    chosen = arguments.parse_args()
    between = re.compile(r"(?<=<!-- costs:start -->\n).*?(?=<!-- costs:end -->)", re.DOTALL)
    if chosen.write:
        README.write_text(between.sub(lambda _: tables() + "\n", README.read_text(encoding="utf-8")), encoding="utf-8")
    elif chosen.check:
        if counted() != COUNTED:
            sys.exit(f"docs/PERFORMANCE.md counts {counted()}, costs.py has {COUNTED}: take those, then --write")
        written = between.search(README.read_text(encoding="utf-8"))
        if not written or written.group() != tables() + "\n":
            sys.exit("README.md has other tables: python3 deploy/terraform/costs/costs.py --write")
        print("  costs: README.md has the tables of today, by the counts of docs/PERFORMANCE.md")
    else:
        print(tables())


if __name__ == "__main__":
    main()
