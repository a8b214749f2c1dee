"""A FAILED row in the audit for work that had none when it failed: a refused run, a source that was not filled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lakehouse.audit.log import Audit
from lakehouse.errors import AuditUnavailable, LakehouseError
from lakehouse.log import get_logger, secrets_of
from lakehouse.settings import Settings

log = get_logger(__name__)
# As whose run the filling of the source stands in the audit.
SOURCE = "olist.source"


@contextmanager
def failure_recorded(settings: Settings, run_id: str, pipeline: str, attempt: int, trigger: str) -> Iterator[None]:
    """Write an error of ours that is raised inside as the failure of a run, and raise it.

    Where the audit cannot take it the log says so, and the error stands.
    """
    try:
        yield
    except AuditUnavailable:
        raise
    except LakehouseError as error:
        _record(settings, run_id, pipeline, attempt, trigger, error)
        raise


@contextmanager
def filling_recorded(settings: Settings, run_id: str, attempt: int, trigger: str) -> Iterator[None]:
    """Write that the source could not be filled; and that it was, where that had failed the time before."""
    with failure_recorded(settings, run_id, SOURCE, attempt, trigger):
        yield
    try:
        with Audit(settings.need_audit_url(), secrets_of(settings)) as audit:
            if any(run["status"] == "FAILED" for run in audit.overview(1, SOURCE)):
                audit.start_run(run_id, SOURCE, attempt, trigger)
                audit.finish_run(run_id, attempt, "SUCCESS")
    except LakehouseError as why:
        log.warning("that the source is filled again is not in the audit", run=run_id, error=str(why))


def _record(settings: Settings, run_id: str, pipeline: str, attempt: int, trigger: str, error: LakehouseError) -> None:
    try:
        with Audit(settings.need_audit_url(), secrets_of(settings)) as audit:
            audit.start_run(run_id, pipeline, attempt, trigger)
            audit.finish_failed(run_id, attempt, error)
    except LakehouseError as why:
        log.warning("the failure is not in the audit", run=run_id, error=str(why))
