"""DAGs made from the specs: one a pipeline folder, and a broken one says so when it is run; and the two beside them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, CronTriggerTimetable, chain
from airflow.sdk.exceptions import AirflowFailException, AirflowTimetableInvalid

from lakehouse.audit.recorded import SOURCE
from lakehouse.dags import closing
from lakehouse.dags.asked import table_choices
from lakehouse.dags.assets import assets_of
from lakehouse.dags.describe import describe_dag, describe_layer
from lakehouse.dags.form import form
from lakehouse.dags.layer import TASKS, LayerOperator
from lakehouse.dags.maintenance import maintenance_dag
from lakehouse.dags.opening import fetch_holidays
from lakehouse.dags.part import give_up
from lakehouse.dags.source import FORM, RUN, fill_source, source_task
from lakehouse.dags.step import StepOperator
from lakehouse.dags.streaming import is_simulated, streamed_tables, streaming_dag
from lakehouse.dags.ticks import from_next_tick
from lakehouse.errors import SpecError
from lakehouse.settings import Settings
from lakehouse.specs import Catalog, Layer, load_catalog
from lakehouse.specs.load import load_pipeline
from lakehouse.specs.pipeline import Pipeline

# The pipeline that comes with the platform; any other folder's DAG is named after it.
NAMES = {"olist": "medallion_pipeline"}
POOL = "spark"
# One at work, one that waits for it, and room for a run that a person triggers beside them, to be refused.
ACTIVE_RUNS = 3
# How many runs of a pipeline may wait for their turn in slots of Airflow's at once, however many dates a backfill has.
WAITING = 2
LONGEST_DELAY = timedelta(minutes=10)


def all_dags(settings: Settings) -> Iterator[DAG]:
    """Make every DAG of the platform: the source's, one a pipeline folder, and the maintenance of the sound ones."""
    yield source_dag()
    sound = []
    for folder in sorted(settings.path(settings.pipelines).glob("[!._]*/")):
        try:
            catalog = load_catalog(folder)
            catalog.need_sound()
            yield checked(pipeline_dag(settings, catalog), catalog)
            sound.append(catalog)
        except SpecError as error:
            yield broken_dag(folder, str(error))
        except Exception as error:  # noqa: BLE001 - whatever Airflow refuses of one folder, the others keep their DAGs
            yield broken_dag(folder, f"{folder / 'pipeline.yaml'}: Airflow refuses it: {error!r}")
    yield from [streaming_dag(table) for catalog in sound for table in streamed_tables(catalog) if is_simulated(table)]
    if sound:
        yield maintenance_dag(sound, POOL)


def source_dag() -> DAG:
    """Return `setup_source_db`, of one task."""
    with DAG(
        "setup_source_db",
        description="Fill the source database from the CSV files in raw/.",
        doc_md=fill_source.__doc__,
        catchup=False,
        schedule=None,
        max_active_runs=1,
        is_paused_upon_creation=False,
        auto_register=False,  # the DAG file says which are its own
        params=FORM,
        tags=["source"],
    ) as dag:
        PythonOperator(
            task_id="setup_source",
            python_callable=source_task,
            retries=2,
            retry_delay=timedelta(seconds=10),
            execution_timeout=timedelta(minutes=30),
            on_failure_callback=partial(give_up, RUN, runs_as=SOURCE),
            doc_md="All files or none are loaded; a file that cannot be is named with its line.",
        )
    return dag


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
    """Return a pipeline's DAG: the public holidays, a task a layer, then gate, publication and export."""
    pipeline = catalog.pipeline
    with DAG(
        dag_name(pipeline.name),
        description=pipeline.description,
        doc_md=describe_dag(catalog),
        catchup=False,
        schedule=from_next_tick(pipeline.schedule),
        max_active_runs=ACTIVE_RUNS,
        dagrun_timeout=pipeline.timeout,
        is_paused_upon_creation=False,
        auto_register=False,  # the DAG file says which are its own
        on_failure_callback=partial(give_up, pipeline.name),
        default_args=_task_defaults(catalog),
        params=form(table_choices(catalog)),
        tags=["pipeline", pipeline.name],
    ) as dag:
        first = step(pipeline, fetch_holidays, max_active_tis_per_dag=WAITING)
        layers = [layer_task(settings, catalog, layer) for layer in TASKS]
        gate = step(pipeline, closing.quality_gate)
        publish = step(pipeline, closing.publish, {"judged": gate.output}, outlets=assets_of(catalog))
        chain(first, *layers, gate, publish, step(pipeline, closing.export))
    return dag


def layer_task(settings: Settings, catalog: Catalog, layer: Layer) -> LayerOperator:
    """Return the task of a layer: one Spark application, in the pool that keeps two of them apart."""
    return LayerOperator(
        task_id=TASKS[layer],
        settings=settings,
        pipeline=catalog.pipeline,
        layer=layer,
        pool=POOL,
        doc_md=describe_layer(catalog, layer),
    )


def step(
    pipeline: Pipeline, call: Callable[..., Any], told: Mapping[str, Any] | None = None, **more: Any
) -> StepOperator:
    """Return a function as a task of its own name, with its docstring for what Airflow shows beside it."""
    return StepOperator(
        task_id=call.__name__,
        pipeline=pipeline.name,
        python_callable=call,
        op_kwargs={"pipeline": pipeline.name, **(told or {})},
        doc_md=inspect.cleandoc(call.__doc__ or ""),
        **more,
    )


def broken_dag(folder: Path, problems: str) -> DAG:
    """Return a DAG that has the name of a pipeline's own and one task, which fails with what is wrong in its specs.

    It runs when the pipeline would: who looks at no page is told then.
    """
    with DAG(
        dag_name(folder.name),
        description=f"The specs in {folder.name} are broken: run `lakehouse validate`.",
        doc_md=f"```\n{problems}\n```",
        schedule=schedule_of(folder),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        auto_register=False,  # the DAG file says which are its own
        on_failure_callback=partial(give_up, folder.name),
        default_args={"on_failure_callback": partial(give_up, folder.name)},
        tags=["pipeline", folder.name, "broken"],
    ) as dag:
        PythonOperator(task_id="broken_specs", python_callable=fail, op_args=[problems], retries=0)
    return dag


def schedule_of(folder: Path) -> CronTriggerTimetable | str | None:
    """Return when a pipeline is to run; daily where its `pipeline.yaml` does not say, or says what Airflow refuses."""
    try:
        schedule = from_next_tick(load_pipeline(folder).schedule)
        DAG("schedule", schedule=schedule, auto_register=False).validate()  # type: ignore[no-untyped-call]
    except Exception:  # noqa: BLE001 - this DAG says what is wrong; raised here it would hide every other one
        return from_next_tick("@daily")
    return schedule


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
        # The later the task the sooner it gets a slot: who waits for a run leaves what that run needs.
        "weight_rule": "upstream",
        "retries": pipeline.retries,
        "retry_delay": pipeline.retry_delay,
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": LONGEST_DELAY,
        "execution_timeout": pipeline.timeout,
        "on_failure_callback": partial(give_up, pipeline.name),
    }
