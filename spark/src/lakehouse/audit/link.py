"""Which DAG run a process works for: Airflow tells its tasks, and so all they start, by AIRFLOW_CTX_* variables."""

from __future__ import annotations

import os
from urllib.parse import quote

# Who starts a run whose parts are tasks of Airflow's.
TRIGGER = "airflow"


def page_of(dag_id: str, dag_run_id: str) -> str:
    """Return the path of a DAG run's page in Airflow."""
    return f"/dags/{quote(dag_id, safe='')}/runs/{quote(dag_run_id, safe='')}"


def page_of_this() -> str:
    """Return the path of the page of the DAG run that this process works for, "" where it works for none."""
    dag_id, run_id = (os.environ.get(f"AIRFLOW_CTX_DAG_{name}", "") for name in ("ID", "RUN_ID"))
    return page_of(dag_id, run_id) if dag_id and run_id else ""
