"""Reading a window of a source table over JDBC, side by side where it is large."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import reduce
from itertools import pairwise

from pyspark.sql import DataFrame, SparkSession

from lakehouse.database_url import jdbc_parameters, jdbc_url
from lakehouse.engine.unfit import UNFIT, fitting, unfit_texts
from lakehouse.source.describe import Column
from lakehouse.source.unchanged import is_unchanged

# Types that JDBC carries without loss as they are; any other is read as its text.
_PLAIN = ("smallint", "integer", "bigint", "text", "boolean", "date", "real", "double precision")
_PLAIN_BEGINNINGS = ("character", "timestamp")
# What a URL does not say otherwise.
_SESSION = {
    "ApplicationName": "lakehouse",
    "connectTimeout": "10",
    "socketTimeout": "300",
    "options": "-c TimeZone=UTC",
}


def select_list(columns: Sequence[Column]) -> str:
    """Return the SELECT list that pins every column to the type it had when it was described."""
    return ", ".join(f'"{column.name}"::{_carried(column)} AS "{column.name}"' for column in columns)


def fitting_list(columns: Sequence[Column]) -> str:
    """Return the same list with NULL for a value that the lake's type cannot hold, and `_unfit`, which says those."""
    listed = [f'{fitting(column)}::{_carried(column)} AS "{column.name}"' for column in columns]
    return ", ".join([*listed, f"{unfit_texts(columns)} AS {UNFIT}"])


def select_rows(table: str, columns: Sequence[Column], listed: str) -> str:
    """Return a SELECT of what is listed that ends in a WHERE, and raises where the table's columns are others now."""
    schema, name = table.split(".")
    return f'SELECT {listed} FROM "{schema}"."{name}" WHERE {is_unchanged(table, columns)}'


def _carried(column: Column) -> str:
    name = column.type.lower()
    if name in _PLAIN or name.startswith(_PLAIN_BEGINNINGS):
        return "text" if name.startswith("character") else name
    sized = name.startswith("numeric(") and int(name[8:].split(",")[0].rstrip(")")) <= 38
    return name if sized else "text"


def window_predicate(watermark: str, low: date | None, high: date, *, without_watermark: bool) -> str:
    """Return SQL for `[low, high)`, and the rows that have no watermark if they are wanted."""
    above = f"\"{watermark}\" >= '{low.isoformat()}' AND " if low else ""
    window = f"({above}\"{watermark}\" < '{high.isoformat()}')"
    return f'({window} OR "{watermark}" IS NULL)' if without_watermark else window


def page_ranges(pages: int, parts: int) -> list[str]:
    """Return predicates on the row's page that together hold every row once; the last is open above.

    What has no pages of its own, such as a view, is one part: it has no `ctid` either.
    """
    parts = min(parts, pages)
    if parts <= 1:
        return ["TRUE"]
    bounds = [pages * part // parts for part in range(parts)]
    ranges = [f"ctid >= '({low},0)'::tid AND ctid < '({high},0)'::tid" for low, high in pairwise(bounds)]
    return [*ranges, f"ctid >= '({bounds[-1]},0)'::tid"]


def read_rows(spark: SparkSession, url: str, select: str, predicates: Sequence[str], fetch_size: int) -> DataFrame:
    """Return the rows of a SELECT (see `select_rows`) under each predicate, one JDBC partition each."""
    reader = (
        spark.read.format("jdbc")
        .option("url", jdbc_url(url))
        .option("driver", "org.postgresql.Driver")
        .option("fetchsize", str(fetch_size))
        .option("preferTimestampNTZ", "true")
        .options(**{**_SESSION, **jdbc_parameters(url)})
    )
    queries = [f"({select} AND {predicate}) AS rows" for predicate in predicates]
    return reduce(DataFrame.union, [reader.option("dbtable", query).load() for query in queries])
