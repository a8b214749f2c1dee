"""DAGs made from the specs: one a pipeline folder, and a broken one says so when it is run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Param, chain
from airflow.sdk.exceptions import AirflowFailException, AirflowTimetableInvalid

from lakehouse.dags import closing
from lakehouse.dags.asked import table_choices
from lakehouse.dags.describe import describe_dag, describe_layer
from lakehouse.dags.layer import LayerOperator
from lakehouse.dags.part import give_up
from lakehouse.dags.source import fill_source
from lakehouse.errors import SpecError
from lakehouse.settings import Settings
from lakehouse.specs import Catalog, Layer, load_catalog

# The pipeline that comes with the platform; any other folder's DAG is named after it.
NAMES = {"olist": "medallion_pipeline"}
POOL = "spark"
TASKS = {Layer.BRONZE: "bronze_ingestion", Layer.SILVER: "silver_processing", Layer.GOLD: "gold_modeling"}
START = datetime(2016, 1, 1, tzinfo=UTC)
LONGEST_DELAY = timedelta(minutes=10)


def source_dag() -> DAG:
    """Return `setup_source_db`, of one task."""
    with DAG(
        "setup_source_db",
        description="Fill the source database from the CSV files in raw/.",
        doc_md=fill_source.__doc__,
        start_date=START,
        catchup=False,
        schedule=None,
        max_active_runs=1,
        is_paused_upon_creation=False,
        auto_register=False,  # the DAG file says which are its own
        tags=["source"],
    ) as dag:
        PythonOperator(
            task_id="setup_source",
            python_callable=fill_source,
            retries=2,
            retry_delay=timedelta(seconds=10),
            execution_timeout=timedelta(minutes=30),
            doc_md="All files or none are loaded; a file that cannot be is named with its line.",
        )
    return dag


def pipeline_dags(settings: Settings) -> Iterator[DAG]:
    """Make the DAG of every pipeline folder; a broken one gets a DAG that fails with what is wrong, and hides none."""
    for folder in sorted(settings.path(settings.pipelines).glob("[!._]*/")):
        try:
            catalog = load_catalog(folder)
            catalog.need_sound()
            yield checked(pipeline_dag(settings, catalog), catalog)
        except SpecError as error:
            yield broken_dag(folder, str(error))
        except Exception as error:  # noqa: BLE001 - whatever Airflow refuses of one folder, the others keep their DAGs
            yield broken_dag(folder, f"{folder / 'pipeline.yaml'}: Airflow refuses it: {error!r}")


def checked(dag: DAG, catalog: Catalog) -> DAG:
    """Return a DAG that Airflow takes; raises SpecError for a schedule that it does not understand."""
    try:
        dag.validate()  # type: ignore[no-untyped-call]
    except AirflowTimetableInvalid as error:
        raise SpecError(
            f'schedule is "{catalog.pipeline.schedule}": {error}',
            where=str(catalog.folder / "pipeline.yaml"),
            allowed="a cron expression such as 0 6 * * *, or a preset such as @daily",
        ) from error
    return dag


def pipeline_dag(settings: Settings, catalog: Catalog) -> DAG:
    """Return a pipeline's DAG: a task a layer, then gate and publication."""
    pipeline = catalog.pipeline
    with DAG(
        dag_name(pipeline.name),
        description=pipeline.description,
        doc_md=describe_dag(catalog),
        start_date=START,
        catchup=False,
        schedule=pipeline.schedule,
        max_active_runs=1,
        dagrun_timeout=pipeline.timeout,
        is_paused_upon_creation=False,
        auto_register=False,  # the DAG file says which are its own
        on_failure_callback=partial(give_up, pipeline.name),
        default_args=_task_defaults(catalog),
        params=_params(catalog),
        tags=["pipeline", pipeline.name],
    ) as dag:
        layers = [
            LayerOperator(
                task_id=name,
                settings=settings,
                pipeline=pipeline,
                layer=layer,
                pool=POOL,
                doc_md=describe_layer(catalog, layer),
            )
            for layer, name in TASKS.items()
        ]
        gate = PythonOperator(
            task_id="quality_gate",
            python_callable=closing.quality_gate,
            op_kwargs={"pipeline": pipeline.name},
            doc_md=closing.quality_gate.__doc__,
        )
        publish = PythonOperator(
            task_id="publish",
            python_callable=closing.publish,
            op_kwargs={"pipeline": pipeline.name, "judged": gate.output},
            doc_md=closing.publish.__doc__,
        )
        chain(*layers, gate, publish)
    return dag


def broken_dag(folder: Path, problems: str) -> DAG:
    """Return a DAG that has the name of a pipeline's own and one task, which fails with what is wrong in its specs."""
    with DAG(
        dag_name(folder.name),
        description=f"The specs in {folder.name} are broken: run `lakehouse validate`.",
        doc_md=f"```\n{problems}\n```",
        schedule=None,
        is_paused_upon_creation=False,
        auto_register=False,  # the DAG file says which are its own
        tags=["pipeline", folder.name, "broken"],
    ) as dag:
        PythonOperator(task_id="broken_specs", python_callable=fail, op_args=[problems], retries=0)
    return dag


def fail(problems: str) -> None:
    """Fail with what is wrong in the specs; trying again cannot help."""
    raise AirflowFailException(problems)


def dag_name(pipeline: str) -> str:
    """Return the name of a pipeline's DAG: letters, digits and _, another one for each folder."""
    plain = f"{re.sub(r'[^A-Za-z0-9_]', '_', pipeline)}_pipeline"
    return NAMES.get(pipeline) or (f"{plain}_2" if plain in NAMES.values() else plain)


def _task_defaults(catalog: Catalog) -> dict[str, Any]:
    pipeline = catalog.pipeline
    return {
        "owner": pipeline.owner,
        "retries": pipeline.retries,
        "retry_delay": pipeline.retry_delay,
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": LONGEST_DELAY,
        "execution_timeout": pipeline.timeout,
        "on_failure_callback": partial(give_up, pipeline.name),
    }


def _params(catalog: Catalog) -> dict[str, Param]:
    choices = table_choices(catalog)
    return {
        "tables": Param(
            [],
            "Only these tables; all if none is chosen. Bronze follows its Silver table.",
            type="array",
            items={"type": "string", "enum": choices},
            examples=choices,
            uniqueItems=True,
        ),
        "full_refresh": Param(False, "Read and judge everything again.", type="boolean"),
        "window_from": _moment("Read again what the source changed from this moment on."),
        "window_to": _moment("… up to this moment, not included."),
    }


def _moment(description: str) -> Param:
    return Param(None, description, type=["null", "string"], format="date-time")
