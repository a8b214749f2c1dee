"""Compaction by Spark: small files of a table, and those with many deleted rows, become few."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

from lakehouse.engine.failures import translated
from lakehouse.engine.session import start_session, stop_session
from lakehouse.errors import StateError
from lakehouse.lake import Lake
from lakehouse.maintenance.run import Compact
from lakehouse.maintenance.survey import DELETED_SHARE, SMALL_BYTES
from lakehouse.settings import Settings
from lakehouse.specs import Catalog


@contextmanager
def compaction(settings: Settings, catalog: Catalog, shared: SparkSession | None = None) -> Iterator[Compact]:
    """Hold what compacts a table; the session is started by the first one that needs it."""
    sessions: list[SparkSession] = [shared] if shared is not None else []
    lake = Lake(settings, catalog.pipeline.name)

    def compact(uri: str) -> int:
        if not sessions:
            sessions.append(start_session(settings, catalog.pipeline.spark, f"lakehouse maintain {lake.pipeline}"))
        with translated(uri):
            _optimize(sessions[0].newSession(), uri)
        table = lake.open(uri)
        if table is None:
            raise StateError("the table is gone.", where=uri)
        return table.version()

    try:
        yield compact
    finally:
        if shared is None and sessions:
            stop_session(sessions[0])


def _optimize(spark: SparkSession, uri: str) -> None:
    """Rewrite only files that pay for it: large whole ones are read by everybody and written by nobody."""
    spark.conf.set("spark.databricks.delta.optimize.minFileSize", str(SMALL_BYTES))
    spark.conf.set("spark.databricks.delta.optimize.maxFileSize", str(4 * SMALL_BYTES))
    spark.conf.set("spark.databricks.delta.optimize.maxDeletedRowsRatio", str(DELETED_SHARE))
    spark.sql(f"OPTIMIZE delta.`{uri}`")
