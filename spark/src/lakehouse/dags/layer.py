"""The task of one layer: all its tables in one Spark application."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil  # type: ignore[import-untyped]
from airflow.providers.apache.spark.hooks.spark_submit import SparkSubmitHook
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from lakehouse.dags.part import Part, part_of_run
from lakehouse.dags.step import AuditLink, stop_here
from lakehouse.errors import StoreUnavailable
from lakehouse.launch import spark_conf
from lakehouse.log import get_logger
from lakehouse.settings import Settings
from lakehouse.specs import Layer
from lakehouse.specs.pipeline import Pipeline

log = get_logger(__name__)
Counts = dict[str, dict[str, Any]]
TASKS = {Layer.BRONZE: "bronze_ingestion", Layer.SILVER: "silver_processing", Layer.GOLD: "gold_modeling"}
# What every JVM of Spark says when it starts.
NOISE = (
    "Using incubator modules",
    "NativeCodeLoader",
    "Setting default log level",
    "sc.setLogLevel",
)


class LayerOperator(SparkSubmitOperator):
    """Runs one layer of a pipeline by spark-submit and returns what became of each table.

    Settings travel by the environment: no secret stands in the command, the conf or a template.
    """

    operator_extra_links = (AuditLink(),)

    def __init__(self, *, settings: Settings, pipeline: Pipeline, layer: Layer, **kwargs: Any) -> None:
        conf = spark_conf(settings, pipeline.spark)
        conf.pop("spark.master")  # the connection names it
        super().__init__(
            application=str(settings.path(Path(f"spark/jobs/{layer}.py"))),
            conf=conf,
            name=f"lakehouse {pipeline.name} {layer}",
            **kwargs,
        )
        self.pipeline = pipeline.name

    def execute(self, context: Any) -> Counts:  # type: ignore[override]  # Airflow keeps it as the task's XCom
        """Run the job; a failure that does not heal is not tried again."""
        with part_of_run(self.pipeline, context) as part, TemporaryDirectory(prefix="lakehouse-") as folder:
            result = Path(folder) / "result.json"
            self.application_args = job_arguments(self.pipeline, part, result)
            try:
                super().execute(context)
            except AirflowException as error:
                raise failure(result, error) from None
            record = read_result(result)
            if part.asked.dry_run:
                part.end()
                return dict(record["plan"])
            return counts(record)

    def _get_hook(self) -> SparkSubmitHook:
        """Return the provider's hook; its command is folded in the task's log, and only the job's own lines follow."""
        hook = super()._get_hook()
        read = hook._process_spark_submit_log

        def read_news(itr: Iterator[str]) -> None:
            log.info("::endgroup::")
            read(filter(is_news, itr))

        hook._process_spark_submit_log = read_news  # type: ignore[method-assign]
        log.info("::group::spark-submit")
        return hook

    def on_kill(self) -> None:
        """End the job, the JVM and its driver, before the audit is told: nothing of it works on after its rows end."""
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        super().on_kill()
        stop_here()


def read_result(file: Path) -> dict[str, Any]:
    """Return what a job has written of its work; raises StoreUnavailable where the disk did not take it."""
    try:
        return dict(json.loads(file.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise StoreUnavailable(
            f"the job ended well, but what it says of its tables cannot be read: {error}.",
            where=str(file),
            remedy="free space there; the next try finds the tables as they are.",
        ) from error


def is_news(line: str) -> bool:
    """Tell whether a line of spark-submit says more than that a JVM starts."""
    return bool(line.strip()) and not any(noise in line for noise in NOISE)


def job_arguments(pipeline: str, part: Part, result: Path) -> list[str]:
    """Return the words after the job's file; each is an argument of its own, none goes through a shell."""
    words = ["--pipeline", pipeline, "--run-id", part.run_id, "--attempt", str(part.attempt), "--part"]
    return [*words, "--result", str(result), *part.asked.arguments()]


def failure(result: Path, error: AirflowException) -> AirflowException:
    """Return what to raise: the job's own words where it left them, else its exit code and last lines.

    A job that ended without a word was killed, and is tried again; the command line would hide what it said last.
    """
    try:
        failures = json.loads(result.read_text("utf-8"))["failures"]
    except (OSError, ValueError):
        # No file, or one that a full disk has cut short.
        said = str(error).partition("Error code is: ")[2]
        return AirflowException(f"the job ended without a result, with code {said}") if said else error
    told = "; ".join(each["error"] for each in failures.values())
    return (AirflowException if all(each["heals"] for each in failures.values()) else AirflowFailException)(told)


def counts(record: Mapping[str, Any]) -> Counts:
    """Return, by table, its status, rows in and what became of them, rows out, seconds, and the version written."""
    return {
        each["table"]: {
            "status": each["status"],
            "in": each["ledger"]["rows_in"],
            **{name: each["ledger"][name] for name in ("inserted", "updated", "unchanged", "deleted", "quarantined")},
            "out": each["rows_out"],
            "seconds": round(sum(each["phases"].values()), 1),
            "version": each["version_written"],
        }
        for each in record["tables"]
    }
