"""A task's share of a run: its attempt in the audit, and errors in Airflow's terms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from lakehouse.alerts.courier import follows, sending
from lakehouse.audit.link import TRIGGER, page_of
from lakehouse.audit.log import Audit
from lakehouse.cli.runs import catalog_of
from lakehouse.dags.asked import Asked, in_backfill, platform_run_id, read_asked
from lakehouse.dags.turn import take_turn
from lakehouse.errors import LakehouseError
from lakehouse.log import redact, secrets_of
from lakehouse.settings import Settings, load_settings
from lakehouse.specs import Catalog

BACKFILL = "backfill"


@dataclass(frozen=True)
class Part:
    """What a task works with: a part of one attempt of a run."""

    settings: Settings
    catalog: Catalog
    audit: Audit
    run_id: str
    attempt: int
    asked: Asked

    def end(self) -> None:
        """Leave the run to its next part."""
        self.audit.end_part(self.run_id, self.attempt)

    def succeed(self) -> None:
        """End the run: this was its last part."""
        self.audit.finish_run(self.run_id, self.attempt, "SUCCESS")


@contextmanager
def part_of_run(pipeline: str, context: Mapping[str, Any]) -> Iterator[Part]:
    """Hold a part of the run that a task's context belongs to; whatever is raised in it is the attempt's end.

    It begins when no other run of the pipeline is at work (see `take_turn`).

    Raises AirflowFailException where trying again cannot help, AirflowException where it can.
    """
    settings = load_settings()
    run_id, params = platform_run_id(pipeline, context["run_id"]), dict(context["params"])
    secrets = secrets_of(settings)
    url = settings.need_audit_url()
    dag_run = context["dag_run"]
    told = params | ({"backfill": f"{dag_run.logical_date}"} if dag_run.run_type == BACKFILL else {})
    with in_airflows_terms(secrets), Audit(url, secrets) as audit, sending(settings) as courier:

        def begin() -> int:
            return audit.begin_part(run_id, pipeline, TRIGGER, told, link_of(context))

        attempt = take_turn(settings, audit, pipeline, run_id, context, begin)
        try:
            catalog = catalog_of(settings, pipeline)
            catalog.need_sound()
            if dag_run.run_type == BACKFILL:
                params = in_backfill(params, dag_run.logical_date, catalog.pipeline.schedule)
            if follows(settings, catalog.pipeline.alerts.on_success):
                audit.follow_run(run_id, pipeline, attempt)
            courier.nudge()
            yield Part(settings, catalog, audit, run_id, attempt, read_asked(catalog, params))
        except AirflowSkipException:
            raise
        except BaseException as error:
            audit.finish_failed(run_id, attempt, of_task(context, error))
            raise


def link_of(context: Mapping[str, Any]) -> str:
    """Return the path of the DAG run's page in Airflow."""
    return page_of(context["dag"].dag_id, context["run_id"])


@contextmanager
def in_airflows_terms(secrets: tuple[str, ...]) -> Iterator[None]:
    """Raise an error of ours as one that Airflow tries again, or fails for good, by whether it heals."""
    try:
        yield
    except LakehouseError as error:
        kind = AirflowException if error.heals else AirflowFailException
        raise kind(redact(str(error), secrets)) from None


def of_task(context: Mapping[str, Any], error: BaseException) -> LakehouseError:
    """Return an error as one of ours that says which task it ended; of Airflow's and ours the text says enough."""
    said = str(error) if isinstance(error, AirflowException | LakehouseError) else repr(error)
    return LakehouseError(f"task {context['task_instance'].task_id}: {said}")


def give_up(pipeline: str, context: Mapping[str, Any], runs_as: str = "") -> None:
    """Set the run FAILED in the audit if it still says RUNNING when a task, or the DAG run, has failed for good.

    A run that failed before its first part began, by broken specs or beside another run, gets a row that says so, as
    one of `runs_as` where that is not the name that its id begins with. The runs beside it are none of its business.
    """
    settings = load_settings()
    task = context.get("task_instance")
    what = f"task {task.task_id} failed" if task else "the DAG run failed"
    why = context.get("exception") or context.get("reason") or "Airflow gave no reason"
    with Audit(settings.need_audit_url(), secrets_of(settings)) as audit, sending(settings):
        run_id, told = platform_run_id(pipeline, context["run_id"]), f"{what}: {why}"
        if not audit.fail_run(run_id, told) and not audit.is_known(run_id):
            audit.start_run(run_id, runs_as or pipeline, 1, TRIGGER, {}, link_of(context))
            audit.finish_run(run_id, 1, "FAILED", told)
