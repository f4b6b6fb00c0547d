"""Airflow for unit tests: no database, the DAGs' folder where Airflow would put it."""

import os
import sys
from pathlib import Path

DAGS = Path(__file__).parents[1] / "dags"
sys.path.insert(0, str(DAGS))
os.environ.setdefault("AIRFLOW__CORE__UNIT_TEST_MODE", "true")
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "false")
os.environ["AIRFLOW_VAR_WAYBILL"] = "{}"
# For the amazon provider, which asks nobody before a task runs.
os.environ.setdefault("AWS_DEFAULT_REGION", "eu-central-1")
