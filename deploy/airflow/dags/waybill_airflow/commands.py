"""Which command a task runs, as a list of arguments, and whether it has anything to do.

Never a line for a shell: what somebody types when triggering a run ends up here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

# Masters before what refers to them. The program takes any order; this one only spares it work.
MASTERS = ("departments", "categories", "products", "customers")
DATASETS = (*MASTERS, "orders", "order_items")
TRACKINGS = "trackings"
ALL = (*DATASETS, TRACKINGS)


class RequestError(ValueError):
    """What was asked for cannot be done; a retry changes nothing."""


@dataclass(frozen=True)
class Request:
    """What a run is asked for, by its parameters."""

    # Days that files are about, both in.
    from_day: date | None = None
    to_day: date | None = None
    datasets: tuple[str, ...] = ALL
    is_strict: bool = False
    # The day that must be published at the end.
    day: date | None = None

    @classmethod
    def read(cls, params: Mapping[str, Any]) -> "Request":
        """Errors: [`RequestError`]."""
        request = cls(
            from_day=read_day("from", params.get("from")),
            to_day=read_day("to", params.get("to")),
            datasets=tuple(params.get("datasets") or ALL),
            is_strict=bool(params.get("strict")),
            day=read_day("day", params.get("day")),
        )
        unknown = [name for name in request.datasets if name not in ALL]
        if unknown:
            raise RequestError(f"datasets: unknown: {', '.join(map(repr, unknown))}; known: {', '.join(ALL)}")
        if request.from_day and request.to_day and request.from_day > request.to_day:
            raise RequestError(f"from {request.from_day} is after to {request.to_day}")
        return request

    @property
    def is_backfill(self) -> bool:
        return self.from_day is not None or self.to_day is not None

    def range(self) -> list[str]:
        return [
            *(["--from", self.from_day.isoformat()] if self.from_day else []),
            *(["--to", self.to_day.isoformat()] if self.to_day else []),
        ]


def read_day(name: str, value: Any) -> date | None:
    if value in (None, ""):
        return None
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise RequestError(f"{name}: a day like 2026-07-01 is needed, not {value!r}") from None


def discover(request: Request) -> list[str]:
    return ["load", "--list", *request.range()]


def load(dataset: str, request: Request) -> list[str]:
    return [
        "load",
        "--once",
        "--dataset",
        dataset,
        *request.range(),
        *(["--strict"] if request.is_strict else []),
        "--no-marts",
    ]


def marts() -> list[str]:
    return ["refresh-marts"]


def audit(request: Request) -> list[str]:
    return ["audit", "--format", "json", *(["--day", request.day.isoformat()] if request.day else [])]


def ceased_selling(as_of: date | None) -> list[str]:
    day = ["--as-of", as_of.isoformat()] if as_of else []
    return ["query", "--named", "ceased-selling", *day, "--format", "json"]


def files_new(found: Mapping[str, Any], dataset: str) -> int | None:
    """How many files of a dataset, or tracking objects, the ledger lacks; None without an address to look at.

    Errors: [`RequestError`].
    """
    place = TRACKINGS if dataset == TRACKINGS else "datasets"
    if place not in found and found:
        return None
    try:
        of = found[place] if dataset == TRACKINGS else found[place][dataset]
        return int(of["files"])
    except (KeyError, TypeError, ValueError):
        # Taken for nothing new, it would be skipped for ever, and in silence.
        raise RequestError(f"`load --list` says nothing of {dataset}: is the program too old?") from None


def why_not_load(dataset: str, request: Request, found: Mapping[str, Any]) -> str | None:
    """Why there is nothing to load of a dataset; None when there is."""
    if dataset not in request.datasets:
        return f"{dataset} was not asked for"
    if dataset == TRACKINGS and request.is_backfill:
        return "from and to choose shop files; trackings are loaded by a run without them"
    new = files_new(found, dataset)
    if new is None:
        return f"the program has no {'WAYBILL_LAKE' if dataset == TRACKINGS else 'WAYBILL_RETAIL'}"
    if new == 0:
        return f"no new files of {dataset}"
    return None


def why_no_marts(request: Request, found: Mapping[str, Any], *, is_previous_done: bool) -> str | None:
    """Why the marts need no refresh; None when they do.

    `is_previous_done`: the run before ended well. When it did not, it may have loaded what no refresh has seen.
    """
    if request.day or not is_previous_done:
        return None
    if any(why_not_load(dataset, request, found) is None for dataset in ALL):
        return None
    return "nothing new was found, and the run before ended well"
