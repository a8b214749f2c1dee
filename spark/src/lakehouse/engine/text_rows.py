"""Rows whose values are texts, as events of a stream have them, beside those of a source that has types."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from lakehouse.engine import delta
from lakehouse.engine.cast import exact_cast
from lakehouse.engine.context import Context
from lakehouse.specs import Silver, Table
from lakehouse.specs.rules import quoted
from lakehouse.streaming.rows import Occasion, as_rows, bronze_schema


def with_events(rows: DataFrame, table: Table, block: Silver, context: Context) -> DataFrame:
    """Return Bronze rows and those of all the stream's events, whatever Silver has taken in of either.

    An event that cannot be such a row has been in the quarantine since it came.
    """
    stream, uri = block.stream, context.lake.events(table)
    if stream is None or context.lake.open(uri) is None:
        return rows
    occasion, watermark = Occasion(context.run_id, datetime.now(UTC)), block.watermark

    def parse(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield from as_rows(pa.Table.from_batches([batch]), table, stream, watermark, occasion).rows.to_batches()

    texts = delta.read(context.spark, uri).mapInArrow(parse, from_arrow_schema(bronze_schema(table)))
    return rows.unionByName(as_source_has_them(texts, rows.schema, block.timezone), allowMissingColumns=True)


def as_source_has_them(texts: DataFrame, source: StructType, timezone: str) -> DataFrame:
    """Return rows with every text in the type that a source's column of this name has, where all of a row's fit."""
    types = {field.name: field.dataType.simpleString() for field in source.fields}
    made: dict[str, Column] = {
        name: F.expr(_cast(quoted(name), types[name], timezone))
        for name, kind in texts.dtypes
        if not name.startswith("_") and name in types and kind == "string"
    }
    fits = F.lit(True)
    for name, value in made.items():
        fits = fits & (F.col(name).isNull() | value.isNotNull())
    return texts.where(fits).withColumns(made)


def _cast(value: str, target: str, timezone: str) -> str:
    if target == "timestamp_ntz":
        moment = exact_cast(value, "string", "timestamp", timezone)
        return f"CAST(from_utc_timestamp({moment}, '{timezone}') AS timestamp_ntz)"
    return exact_cast(value, "string", target, timezone)
