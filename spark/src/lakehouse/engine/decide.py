"""What becomes of the newest row of each key: decided once, by the table as it is and by the tombstones before."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812

from lakehouse.changes.decide import DELETE
from lakehouse.engine import delta
from lakehouse.engine.context import Context
from lakehouse.engine.deletes import newest_delete, without_outlived
from lakehouse.engine.delta import ACTION
from lakehouse.engine.latest import classify
from lakehouse.engine.marks import stream_tombstones
from lakehouse.engine.shape import typed
from lakehouse.specs import Silver, Table

ACTIONS = ("insert", "update", "delete", "unchanged", "stale")


def decide(
    table: Table, block: Silver, context: Context, latest: DataFrame, uri: str, bronze_version: int
) -> tuple[delta.Settled, dict[str, int]]:
    """Return the rows with their `_action`, settled, and how many rows each action has.

    A key that the table does not hold may have been deleted after the row that now comes late. Rows of a window are
    newer than every tombstone before it; only where one is not are Bronze's tombstones read.
    """
    small = context.settings.small_batch_rows
    target = delta.read(context.spark, uri)
    decided = delta.settle(classify(latest, target, table.key, block.latest_by).drop("_op"), small)
    taken, oldest = _tally(decided.frame, block.latest_by[0])
    for before in _tombstones(table, block, context, bronze_version, oldest) if taken["insert"] else ():
        outlived = without_outlived(decided.frame, typed(before, table, block), table.key, block.latest_by)
        settled = delta.settle(outlived, small)
        taken, _ = _tally(settled.frame, block.latest_by[0])
        decided.release()
        decided = settled
    return decided, taken


def _tombstones(table: Table, block: Silver, context: Context, bronze_version: int, oldest: int) -> Iterator[DataFrame]:
    """Yield the tombstones of Bronze, and of a stream, where one may be stamped after `oldest`."""
    bronze_uri = context.lake.bronze(table)
    bronze = context.lake.open(bronze_uri)
    deleted = newest_delete(bronze, block.watermark) if bronze is not None else None
    if deleted is not None and oldest <= deleted:
        yield delta.read(context.spark, bronze_uri, bronze_version).where(F.col("_op") == DELETE)
    for marks in stream_tombstones(table, block, context):
        if oldest <= marks.newest:
            yield delta.local(context.spark, marks.rows(None))


def _tally(decided: DataFrame, time: str) -> tuple[dict[str, int], int]:
    """Return rows by action, and the oldest moment of an insert in microseconds (the least number: not known)."""
    is_moment = decided.schema[time].dataType.simpleString() == "timestamp"
    moment = F.coalesce(F.unix_micros(time), F.lit(-sys.maxsize)) if is_moment else F.lit(-sys.maxsize)
    totals = decided.groupBy(ACTION).agg(F.count(F.lit(1)).alias("rows"), F.min(moment).alias("oldest")).collect()
    found = {row[ACTION]: row for row in totals}
    taken = {name: found[name]["rows"] if name in found else 0 for name in ACTIONS}
    return taken, found["insert"]["oldest"] if taken["insert"] else sys.maxsize
