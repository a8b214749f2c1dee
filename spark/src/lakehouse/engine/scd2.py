"""Slowly changing dimensions of type 2: the versions of a key as a function of the set of its changes.

The semantics are those of Spark's AUTO CDC (keys, sequence_by, apply_as_deletes, track_history columns).
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812

from lakehouse.engine import delta
from lakehouse.specs import Scd2

OPEN_PAST = "1900-01-01 00:00:00"


def surrogate_key(columns: Sequence[Column]) -> Column:
    """Return a bigint from the first 60 bits of an md5: the same in any engine, for the same values."""
    text = F.concat_ws("\x1f", *[column.cast("string") for column in columns])
    return F.conv(F.substring(F.md5(text.cast("binary")), 1, 15), 16, 10).cast("bigint")


def versions(changes: DataFrame, spec: Scd2) -> DataFrame:
    """Return the versions that a set of changes makes.

    `changes`: the key, the sequence columns, the values, and `_deleted`; any order, any repetition. The result has the
    key, the values, `valid_from`, `valid_to` (NULL: current), `is_current`, the surrogate, and `is_deleted` where
    deletes are recorded. Values of untracked columns are those of the newest change within a version.
    """
    values = [name for name in changes.columns if name not in (*spec.key, *spec.sequence_by, "_deleted")]
    tracked = [name for name in values if name not in spec.untracked]
    rows = changes.where("NOT _deleted") if spec.deletes == "ignore" else changes
    rows = _one_change_a_moment(rows, spec, values)
    rows = _grouped(rows, spec, tracked)
    return _finished(rows, spec, values)


def _one_change_a_moment(rows: DataFrame, spec: Scd2, values: Sequence[str]) -> DataFrame:
    """Of changes with one key and time only the last by the tie-breakers stands; a delete after an upsert."""
    time = spec.sequence_by[0]
    rows = rows.withColumn("_content", F.expr(delta.row_hash(values)))
    order = [time, *spec.sequence_by[1:], "_deleted", "_content"]
    following = F.lead(time).over(Window.partitionBy(*spec.key).orderBy(*order))
    rows = rows.withColumn("_following", following)
    return rows.where(F.col("_following").isNull() | (F.col("_following") != F.col(time))).drop(
        "_following", "_content"
    )


def _grouped(rows: DataFrame, spec: Scd2, tracked: Sequence[str]) -> DataFrame:
    """Add `_from` (start of the run of equal changes), `_to` (start of the next run) and `_first`; one row a run."""
    time = spec.sequence_by[0]
    window = Window.partitionBy(*spec.key).orderBy(time)
    before = window.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    rows = rows.withColumn("_tracked", F.expr(delta.row_hash(tracked)))
    state = F.struct("_deleted", F.when(~F.col("_deleted"), F.col("_tracked")))
    rows = rows.withColumn("_state", state)
    begins = F.lag("_state").over(window).isNull() | ~F.lag("_state").over(window).eqNullSafe(F.col("_state"))
    rows = rows.withColumn("_begins", begins)
    rows = rows.withColumns(
        {
            "_from": F.last(F.when(F.col("_begins"), F.col(time)), ignorenulls=True).over(before),
            "_first": F.first(time).over(before),
            "_next_begins": F.lead("_begins").over(window),
            "_to": F.lead(time).over(window),
        }
    )
    return rows.where(F.coalesce("_next_begins", F.lit(True)))


def _finished(rows: DataFrame, spec: Scd2, values: Sequence[str]) -> DataFrame:
    rows = _with_last_values(rows, spec, values) if spec.deletes == "record" else rows.where("NOT _deleted")
    start: Column = F.col("_from")
    if spec.first_version == "open":
        past = F.lit(OPEN_PAST).cast("timestamp")
        # A delete says when it was; only what a key held at first may have held before.
        opens = (F.col("_from") == F.col("_first")) & ~F.col("_deleted")
        start = F.when(opens, F.least(past, start)).otherwise(start)
    rows = rows.withColumn("valid_from", start)
    identity = [*[F.col(name) for name in spec.key], F.unix_micros("valid_from")]
    recorded = [F.col("_deleted").alias("is_deleted")] if spec.deletes == "record" else []
    return rows.select(
        surrogate_key(identity).alias(spec.surrogate),
        *spec.key,
        *values,
        "valid_from",
        F.col("_to").alias("valid_to"),
        F.col("_to").isNull().alias("is_current"),
        *recorded,
    )


def _with_last_values(rows: DataFrame, spec: Scd2, values: Sequence[str]) -> DataFrame:
    """A recorded delete shows what the key held last."""
    window = Window.partitionBy(*spec.key).orderBy(spec.sequence_by[0])
    held = F.when(~F.col("_deleted"), F.struct(*values))
    last = F.last(held, ignorenulls=True).over(window.rowsBetween(Window.unboundedPreceding, Window.currentRow))
    rows = rows.withColumn("_held", last)
    return rows.withColumns({name: F.col(f"_held.{name}") for name in values}).drop("_held")
