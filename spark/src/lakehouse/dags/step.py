"""What all tasks have in common: a link to the run's page, and an end when Airflow wants one."""

from __future__ import annotations

import sys
from typing import Any
from urllib.parse import quote

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import BaseOperatorLink
from airflow.sdk.exceptions import AirflowException, AirflowTaskTimeout

from lakehouse.dags.asked import platform_run_id


class AuditLink(BaseOperatorLink):
    """From a task to what the audit knows of its run: every table with its ledger, the quarantine, the publication."""

    name = "Audit"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the path of the run's page beside Airflow's own."""
        return audit_path(operator.pipeline, ti_key.run_id)


def audit_path(pipeline: str, dag_run_id: str) -> str:
    """Return where a run's page is in Airflow's own web server, below its base address."""
    return f"lakehouse/runs/{quote(platform_run_id(pipeline, dag_run_id), safe='')}"


class StepOperator(PythonOperator):
    """A function as a task of a pipeline's run."""

    operator_extra_links: tuple[BaseOperatorLink, ...] = (AuditLink(),)

    def __init__(self, *, pipeline: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline

    def on_kill(self) -> None:
        """End the function where it stands: it lets go of what it holds, and the audit says who ended it."""
        stop_here()


def stop_here() -> None:
    """Raise what ends a task that Airflow ends; nothing after its own timeout, which is raised anyway.

    Where a person has set the task's state, that state stands. Where Airflow itself was stopped or could not be
    reached, the task is tried again.
    """
    if sys.exc_info()[0] is not AirflowTaskTimeout:
        raise AirflowException("ended by Airflow: its state was set there, or Airflow itself was stopped or away.")
