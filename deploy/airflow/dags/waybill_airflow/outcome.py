"""What an exit code means for a task, and where the result is in what a command wrote."""

import json
from collections.abc import Iterable
from typing import Any

# Exit codes after which the same command would end in the same way, each with its dead end's name. All others may heal:
# 1, a signal, a container that was taken away, and 75, a load that a signal stopped half-way and that goes on from there.
DEAD_ENDS = {
    2: ("usage", "the program does not know this command: are program and DAG of the same release?"),
    3: ("rejected", "something was rejected, or an audit failed: see docs/PIPELINE.md, then clear this task to go on"),
    64: ("usage", "the program does not know this command: are program and DAG of the same release?"),
    65: ("data", "the program cannot use what it was given"),
    78: ("settings", "the program's settings are wrong: the log names each with how to mend it"),
    126: ("program", "the program may not be executed"),
    127: ("program", "the program was not found"),
}

# What a command prints: a JSON object with one of these keys, a JSON array, or nothing that anybody reads.
FOUND = ("datasets", "trackings")
LOADED = ("files",)
REFRESHED = ("as_of",)
ARRAY = ("[]",)
NOTHING = ()


def dead_end(code: int | None) -> tuple[str, str] | None:
    """Name and advice when a retry would not help; None when it may, or when all is well."""
    return DEAD_ENDS.get(code) if code is not None else None


def result_of(text: str, expected: tuple[str, ...]) -> Any:
    """The result in a command's whole output. Errors: ValueError, without the text."""
    if expected == NOTHING:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        raise ValueError("what the program printed is not JSON") from None
    if not is_result(value, expected):
        raise ValueError(f"what the program printed is not the expected JSON ({' or '.join(expected)})")
    return value


def result_among(lines: Iterable[str], expected: tuple[str, ...]) -> Any:
    """The result among lines of a log that others write to as well: the last that fits. None when none does."""
    lines = [line.strip() for line in lines]
    if expected == ARRAY:
        # An array is printed one row a line, between its brackets.
        start = max((at for at, line in enumerate(lines) if line.startswith("[")), default=len(lines))
        lines = ["".join(lines[start : end + 1]) for end in range(start, len(lines)) if lines[end].endswith("]")]
    for line in reversed(lines):
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if is_result(value, expected):
            return value
    return None


def is_result(value: Any, expected: tuple[str, ...]) -> bool:
    if expected == ARRAY:
        return isinstance(value, list)
    return isinstance(value, dict) and any(key in value for key in expected)
