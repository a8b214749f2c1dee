"""One run of a pipeline at a time, whoever began it: a person's run is refused, any other waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

from airflow.sdk.exceptions import AirflowRescheduleException

from lakehouse.audit.lease import TURN_SECONDS, hold
from lakehouse.audit.log import Audit
from lakehouse.audit.run_rows import AtWork
from lakehouse.errors import LeaseHeld, RunInProgress
from lakehouse.log import get_logger
from lakehouse.settings import Settings

log = get_logger(__name__)
PAUSE_SECONDS = 2.0
# Who waits keeps one of Airflow's few slots for so long, then leaves it for so long: the run at work needs one too.
SLOT_SECONDS = 30.0
AWAY = timedelta(seconds=30)
# States of a DAG run whose tasks may still come.
GOING = ["running", "queued"]


def take_turn(
    settings: Settings,
    audit: Audit,
    pipeline: str,
    run_id: str,
    context: Mapping[str, Any],
    begin: Callable[[], int],
) -> int:
    """Wait until no other run of the pipeline is at work, then begin, before any other can; return what `begin` does.

    Raises RunInProgress for a run that a person has just asked for. A later task of a run may hold the pool's slot that
    another run of Airflow needs: it raises LeaseHeld, and Airflow tries it again. Any other that has waited for
    SLOT_SECONDS raises AirflowRescheduleException: it goes on waiting without a slot.
    """
    told, waited, url = "", 0.0, settings.need_audit_url()
    while True:
        with hold(url, [f"{pipeline}/turn"], run_id, 1, TURN_SECONDS):
            others = (each for each in audit.at_work(pipeline, run_id) if is_alive(each, pipeline, settings, context))
            other = next(others, None)
            if other is None:
                return begin()
        need_patience(other, pipeline, context, known=audit.is_known(run_id))
        if told != other.run_id:
            log.info("waiting for another run of this pipeline", run=other.run_id, since=str(other.started_at))
        if waited >= SLOT_SECONDS:
            raise AirflowRescheduleException(datetime.now(UTC) + AWAY)  # type: ignore[no-untyped-call]
        told, waited = other.run_id, waited + PAUSE_SECONDS
        time.sleep(PAUSE_SECONDS)


def need_patience(other: AtWork, pipeline: str, context: Mapping[str, Any], *, known: bool) -> None:
    """Raise what keeps a task from waiting for a run at work; `known` says that its own run has begun before."""
    if known and other.dag_run and context["task"].upstream_task_ids:
        raise LeaseHeld(f"{other} is at work.", where=pipeline, remedy="wait until it has ended, or end it.")
    if not known and context["dag_run"].run_type == "manual":
        raise RunInProgress(
            f"{other} is at work; this one was refused and has changed nothing.",
            where=pipeline,
            remedy="trigger again when that one has ended.",
        )


def is_alive(other: AtWork, pipeline: str, settings: Settings, context: Mapping[str, Any]) -> bool:
    """Tell whether a run that says RUNNING goes on.

    One of Airflow does while Airflow has tasks of it to run, or its process lives here; any other holds the
    pipeline's lease from its first table to its last.
    """
    match other.dag_run.strip("/").split("/"):
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
