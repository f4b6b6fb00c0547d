"""How this deployment runs the program: the Airflow Variable `waybill`, one JSON object.

One Variable, so that parsing a DAG costs one look-up; `AIRFLOW_VAR_WAYBILL` in the environment comes first and costs
none. Secrets are not among the settings: the program finds them in its own environment.
"""

import json
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any

VARIABLE = "waybill"


class SettingsError(ValueError):
    """All faults of the settings at once, each with how to mend it."""


@dataclass(frozen=True)
class Ecs:
    """Where the program runs with `"runner": "ecs"`. The image's entry point is the program."""

    cluster: str = ""
    task_definition: str = ""
    # Name of the container within the task definition.
    container: str = "waybill"
    launch_type: str = "FARGATE"
    subnets: list[str] = field(default_factory=list)
    security_groups: list[str] = field(default_factory=list)
    assign_public_ip: bool = False
    # Group and stream prefix of the task definition's `awslogs` driver: results are read from there.
    log_group: str = ""
    log_stream_prefix: str = ""
    region: str | None = None
    aws_conn_id: str | None = "aws_default"


@dataclass(frozen=True)
class Settings:
    # `local`: a process on the worker. `ecs`: a task of ECS, which is what MWAA wants.
    runner: str = "local"
    # With `local`: name on the PATH, or path.
    program: str = "waybill"
    # Cron expression or preset; null: only when somebody triggers it.
    schedule: str | None = "@hourly"
    # Tasks of a run at once. 1 is for DuckDB, whose file one process at a time may open.
    parallel: int = 1
    # For when other DAGs open the same warehouse; it must exist, or nothing ever starts.
    pool: str = "default_pool"
    retries: int = 3
    # The first pause; each further one is twice as long, up to 15 minutes.
    retry_delay_seconds: int = 60
    # Of one command. Trackings and orders of a long history take the longest.
    timeout_minutes: int = 60
    ecs: Ecs | None = None


def parse(text: str) -> Settings:
    """Settings from the Variable's text; an empty one means all defaults. Errors: [`SettingsError`]."""
    try:
        given = json.loads(text or "{}")
    except ValueError as error:
        raise SettingsError(f"Variable {VARIABLE}: not JSON ({error})") from None
    if not isinstance(given, dict):
        raise SettingsError(f"Variable {VARIABLE}: an object is needed, such as {{}}")

    faults: list[str] = []
    ecs = given.pop("ecs", None)
    values = known(Settings, given, "", faults)
    if ecs is not None:
        if isinstance(ecs, dict):
            values["ecs"] = Ecs(**known(Ecs, ecs, "ecs.", faults))
        else:
            faults.append("ecs: an object is needed")
    settings = Settings(**values)
    faults.extend(contradictions(settings))
    if faults:
        raise SettingsError(f"Variable {VARIABLE}: " + "; ".join(faults))
    return settings


def known(kind: type, given: dict[str, Any], prefix: str, faults: list[str]) -> dict[str, Any]:
    """What of `given` are values of `kind`; the rest goes to `faults`."""
    defaults = {one.name: getattr(kind(), one.name) for one in fields(kind) if one.name != "ecs"}
    values = {}
    for name, value in given.items():
        if name not in defaults:
            near = get_close_matches(name, defaults, n=1)
            faults.append(f"{prefix}{name}: unknown" + (f", did you mean {near[0]}?" if near else ""))
        elif not fits(value, defaults[name], is_optional=name in ("schedule", "region", "aws_conn_id")):
            faults.append(f"{prefix}{name}: like {json.dumps(defaults[name])} is needed")
        else:
            values[name] = value
    return values


def fits(value: Any, default: Any, *, is_optional: bool) -> bool:
    if is_optional:
        return value is None or isinstance(value, str)
    if isinstance(default, list):
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    return type(value) is type(default)


def contradictions(settings: Settings) -> list[str]:
    faults = []
    if settings.runner not in ("local", "ecs"):
        faults.append("runner: local or ecs is needed")
    for name in ("parallel", "retry_delay_seconds", "timeout_minutes"):
        if getattr(settings, name) < 1:
            faults.append(f"{name}: at least 1 is needed")
    if settings.retries < 0:
        faults.append("retries: at least 0 is needed")
    if settings.runner == "ecs":
        ecs = settings.ecs or Ecs()
        for name in ("cluster", "task_definition", "container", "subnets", "log_group", "log_stream_prefix"):
            if not getattr(ecs, name):
                faults.append(f"ecs.{name}: needed with runner ecs")
    return faults
