"""One run of a pipeline at a time, whoever began it: a person's run is refused, any other waits."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from lakehouse.audit.lease import hold
from lakehouse.audit.log import Audit
from lakehouse.audit.run_rows import AtWork
from lakehouse.errors import LeaseHeld, RunInProgress
from lakehouse.log import get_logger
from lakehouse.settings import Settings

log = get_logger(__name__)
PAUSE_SECONDS = 2.0
# States of a DAG run whose tasks may still come.
GOING = ["running", "queued"]


def take_turn(settings: Settings, audit: Audit, pipeline: str, run_id: str, context: Mapping[str, Any]) -> None:
    """Wait until no other run of the pipeline is at work.

    Raises RunInProgress for a run that a person has just asked for. A run that had its turn already waits in its first
    task alone, such as one that is backfilled once more; a later task may hold the pool's slot that the other one
    needs: it raises LeaseHeld, and Airflow tries it again.
    """
    told: AtWork | None = None
    while others := [each for each in audit.at_work(pipeline, run_id) if is_alive(each, pipeline, settings, context)]:
        other = others[0]
        known = audit.is_known(run_id)
        if known and context["task"].upstream_task_ids:
            raise LeaseHeld(f"{other} is at work.", where=pipeline, remedy="wait until it has ended, or end it.")
        if not known and context["dag_run"].run_type == "manual":
            raise RunInProgress(
                f"{other} is at work; this one was refused and has changed nothing.",
                where=pipeline,
                remedy="trigger again when that one has ended.",
            )
        if told != other:
            log.info("waiting for another run of this pipeline", run=other.run_id, since=str(other.started_at))
        told = other
        time.sleep(PAUSE_SECONDS)


def is_alive(other: AtWork, pipeline: str, settings: Settings, context: Mapping[str, Any]) -> bool:
    """Tell whether a run that says RUNNING goes on.

    One of Airflow does while Airflow has tasks of it to run, or its process lives here; any other holds the
    pipeline's lease from its first table to its last.
    """
    match other.link.strip("/").split("/"):
        case ["dags", dag_id, "runs", dag_run_id]:
            runs = [unquote(dag_run_id)]
            return bool(context["ti"].get_dr_count(unquote(dag_id), run_ids=runs, states=GOING)) or other.lives_here()
        case _:
            return is_held(settings.need_audit_url(), pipeline)


def is_held(url: str, name: str) -> bool:
    """Tell whether anybody holds the lease of a name."""
    try:
        hold(url, [name], "turn", 1).release()
    except LeaseHeld:
        return True
    return False
