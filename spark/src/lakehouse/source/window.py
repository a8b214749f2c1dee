"""What a window of a source table holds, before it is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from psycopg2 import sql

from lakehouse.source.connect import transaction

if TYPE_CHECKING:
    from psycopg2 import extensions


# `[low, high)` as the watermark's column says it.
Bounds = tuple[date, date]


@dataclass(frozen=True)
class WindowCount:
    """Rows inside the window, rows without a watermark, rows stamped at or after the horizon; pages of the table."""

    rows: int
    without_watermark: int
    held: int
    pages: int


@contextmanager
def unmoved(url: str, table: str) -> Iterator[None]:
    """Keep a table's rows on their pages until the block ends, for who reads them page by page.

    The lock is a SELECT's: VACUUM FULL, CLUSTER, TRUNCATE and ALTER TABLE wait for it, writers and VACUUM do not.
    Raises `SourceUnavailable` where such a one is at work for longer than five minutes.
    """
    with transaction(url, readonly=True) as connection, connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '300s'; SET LOCAL idle_in_transaction_session_timeout = 0")
        lock = sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE")
        cursor.execute(lock.format(sql.Identifier(*table.split("."))))
        yield


def count_rows(connection: extensions.connection, table: str) -> int:
    """Count all rows of a table, whatever their watermark. Errors are those of the connection."""
    query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(*table.split(".")))
    with connection.cursor() as cursor:
        cursor.execute(query)
        (count,) = cursor.fetchone() or (0,)
    return int(count)


def holds_outside(
    connection: extensions.connection, table: str, names: Sequence[str], watermark: str, window: Bounds, end: date
) -> bool:
    """Return whether a row before `end`, outside of the window, has a value in one of the columns.

    Errors are those of the connection.
    """
    column = sql.Identifier(watermark)
    query = sql.SQL(
        "SELECT EXISTS (SELECT FROM {relation} WHERE ({valued}) AND {column} < %(end)s"
        " AND ({column} < %(low)s OR {column} >= %(high)s))"
    ).format(
        relation=sql.Identifier(*table.split(".")),
        column=column,
        valued=sql.SQL(" OR ").join(sql.SQL("{} IS NOT NULL").format(sql.Identifier(name)) for name in names),
    )
    with connection.cursor() as cursor:
        cursor.execute(query, {"low": window[0], "high": window[1], "end": end})
        return cursor.fetchone() == (True,)


def count_window(
    connection: extensions.connection, table: str, watermark: str, low: date | None, horizon: date
) -> WindowCount:
    """Count what `[low, horizon)` holds, bounds as the column says them; `low` None is the beginning of time.

    Errors are those of the connection.
    """
    schema, name = table.split(".")
    column = sql.Identifier(watermark)
    relation = sql.Identifier(schema, name)
    above = sql.SQL("{} >= %(low)s AND").format(column) if low else sql.SQL("")
    query = sql.SQL(
        "SELECT (SELECT count(*) FROM {relation} WHERE {above} {column} < %(horizon)s),"
        " (SELECT count(*) FROM {relation} WHERE {column} IS NULL),"
        " (SELECT count(*) FROM {relation} WHERE {column} >= %(horizon)s),"
        " (SELECT ceil(pg_relation_size(%(regclass)s::regclass) / current_setting('block_size')::numeric)::int)"
    ).format(relation=relation, column=column, above=above)
    with connection.cursor() as cursor:
        regclass = relation.as_string(connection)
        cursor.execute(query, {"low": low, "horizon": horizon, "regclass": regclass})
        row = cursor.fetchone()
    assert row is not None  # noqa: S101 - an aggregate query always gives one row
    return WindowCount(*(int(value) for value in row))
