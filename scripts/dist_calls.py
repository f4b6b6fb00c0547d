#!/usr/bin/env python3
"""Holds what a program asked of the system, as strace wrote it, against a systemd unit.

Usage: scripts/dist_calls.py UNIT STRACE-OUTPUT

Fails on a system call that SystemCallFilter= refuses, on a socket of a family that RestrictAddressFamilies= lacks, and
on what MemoryDenyWriteExecute= refuses: memory that is writable and code, or that becomes code.
"""

import collections
import re
import subprocess
import sys

CALL = re.compile(r"^(?:\d+ +)?([a-z_0-9]+)\((.*)")
# Refused as soon as the protection has code in it, whatever the memory was before.
TO_CODE = ("mprotect", "pkey_mprotect")


def lines_of(unit, key):
    with open(unit, encoding="utf-8") as file:
        return [line.split("=", 1)[1].strip() for line in file if line.startswith(key + "=")]


def calls_of(name):
    """The calls of a group such as @system-service, those of the groups in it included."""
    if not name.startswith("@"):
        return {name}
    shown = subprocess.run(["systemd-analyze", "--no-pager", "syscall-filter", name], check=True, capture_output=True, text=True)
    words = [line.strip() for line in shown.stdout.splitlines()[1:]]
    found = set()
    for word in words:
        if word and not word.startswith("#"):
            found |= calls_of(word)
    return found


def allowed_calls(unit):
    allowed = set()
    for line in lines_of(unit, "SystemCallFilter"):
        is_denial = line.startswith("~")
        for word in line.lstrip("~").split():
            allowed = allowed - calls_of(word) if is_denial else allowed | calls_of(word)
    # systemd adds what every program needs to start at all.
    return allowed | calls_of("@default") | {"execve"}


def main(unit, trace):
    allowed = allowed_calls(unit)
    families = set(" ".join(lines_of(unit, "RestrictAddressFamilies")).split())
    no_code = "yes" in lines_of(unit, "MemoryDenyWriteExecute")
    if not allowed or not families or not no_code:
        sys.exit("dist_calls: the unit restricts no calls, no families, or no code")
    made, faults = collections.Counter(), collections.Counter()
    sockets = set()
    with open(trace, encoding="utf-8", errors="replace") as file:
        for line in file:
            match = CALL.match(line)
            if match is None:
                continue
            call, rest = match.groups()
            made[call] += 1
            if call not in allowed:
                faults[f"{call}, which SystemCallFilter refuses"] += 1
            if call == "socket":
                family = rest.split(",", 1)[0]
                sockets.add(family)
                if family not in families:
                    faults[f"a socket of {family}, which RestrictAddressFamilies lacks"] += 1
            if "PROT_EXEC" in rest and (call in TO_CODE or (call == "mmap" and "PROT_WRITE" in rest)):
                faults[f"{call} of code: {rest[:80]}"] += 1
    if made["execve"] == 0 or made["mmap"] == 0 or not sockets:
        sys.exit(f"dist_calls: {trace} does not show a run")
    for fault, times in faults.most_common():
        print(f"dist_calls: {times} times {fault}", file=sys.stderr)
    print(f"dist_calls: {sum(made.values())} calls of {len(made)} kinds, sockets {sorted(sockets)}, {len(allowed)} kinds allowed")
    if faults:
        sys.exit(1)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
