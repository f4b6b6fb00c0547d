"""From a task's context to a command: the glue between Airflow and `commands`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any

from waybill_airflow import commands
from waybill_airflow.commands import Request
from waybill_airflow.names import Asset, Variable
from waybill_airflow.operators import LocalOperator, tell_dead_end
from waybill_airflow.outcome import NOTHING
from waybill_airflow.settings import VARIABLE, Ecs, Settings, parse

# What others wait for: the marts of a day, after the audit.
PRODUCT_DAY = Asset("waybill://mart/product_day")


def read_settings() -> Settings:
    return parse(Variable.get(VARIABLE, "{}"))


def default_args(settings: Settings) -> dict[str, Any]:
    return {
        "owner": "waybill",
        "retries": settings.retries,
        "retry_delay": timedelta(seconds=settings.retry_delay_seconds),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=15),
        "execution_timeout": timedelta(minutes=settings.timeout_minutes),
        "pool": settings.pool,
        "on_failure_callback": tell_dead_end,
        # A run speaks for the ledger as it is now, not for its hour: nothing waits for the run before.
        "depends_on_past": False,
    }


def run(
    settings: Settings,
    task_id: str,
    command: Callable[[Mapping[str, Any]], list[str]],
    *,
    skip: Callable[[Mapping[str, Any]], str | None] | None = None,
    expected: tuple[str, ...] = NOTHING,
    **kwargs: Any,
) -> Any:
    """A task that runs the program in the way that the settings say."""
    kwargs = {"task_id": task_id, "command": command, "skip": skip, "expected": expected, **kwargs}
    if settings.runner == "ecs":
        from waybill_airflow.ecs import EcsOperator

        return EcsOperator(ecs=settings.ecs or Ecs(), **kwargs)
    return LocalOperator(program=settings.program, **kwargs)


def request(context: Mapping[str, Any]) -> Request:
    return Request.read(context["params"])


def found(context: Mapping[str, Any]) -> Mapping[str, Any]:
    return context["ti"].xcom_pull(task_ids="discover") or {}


def discover(context: Mapping[str, Any]) -> list[str]:
    return commands.discover(request(context))


def load(dataset: str) -> Callable[[Mapping[str, Any]], list[str]]:
    return lambda context: commands.load(dataset, request(context))


def why_not_load(dataset: str) -> Callable[[Mapping[str, Any]], str | None]:
    return lambda context: commands.why_not_load(dataset, request(context), found(context))


def marts(_context: Mapping[str, Any]) -> list[str]:
    return commands.marts()


def why_no_marts(context: Mapping[str, Any]) -> str | None:
    return commands.why_no_marts(request(context), found(context), is_previous_done=is_previous_done(context))


def is_previous_done(context: Mapping[str, Any]) -> bool:
    """Whether the run before ended well. Where nobody knows, the marts are refreshed once more: it costs little."""
    if getattr(context["dag_run"], "logical_date", None) is None:
        # Triggered by hand, in Airflow 3: such a run has no place among the others.
        return False
    try:
        previous = context["ti"].get_previous_dagrun()
    except Exception:
        logging.getLogger("airflow.task").warning("cannot ask for the run before", exc_info=True)
        return False
    state = getattr(previous, "state", None)
    return previous is not None and str(getattr(state, "value", state)) == "success"


def audit(context: Mapping[str, Any]) -> list[str]:
    return commands.audit(request(context))


def ceased_selling(context: Mapping[str, Any]) -> list[str]:
    """For the newest day among the events that started the run; for the published one when a person did."""
    triggers = context.get("triggering_asset_events") or context.get("triggering_dataset_events") or {}
    days = [
        event.extra["as_of"] for events in triggers.values() for event in events if (event.extra or {}).get("as_of")
    ]
    return commands.ceased_selling(date.fromisoformat(max(days)) if days else None)
