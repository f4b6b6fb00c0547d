"""Loads what is new and publishes the marts: discover, load, marts, audit, publish.

A task without anything to do is skipped, and what follows it runs; a task that failed stops what follows it, so the
marts are those of a complete load and what is published has passed the audit.
"""

from datetime import date, datetime, timezone

from waybill_airflow import tasks
from waybill_airflow.commands import ALL, MASTERS, TRACKINGS
from waybill_airflow.names import DAG, AirflowSkipException, Param, task
from waybill_airflow.operators import DeadEnd
from waybill_airflow.outcome import FOUND, LOADED, REFRESHED

settings = tasks.read_settings()

with DAG(
    dag_id="waybill_load",
    description="New trackings and shop files into the warehouse, then the marts",
    doc_md=__doc__,
    schedule=settings.schedule,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    # The ledger knows what is missing; an hour that was missed needs no run of its own.
    catchup=False,
    # Two would load the same files, one after the other.
    max_active_runs=1,
    max_active_tasks=settings.parallel,
    default_args=tasks.default_args(settings),
    tags=["waybill"],
    params={
        "from": Param(
            None,
            type=["null", "string"],
            format="date",
            description="Only shop files about this day and later ones; trackings are not loaded then",
        ),
        "to": Param(
            None,
            type=["null", "string"],
            format="date",
            description="Only shop files about this day and earlier ones; trackings are not loaded then",
        ),
        "datasets": Param(
            list(ALL),
            type="array",
            items={"type": "string", "enum": list(ALL)},
            uniqueItems=True,
            minItems=1,
            # Makes it a list to choose from in the form.
            examples=list(ALL),
            description="What to load",
        ),
        "strict": Param(False, type="boolean", description="Fail when a line or a file is rejected"),
        "day": Param(
            None,
            type=["null", "string"],
            format="date",
            description="Fail unless this day, or a later one, is published at the end",
        ),
    },
) as dag:
    discover = tasks.run(settings, "discover", tasks.discover, expected=FOUND)

    def load(dataset: str):
        # Parents that were skipped are no reason not to load; parents that failed are.
        return tasks.run(
            settings,
            f"load_{dataset}",
            tasks.load(dataset),
            skip=tasks.why_not_load(dataset),
            expected=LOADED,
            trigger_rule="none_failed",
        )

    masters = [load(dataset) for dataset in MASTERS]
    orders, order_items, trackings = load("orders"), load("order_items"), load(TRACKINGS)

    marts = tasks.run(
        settings,
        "marts",
        tasks.marts,
        skip=tasks.why_no_marts,
        expected=REFRESHED,
        trigger_rule="none_failed",
    )
    audit = tasks.run(settings, "audit", tasks.audit)

    @task(outlets=[tasks.PRODUCT_DAY])
    def publish(*, ti=None, outlet_events=None) -> dict:
        """Tells the DAGs that wait for the marts. Its day is the one that the audit has seen."""
        refreshed = ti.xcom_pull(task_ids="marts")
        if refreshed["as_of"] is None:
            raise AirflowSkipException("no day is complete yet: orders and order lines of a day are needed")
        try:
            as_of = date.fromisoformat(refreshed["as_of"])
        except (TypeError, ValueError) as error:
            raise DeadEnd("program", "the published day is no day") from error
        published = {"as_of": as_of.isoformat(), "is_changed": bool(refreshed.get("is_changed"))}
        outlet_events[tasks.PRODUCT_DAY].extra = published
        return published

    discover >> [*masters, trackings]
    masters >> orders >> order_items
    [order_items, trackings] >> marts >> audit >> publish()
