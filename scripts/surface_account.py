"""Whether every webhook that was answered 200 is in the warehouse or among the dead letters, and nothing else is; and
whether every dead letter is still open, since no made-up order means any.

Prints the table of a run of scripts/surface.sh and then the account; ends with 1 when anything failed.

Usage: surface_account.py RECORDS PROGRAM METRICS_URL
"""

import json
import subprocess
import sys
import time
import urllib.request
from collections import Counter, defaultdict

# What was acknowledged lands and loads within a second or two.
PATIENCE_SECONDS = 60
BODIES_SHOWN = 3

BODIES = """
select body_sha256, event_key, 'event' as place from raw.tracking_event
union all select body_sha256, event_key, 'conflict' from raw.tracking_event_conflict
"""
LEDGER = "select coalesce(sum(lines), 0) as lines, coalesce(sum(rejected), 0) as rejected from raw.loaded_file"
ACCEPTED = 'waybill_receive_requests_total{outcome="accepted"}'


def main():
    path, program, metrics_url = sys.argv[1:]
    with open(path, encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    failures = [record for record in records if "failure" in record]
    print_table(records)
    print_failures(failures)

    accepted = [record["sha256"] for record in records if record.get("status") == 200 and record.get("is_signed")]
    stored = await_all(program, accepted)
    differences = compare(accepted, stored, accepted_by_metrics(metrics_url))
    for what, count in differences.items():
        print(f"surface: {what}: {count}")
    return 1 if failures or differences else 0


def print_table(records):
    answers, failures = defaultdict(Counter), Counter()
    for record in records:
        row = record["run"], record["operation"]
        if "failure" in record:
            failures[row] += 1
        else:
            answers[row][record["status"]] += 1
    lines = [("run", "operation", "examples", "failures", "answers")]
    for row in answers | failures:
        by_status = ", ".join(f"{status}: {count}" for status, count in sorted(answers[row].items()))
        lines.append((*row, str(answers[row].total()), str(failures[row]), by_status))
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def print_failures(failures):
    """Each kind once, with the shortest bodies that show it."""
    kinds = defaultdict(set)
    for record in failures:
        kinds[record["run"], record["operation"], record["failure"]].add(record["body"])
    for name, operation, failure in kinds:
        print(f"surface: {name}: {operation}: {failure}")
        for body in sorted(kinds[name, operation, failure], key=len)[:BODIES_SHOWN]:
            print(f"  {body}")


def await_all(program, accepted):
    """What is stored, once nothing of what was acknowledged is under way any more, or patience has ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        stored = look(program)
        bodies = stored["events"] | stored["conflicts"] | stored["letters"]
        arrived = stored["lines"] + stored["letters"].total()
        if (bodies.keys() >= set(accepted) and arrived >= len(accepted)) or time.monotonic() > deadline:
            return stored
        time.sleep(0.5)


def look(program):
    """How often each body is in each place, and what the ledger says."""
    rows = run(program, "query", "--format", "json", BODIES)
    letters = run(program, "dead-letters", "list", "--all", "--format", "json")
    ledger = run(program, "query", "--format", "json", LEDGER)[0]
    return {
        "events": Counter(row["body_sha256"] for row in rows if row["place"] == "event"),
        "conflicts": Counter(row["body_sha256"] for row in rows if row["place"] == "conflict"),
        "letters": Counter(letter["body_sha256"] for letter in letters),
        "closed": sum(letter["state"] != "open" for letter in letters),
        "event keys": Counter(row["event_key"] for row in rows if row["place"] == "event"),
        # Sums are exact, and so may be texts.
        "lines": int(ledger["lines"]),
        "rejected": int(ledger["rejected"]),
    }


def compare(accepted, stored, counted):
    """What differs: every body is in one place, and as many arrived as were acknowledged."""
    wanted = set(accepted)
    events, conflicts, letters = (set(stored[place]) for place in ("events", "conflicts", "letters"))
    letters_count = stored["letters"].total()
    print(f"\nsigned 200 answers {len(accepted)}, distinct bodies {len(wanted)}:")
    print(f"  bodies of events {len(events)}, of conflicts with one {len(conflicts)}, of dead letters {len(letters)}")
    print(f"  lines loaded {stored['lines']}, dead letters {letters_count}, accepted by the metrics {counted}")
    differences = {
        "no signed webhook was answered 200": not accepted,
        "bodies that were acknowledged and are nowhere": len(wanted - events - conflicts - letters),
        "bodies that are stored and were not acknowledged": len((events | conflicts | letters) - wanted),
        "bodies that are both an event and a conflict": len(events & conflicts),
        "bodies that are both an event and a dead letter": len((events | conflicts) & letters),
        "event keys with more than one event": sum(count > 1 for count in stored["event keys"].values()),
        "lines that were rejected": stored["rejected"],
        "letters that a made-up order replayed or dropped": stored["closed"],
        "lines and letters more or less than answers": stored["lines"] + letters_count - len(accepted),
        "accepted by the metrics more or less than answers": counted - len(accepted),
    }
    return {what: int(count) for what, count in differences.items() if count}


def accepted_by_metrics(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    return sum(int(float(line.split(" ")[1])) for line in text.splitlines() if line.startswith(ACCEPTED))


def run(program, *arguments):
    """What the program prints as JSON."""
    return json.loads(subprocess.run([program, *arguments], check=True, stdout=subprocess.PIPE).stdout)


if __name__ == "__main__":
    sys.exit(main())
