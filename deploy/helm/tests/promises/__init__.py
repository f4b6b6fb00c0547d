"""What the chart promises of the objects that it makes. Each function is one promise; it gives what breaks it.

A promise never looks into the templates: it reads objects as a cluster would get them, so that planted.py can break them.
"""

from collections.abc import Callable

from facts import Facts
from render import Object

Promise = Callable[[list[Object], Facts], list[str]]
PROMISES: list[Promise] = []


def promise(check: Promise) -> Promise:
    PROMISES.append(check)
    return check


def faults(objects: list[Object], facts: Facts) -> list[tuple[str, str]]:
    """By promise, what breaks it."""
    return [(check.__name__, fault) for check in PROMISES for fault in check(objects, facts)]


# Each file adds its own.
from promises import between, pods  # noqa: E402, F401
