"""What the DAGs of Waybill are made of.

`settings` and `commands` and `outcome` are pure and know nothing of Airflow; `local` and `ecs` are the two ways to run
a command; `names` is the only file that knows which Airflow this is.
"""
