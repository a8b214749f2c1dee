"""The first task of a run: its turn, what was asked of it, and the public holidays."""

from __future__ import annotations

from typing import Any

from airflow.sdk import get_current_context

from lakehouse.dags.part import part_of_run
from lakehouse.dags.verb import call_verb
from lakehouse.log import get_logger

log = get_logger(__name__)


def fetch_holidays(pipeline: str) -> Any:
    """Begin the run, when no other run of the pipeline is at work, and fetch the public holidays; return what was got.

    What the form asks is read here and refused here. Where the holidays' API is away the last good copy stands.
    """
    with part_of_run(pipeline, get_current_context()) as part:
        log.info("asked", run=part.run_id, attempt=part.attempt, arguments=" ".join(part.asked.arguments()) or "all")
        told = {} if part.asked.dry_run else call_verb("holidays", "fetch", "--pipeline", pipeline)
        part.end()
        return told
