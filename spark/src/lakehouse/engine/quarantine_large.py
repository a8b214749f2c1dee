"""The quarantine of rows that Spark judges: where few of its rows change, the driver writes them."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812

from lakehouse.audit.result import TableResult
from lakehouse.changes.decide import DELETE
from lakehouse.changes.write import Commit
from lakehouse.engine import delta, quarantine_small
from lakehouse.engine.context import Context
from lakehouse.engine.delta import ACTION
from lakehouse.engine.judge import Judgement
from lakehouse.engine.quarantine import CLOSED, HELD, RELEASED, Occasion, key_of, rejection
from lakehouse.engine.window import micros
from lakehouse.specs import Table

# Rows. A MERGE by Spark costs some seconds however few it changes.
_FEW = 10_000


def keep_rejects(
    table: Table, context: Context, judged: DataFrame, rules: Sequence[Judgement], rejected: int, result: TableResult
) -> None:
    """Add the `rejected` rows that failed; one that is there already only gets its newest sight and reasons."""
    columns = rejection(judged.columns, rules, table.key, Occasion(table.version, context.run_id, context.started))
    rows = judged.where("NOT _ok").select(*[column.alias(name) for name, column in columns.items()])
    uri = context.lake.quarantine(table)
    if rejected <= _few(context, uri):
        quarantine_small.keep_rejects(table, context, rows.toArrow(), result)
        return
    rows = rows.dropDuplicates(["fingerprint"])
    commit = quarantine_small.commit_of_rejects(table, context, result)
    if context.lake.open(uri) is None:
        delta.append(rows, uri, commit)
    else:
        _merge(rows, uri, context, commit)


def _merge(rows: DataFrame, uri: str, context: Context, commit: Commit) -> None:
    held = delta.read(context.spark, uri).select("fingerprint", F.col("first_seen").alias("_first"))
    rows = rows.join(held, "fingerprint", "left")
    action = F.when(F.col("_first").isNull(), "insert").otherwise("update")
    first = F.coalesce("_first", "first_seen")
    actions = rows.withColumn(ACTION, action).withColumn("first_seen", first).drop("_first")
    settled = delta.settle(actions, context.settings.small_batch_rows)
    delta.merge_actions(context.spark, uri, settled, ["fingerprint"], commit)


def release(table: Table, context: Context, passed: DataFrame, result: TableResult) -> None:
    """Mark held rows with these fingerprints as released; called after the commit that took them in."""
    uri = context.lake.quarantine(table)
    held = delta.read(context.spark, uri).where(F.col("status") == HELD)
    rows = held.join(F.broadcast(passed.distinct()), "fingerprint", "left_semi")
    _mark(rows, uri, RELEASED, context, context.aside(uri, f"release:{table.name}", result))


def close_held(table: Table, context: Context, judged: DataFrame, result: TableResult) -> None:
    """Mark what is held of keys that were deleted since: it is neither looked for nor replayed again."""
    uri = context.lake.quarantine(table)
    gone = judged.where(F.col("_op") == DELETE).select(key_of(table.key).alias("key"), "_ingested_at")
    gone = gone.groupBy("key").agg(F.max("_ingested_at").alias("_gone"))
    held = delta.read(context.spark, uri).where(F.col("status") == HELD).join(F.broadcast(gone), "key")
    rows = held.where(F.col("origin.ingested_at") <= F.col("_gone")).drop("_gone")
    commit = context.commit(f"closed:{table.name}:{context.run_id}", micros(context.started), result)
    _mark(rows, uri, CLOSED, context, commit)


def _mark(rows: DataFrame, uri: str, status: str, context: Context, commit: Commit) -> None:
    few = _few(context, uri)
    if few:
        found: pa.Table = rows.select("fingerprint").limit(few + 1).toArrow()
        if found.num_rows <= few:
            quarantine_small.mark(uri, found.column("fingerprint"), status, context, commit)
            return
    now = {"status": F.lit(status), "last_seen": F.lit(context.started), "run_id": F.lit(context.run_id)}
    settled = delta.settle(rows.withColumns({**now, ACTION: F.lit("update")}), context.settings.small_batch_rows)
    if not settled.frame.isEmpty():
        delta.merge_actions(context.spark, uri, settled, ["fingerprint"], commit)
    settled.release()


def _few(context: Context, uri: str) -> int:
    """Return up to how many rows the driver writes; 0 where only Spark can."""
    if context.lake.open(uri) is not None and context.snapshot(uri) is None:
        return 0
    return min(_FEW, context.settings.small_batch_rows)
