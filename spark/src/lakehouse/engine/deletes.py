"""What a deleted key leaves behind: older rows that come later stay away."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime

from deltalake import DeltaTable
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812

from lakehouse.changes.decide import DELETE
from lakehouse.engine.delta import ACTION
from lakehouse.engine.window import micros


def newest_delete(bronze: DeltaTable, watermark: str) -> int | None:
    """Return a moment (microseconds since 1970) that no tombstone of a Bronze table is stamped after, or None.

    From the files' statistics, without reading a row: None where no file holds a tombstone, the greatest number where
    the statistics do not tell.
    """
    files = bronze.get_add_actions(flatten=True)
    names = files.schema.names
    if not {"min._op", f"max.{watermark}"} <= {*names}:
        return sys.maxsize
    operations, stamps = (files.column(name).to_pylist() for name in ("min._op", f"max.{watermark}"))
    held = [stamp for operation, stamp in zip(operations, stamps, strict=True) if operation in (DELETE, None)]
    known = all(isinstance(stamp, datetime) and stamp.tzinfo for stamp in held)
    return max(map(micros, held), default=None) if known else sys.maxsize


def without_outlived(
    classified: DataFrame, marks: DataFrame, key: Sequence[str], latest_by: Sequence[str]
) -> DataFrame:
    """Return classified rows with every insert that is older than a tombstone of its key turned into `stale`.

    `marks`: tombstones with the key, `latest_by` and `_ingested_at`.
    """
    inserts = classified.where(F.col(ACTION) == "insert").select(*key).distinct()
    order = F.struct(*[F.col(name) for name in (*latest_by, "_ingested_at")])
    newest = marks.join(F.broadcast(inserts), list(key), "left_semi").groupBy(*key).agg(F.max(order).alias("_gone"))
    outlived = (F.col(ACTION) == "insert") & F.col("_gone").isNotNull() & (order < F.col("_gone"))
    joined = classified.join(F.broadcast(newest), list(key), "left")
    action = F.when(outlived, "stale").otherwise(F.col(ACTION))
    return joined.withColumn(ACTION, action).select(*classified.columns)
