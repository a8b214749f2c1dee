"""A DAG run that ends while its next task only waits ends in the audit, too: a listener in Airflow's processes.

The API server calls it when a person sets a run's state, the scheduler when it has decided one.
"""

from __future__ import annotations

import threading
from typing import Any

from airflow.listeners import hookimpl

from lakehouse.errors import LakehouseError
from lakehouse.log import get_logger, redact, secrets_of
from lakehouse.settings import load_settings

log = get_logger(__name__)


@hookimpl
def on_dag_run_success(dag_run: Any, msg: str) -> None:
    """Hear that a run has succeeded: by its tasks, or because somebody said so."""
    hear(dag_run, msg or "the DAG run was set to success")


@hookimpl
def on_dag_run_failed(dag_run: Any, msg: str) -> None:
    """Hear that a run has failed."""
    hear(dag_run, msg or "the DAG run has failed")


def hear(dag_run: Any, msg: str) -> threading.Thread:
    """See to the audit in a thread: neither Airflow's scheduler nor a person in its pages waits for that."""
    told = (str(dag_run.dag_id), str(dag_run.run_id), msg)
    thread = threading.Thread(target=end_waiting, args=told, name="run ended", daemon=True)
    thread.start()
    return thread


def end_waiting(dag_id: str, dag_run_id: str, msg: str) -> None:
    """Set FAILED what waits in the audit for the next task of a DAG run that has ended."""
    from lakehouse.audit.log import Audit  # psycopg2 only where a run has ended

    settings = load_settings()
    secrets = secrets_of(settings)
    try:
        with Audit(settings.need_audit_url(), secrets) as audit:
            run_id = audit.run_of(dag_run_id, dag_id)
            if run_id is not None and audit.fail_waiting(run_id, f"ended in Airflow before its last task: {msg}"):
                log.info("ended a run that waited for its next task", run=run_id)
    except LakehouseError as error:
        log.warning("a run that has ended may say RUNNING", dag_run=dag_run_id, error=redact(str(error), secrets))
