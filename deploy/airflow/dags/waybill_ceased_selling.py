"""An example of a DAG that waits for the marts: products that have ceased to sell, once for each published day.

It runs when `publish` of `waybill_load` has succeeded, so only on data that passed the audit, and asks for the day
that was published.
"""

from datetime import datetime, timezone

from waybill_airflow import tasks
from waybill_airflow.names import DAG, task
from waybill_airflow.outcome import ARRAY

settings = tasks.read_settings()

with DAG(
    dag_id="waybill_ceased_selling",
    description="Products that have ceased to sell, after each published day",
    doc_md=__doc__,
    schedule=[tasks.PRODUCT_DAY],
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args=tasks.default_args(settings),
    tags=["waybill"],
) as dag:
    products = tasks.run(settings, "products", tasks.ceased_selling, expected=ARRAY)

    @task
    def report(*, ti=None) -> int:
        """Send it to whom it may concern from here."""
        rows = ti.xcom_pull(task_ids="products")
        for row in rows:
            print(f"product {row['product_id']}: {row['days_since_last_sale']} days without a sale")
        return len(rows)

    products >> report()
