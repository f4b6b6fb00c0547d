"""Airflow's names, whichever Airflow this is: 2.10 and 2.11, or 3."""

try:
    from airflow.sdk import DAG, Asset, BaseOperator, Param, Variable, task
except ImportError:
    from airflow.datasets import Dataset as Asset
    from airflow.decorators import task
    from airflow.models import Variable
    from airflow.models.baseoperator import BaseOperator
    from airflow.models.dag import DAG
    from airflow.models.param import Param

try:
    from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
except ImportError:
    # Airflow 3.0 has `airflow.sdk`, but not these in it.
    from airflow.exceptions import AirflowException, AirflowFailException, AirflowSkipException

__all__ = [
    "DAG",
    "AirflowException",
    "AirflowFailException",
    "AirflowSkipException",
    "Asset",
    "BaseOperator",
    "Param",
    "Variable",
    "task",
]
