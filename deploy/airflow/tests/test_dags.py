"""The DAGs as Airflow sees them: they import, with either runner, and have the shape that docs/PIPELINE.md draws."""

import importlib
import json
import sys

import pytest

from waybill_airflow import settings as settings_
from waybill_airflow import tasks
from waybill_airflow.names import Param

ECS = {
    "runner": "ecs",
    "parallel": 4,
    "ecs": {
        "cluster": "shop",
        "task_definition": "waybill",
        "subnets": ["subnet-1"],
        "log_group": "waybill",
        "log_stream_prefix": "load",
    },
}


@pytest.fixture
def dag_of(monkeypatch):
    def read(module: str, variable: dict):
        monkeypatch.setattr(tasks, "read_settings", lambda: settings_.parse(json.dumps(variable)))
        sys.modules.pop(module, None)
        return importlib.import_module(module).dag

    return read


def test_the_dag_has_the_shape_that_is_drawn(dag_of):
    dag = dag_of("waybill_load", {})

    after = {task.task_id: task.downstream_task_ids for task in dag.tasks}
    masters = {"load_departments", "load_categories", "load_products", "load_customers"}
    assert after["discover"] == masters | {"load_trackings"}
    assert all(after[master] == {"load_orders"} for master in masters)
    assert after["load_orders"] == {"load_order_items"}
    assert after["load_order_items"] == after["load_trackings"] == {"marts"}
    assert after["marts"] == {"audit"} and after["audit"] == {"publish"} and after["publish"] == set()


def test_a_skip_lets_what_follows_run_and_a_failure_does_not(dag_of):
    dag = dag_of("waybill_load", {})

    for task in dag.tasks:
        is_load_or_marts = task.task_id.startswith("load_") or task.task_id == "marts"
        assert task.trigger_rule == ("none_failed" if is_load_or_marts else "all_success"), task.task_id


def test_one_run_at_a_time_each_hour_and_none_for_hours_that_were_missed(dag_of):
    dag = dag_of("waybill_load", {})

    assert (dag.max_active_runs, dag.max_active_tasks, dag.catchup) == (1, 1, False)
    assert (getattr(dag, "schedule_interval", None) or dag.schedule) == "@hourly"
    assert dag_of("waybill_load", {"schedule": None, "parallel": 4}).max_active_tasks == 4


def test_every_task_has_a_limit_retries_that_back_off_and_tells_of_its_end(dag_of):
    for module in ("waybill_load", "waybill_ceased_selling"):
        for task in dag_of(module, {"retries": 5, "timeout_minutes": 7}).tasks:
            assert task.retries == 5 and task.retry_exponential_backoff
            assert task.execution_timeout.total_seconds() == 420
            assert task.on_failure_callback


def test_only_publish_tells_the_others(dag_of):
    dag = dag_of("waybill_load", {})

    assert [task.task_id for task in dag.tasks if task.outlets] == ["publish"]
    assert dag.get_task("publish").outlets == [tasks.PRODUCT_DAY]


def test_on_ecs_the_same_dag_has_ecs_tasks(dag_of):
    pytest.importorskip("airflow.providers.amazon")
    local, on_ecs = dag_of("waybill_load", {}), dag_of("waybill_load", ECS)

    assert local.task_ids == on_ecs.task_ids
    kinds = {task.task_id: type(task).__name__ for task in on_ecs.tasks}
    assert {kind for task, kind in kinds.items() if task != "publish"} == {"EcsOperator"}
    assert {task.task_id: task.trigger_rule for task in on_ecs.tasks} == {
        task.task_id: task.trigger_rule for task in local.tasks
    }


def test_without_ecs_the_provider_is_not_imported(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("waybill_airflow.ecs")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "airflow.providers.amazon", None)

    tasks.run(settings_.parse("{}"), "one", tasks.marts)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("from", "2026-07-32"), ("from", "yesterday"), ("to", 7), ("day", "; true"), ("strict", "yes")],
        *[("datasets", ["refunds"]), ("datasets", []), ("datasets", ["orders", "orders"]), ("datasets", "orders")],
    ],
)
def test_parameters_that_are_wrong_are_refused_before_a_run(dag_of, name, value):
    given = dag_of("waybill_load", {}).params.get_param(name)

    with pytest.raises(Exception, match="(?i)invalid input|failed validating"):
        Param(value, **given.schema).resolve()


def test_the_report_is_for_the_newest_day_that_was_published():
    class Event:
        def __init__(self, extra):
            self.extra = extra

    events = {"one asset": [Event({"as_of": "2026-07-02"}), Event({"as_of": "2026-07-01"}), Event(None)]}

    expected = ["query", "--named", "ceased-selling", "--as-of", "2026-07-02", "--format", "json"]
    assert tasks.ceased_selling({"triggering_asset_events": events}) == expected
    assert "--as-of" not in tasks.ceased_selling({})
