"""`maintenance`: small files, old versions and rows past their retention, of every pipeline, once a day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, get_current_context

from lakehouse.dags.asked import platform_run_id
from lakehouse.dags.form import DRY_RUN
from lakehouse.dags.step import StepOperator
from lakehouse.dags.ticks import from_next_tick
from lakehouse.dags.verb import call_verb
from lakehouse.specs import Catalog

# After the night's loads of most people, before their morning.
SCHEDULE = "30 3 * * *"
DOC = """\
Keeps the lake's tables small and quick, a task a pipeline:

* **OPTIMIZE** where small files pay for it;
* **VACUUM** of what no kept publication names;
* **retention** as the contracts say it.

With *Dry run* each task says what it would do, and changes nothing. On a command line: `lakehouse maintain`.
"""


def maintenance_dag(catalogs: Sequence[Catalog], pool: str) -> DAG:
    """Return the DAG, a task for each of these pipelines; a broken one has none here, and fails in its own DAG."""
    with DAG(
        "maintenance",
        description="OPTIMIZE, VACUUM and retention of every pipeline's tables.",
        doc_md=DOC,
        schedule=from_next_tick(SCHEDULE),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        auto_register=False,  # the DAG file says which are its own
        params={"dry_run": DRY_RUN},
        tags=["maintenance"],
    ) as dag:
        for catalog in catalogs:
            pipeline = catalog.pipeline
            MaintenanceOperator(
                task_id=pipeline.name,
                pipeline=pipeline.name,
                python_callable=maintain,
                op_kwargs={"pipeline": pipeline.name},
                pool=pool,
                owner=pipeline.owner,
                retries=pipeline.retries,
                retry_delay=pipeline.retry_delay,
                retry_exponential_backoff=2.0,
                execution_timeout=timedelta(hours=2),
                doc_md=f"`lakehouse maintain --pipeline {pipeline.name}`",
            )
    return dag


class MaintenanceOperator(StepOperator):
    """A task of no run of the pipeline's, so without a link to one."""

    operator_extra_links = ()


def maintain(pipeline: str) -> Any:
    """Maintain a pipeline's tables, or say what would be done; return it by table."""
    context = get_current_context()
    words = ["--dry-run"] if context["params"].get("dry_run") else []
    words += ["--run-id", platform_run_id(f"{pipeline}-maintenance", context["run_id"])]
    return call_verb("maintain", "--pipeline", pipeline, *words, "--attempt", str(context["ti"].try_number))
