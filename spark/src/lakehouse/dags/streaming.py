"""`streaming_pipeline`: reviews written as events, taken into the same Silver table as the batch's, and compared."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from airflow.sdk import DAG, Param, chain, get_current_context
from airflow.sdk.exceptions import AirflowSkipException

from lakehouse.audit.link import TRIGGER
from lakehouse.dags.asked import platform_run_id
from lakehouse.dags.part import give_up
from lakehouse.dags.step import StepOperator
from lakehouse.dags.verb import call_verb
from lakehouse.specs import Catalog, Layer, Silver, Table

# A run's name on the platform begins with it: it is none of the batch pipeline's.
STREAM = "stream"
# A consumer that is told to end finishes its micro-batch.
GRACE_SECONDS = 45
DOC = """\
Reviews come as events, and end in `{table}`, which the batch fills too: one contract, one quarantine, one audit.

* **reset_streaming_data** forgets an earlier simulation: its topic's messages, its events in Bronze, the stream's \
progress. Only where *Reset* is chosen; rows of Silver stay.
* **init_kafka_topic** makes the topics of `kafka/topics.yaml` what they should be.
* **review_producer_task** and **review_consumer_task** work side by side. The consumer's end is what the producer has \
handed over in the audit database; with *Minutes* the producer sends for so long at most.
* **reconcile** compares every offset that was sent with Bronze and the micro-batches' rows in the audit.

On a command line: `lakehouse stream --help`.
"""


def streamed_tables(catalog: Catalog) -> list[Table]:
    """Return the Silver tables of a pipeline that a topic feeds."""
    return [each for each in catalog.layer(Layer.SILVER) if isinstance(each.block, Silver) and each.block.stream]


def is_simulated(table: Table) -> bool:
    """Whether the producer that comes with the platform writes for this table."""
    return table.full_name == "olist.silver.order_reviews"


def streaming_dag(table: Table) -> DAG:
    """Return the DAG that simulates a table's stream."""
    gives_up = partial(give_up, STREAM, runs_as=table.stream_name)
    with DAG(
        "streaming_pipeline",
        description="Review events through Kafka into Silver, each once, while they are written.",
        doc_md=DOC.format(table=table.full_name),
        schedule=None,
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timedelta(hours=12),
        is_paused_upon_creation=False,
        auto_register=False,  # the DAG file says which are its own
        on_failure_callback=gives_up,
        default_args={"owner": table.owner, "on_failure_callback": gives_up},
        params=_form(),
        tags=["streaming", table.pipeline],
    ) as dag:
        name = f"{table.pipeline}.{table.name}"
        chain(
            _task(reset_streaming_data, name),
            _task(init_kafka_topic, name, trigger_rule="none_failed"),
            # Who sends twice sends other messages: the consumer tells them apart, a count does not.
            [_task(review_consumer_task, name, retries=2), _task(review_producer_task, name)],
            _task(reconcile, name),
        )
    return dag


def _form() -> dict[str, Param]:
    def number(default: float, description: str, title: str, **limits: Any) -> Param:
        return _param(default, description, "number", title, minimum=0, **limits)

    return {
        "reviews": _param(1_000, "How many events are sent.", "integer", "Reviews", minimum=1),
        "rate": number(100, "Events a second; 0 or empty: as fast as they go.", "Events a second"),
        "bad_share": number(0.05, "Share of events that are trouble on purpose, 0 to 1.", "Bad events", maximum=1),
        "seed": _param(42, "The same seed makes the same trouble.", "integer", "Seed"),
        "minutes": number(0, "Events are sent for so long at most; 0: until all are sent.", "Minutes"),
        "reset": _param(False, "First forget an earlier simulation.", "boolean", "Reset"),
    }


def _param(default: object, description: str, kind: str, title: str, **limits: Any) -> Param:
    # Without "null" among its types Airflow's form calls a param required, although it has a default.
    return Param(default, description, type=["null", kind], title=title, **limits)


def _task(call: Callable[..., Any], table: str, **more: Any) -> StepOperator:
    return StepOperator(
        task_id=call.__name__,
        pipeline=STREAM,
        python_callable=call,
        op_kwargs={"table": table},
        retry_delay=timedelta(seconds=5),
        doc_md=inspect.cleandoc(call.__doc__ or ""),
        **more,
    )


def reset_streaming_data(table: str) -> Any:
    """Forget an earlier simulation, where the form says so: messages, events in Bronze, progress; Silver stays."""
    if not get_current_context()["params"]["reset"]:
        raise AirflowSkipException("Reset is not chosen: what came before stays.")
    return call_verb("stream", "reset", "--table", table)


def init_kafka_topic(table: str) -> Any:
    """Make the topics of `kafka/topics.yaml` what they should be."""
    return call_verb("stream", "topics")


def review_producer_task(table: str) -> Any:
    """Send reviews as events, and hand over in the audit database which offsets they got."""
    asked = get_current_context()["params"]
    options = {"--count": "reviews", "--rate": "rate", "--trouble-share": "bad_share", "--seed": "seed"}
    options |= {"--minutes": "minutes"}
    words = [f"{option}={asked[name]}" for option, name in options.items() if asked[name] is not None]
    return call_verb("stream", "produce", *words, "--run-id", producer_id())


def review_consumer_task(table: str) -> Any:
    """Take events into Silver, micro-batch by micro-batch, until all that was sent is there."""
    words = ["--run-id", run_id(), "--trigger", TRIGGER, "--until-sent", producer_id()]
    return call_verb("stream", "run", table, *words, grace=GRACE_SECONDS)


def reconcile(table: str) -> Any:
    """Compare every offset that was sent with Bronze and with the micro-batches in the audit: each once."""
    return call_verb("stream", "reconcile", producer_id(), "--table", table)


def run_id() -> str:
    """Return the id of the consumer's run on the platform."""
    return platform_run_id(STREAM, get_current_context()["run_id"])


def producer_id() -> str:
    """Return the id under which the producer hands over what it has sent."""
    return f"{run_id()}-sent"
