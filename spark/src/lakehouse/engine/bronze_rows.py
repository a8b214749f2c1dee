"""The rows of a Bronze commit: a window of the source, less what is held already, and tombstones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812

from lakehouse.changes.decide import DELETE
from lakehouse.engine import delta
from lakehouse.specs import Silver, Table
from lakehouse.specs.expressions import columns_of_expression

UPSERT = "upsert"


def with_operation(rows: DataFrame, block: Silver) -> DataFrame:
    """Add `_op`: a row of a source that flags its deletes is a tombstone when the flag is set."""
    if block.deleted_flag is None:
        return rows.withColumn("_op", F.lit(UPSERT))
    return rows.withColumn("_op", F.when(F.col(block.deleted_flag), DELETE).otherwise(UPSERT))


def not_yet_held(
    rows: DataFrame, bronze: DataFrame, key: Sequence[str], watermark: str, low: date | None, high: date
) -> DataFrame:
    """Leave out rows that Bronze holds with the same content, whatever brought them before.

    Columns that Bronze lacks so far count as NULL there, so a row with a value in one is new. A row without a watermark
    is compared with the newest such row of its key: it may have come back to an older value. Where the source has
    several of one key at once, each is held by any of them: none of them is the newest.
    """
    names = [name for name in rows.columns if name != "_op"]
    for name in names:
        if name not in bronze.columns:
            bronze = bronze.withColumn(name, F.lit(None).cast(rows.schema[name].dataType))
        bronze = bronze.withColumn(name, F.col(name).cast(rows.schema[name].dataType))
    kind = rows.schema[watermark].dataType
    stretch: Expression = F.col(watermark) < F.lit(high.isoformat()).cast(kind)
    if low is not None:
        stretch = stretch & (F.col(watermark) >= F.lit(low.isoformat()).cast(kind))
    held = bronze.where(stretch | F.col(watermark).isNull())
    content = F.expr(delta.row_hash([*names, "_op"]))
    alike = Window.partitionBy(*key, watermark)
    newest = F.rank().over(alike.orderBy(F.col("_ingested_at").desc())) == 1
    held = held.select(content.alias("_held"), newest.alias("_newest"))
    single = F.col(watermark).isNull() & (F.count(F.lit(1)).over(alike) == 1)
    read = rows.withColumns({"_content": content, "_single": single})
    same = (F.col("_content") == F.col("_held")) & (F.col("_newest") | ~F.col("_single"))
    return read.join(held, same, "left_anti").drop("_content", "_single")


def key_sources(table: Table) -> list[str]:
    """Return the source's columns that a Silver table's key is made from."""
    keyed = [column for column in table.columns if column.key_position is not None]
    names = [columns_of_expression(each.expression) if each.expression else {each.name} for each in keyed]
    return sorted(set[str]().union(*names))


def tombstones(
    rows: DataFrame, key: Sequence[str], gone: Sequence[tuple[str, ...]], watermark: str, at: date
) -> DataFrame:
    """Return one row a vanished key in the shape of `rows`, stamped with the horizon: no better moment is known."""
    keys = rows.sparkSession.createDataFrame(list(gone), ", ".join(f"`{name}` string" for name in key))
    values = {name: F.col(name) for name in key} | {watermark: F.lit(at.isoformat()), "_op": F.lit(DELETE)}
    return keys.select(
        *[values.get(field.name, F.lit(None)).cast(field.dataType).alias(field.name) for field in rows.schema.fields]
    )


def with_origin(rows: DataFrame, run_id: str, ingested_at: datetime, source: str) -> DataFrame:
    """Add `_run_id`, `_ingested_at` and `_source`."""
    return rows.select(
        "*",
        F.lit(run_id).alias("_run_id"),
        F.lit(ingested_at).alias("_ingested_at"),
        F.lit(source).alias("_source"),
    )
