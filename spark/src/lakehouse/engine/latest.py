"""One row a key: the newest of the valid ones, by an order that no engine's whim decides; and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812

from lakehouse.changes.decide import DELETE
from lakehouse.engine import delta
from lakehouse.engine.delta import ACTION

HASH = "_hash"


def version_order(latest_by: Sequence[str]) -> list[str]:
    """Return the columns that order versions of one key: the declared ones, then Bronze's order, then content."""
    return [*latest_by, "_ingested_at", HASH]


def keep_latest(rows: DataFrame, key: Sequence[str], latest_by: Sequence[str]) -> DataFrame:
    """Return the newest row of each key; of one moment and one ingestion a tombstone stands after an upsert."""
    order = [F.col(name).desc_nulls_last() for name in latest_by]
    order += [F.col("_ingested_at").desc(), (F.col("_op") == DELETE).desc(), F.col(HASH).desc()]
    ranked = rows.withColumn("_rank", F.row_number().over(Window.partitionBy(*key).orderBy(*order)))
    return ranked.where("_rank = 1").drop("_rank")


def with_hash(rows: DataFrame, columns: Sequence[str]) -> DataFrame:
    """Add `_hash`, the content of the contract's columns."""
    return rows.withColumn(HASH, F.expr(delta.row_hash(columns)))


def classify(latest: DataFrame, target: DataFrame, key: Sequence[str], latest_by: Sequence[str]) -> DataFrame:
    """Add `_action`: insert, update, delete, unchanged or stale, by comparing with the table as it is."""
    order = version_order(latest_by)
    asked = latest.select(*key).distinct()
    held = target.join(F.broadcast(asked), list(key), "left_semi")
    held = held.select(
        *[F.col(name).alias(f"_held_{name}") for name in key],
        F.struct(*[F.col(name) for name in order]).alias("_held_order"),
        F.col(HASH).alias("_held_hash"),
    )
    same = [F.col(name).eqNullSafe(F.col(f"_held_{name}")) for name in key]
    joined = latest.join(F.broadcast(held), same, "left")
    drop = [*[f"_held_{name}" for name in key], "_held_order", "_held_hash"]
    return joined.withColumn(ACTION, _action(F.struct(*[F.col(name) for name in order]))).drop(*drop)


def _action(order: Column) -> Column:
    """Return the action for a row beside the held one; `_held_order` and `_held_hash` are NULL where there is none."""
    absent = F.col("_held_hash").isNull()
    gone = F.col("_op") == DELETE
    newer = order > F.col("_held_order")
    return (
        F.when(absent & gone, "stale")
        .when(absent, "insert")
        .when(gone & newer, "delete")
        .when(gone, "stale")
        .when(F.col("_held_hash") == F.col(HASH), "unchanged")
        .when(newer, "update")
        .otherwise("stale")
    )
