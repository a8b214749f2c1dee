"""Finding deleted keys: rows counted by bucket of the key's hash, then the keys of the few buckets that differ.

A bucket is the first four hexadecimal digits, as a number, of the md5 of the key's columns as text, joined by chr(31).
A row whose key holds a NULL has no bucket.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from psycopg2 import sql

from lakehouse.source.connect import reading, transaction

BUCKETS = 1 << 16
_FETCH = 10_000


def bucket_counts(
    url: str, schema: str, table: str, key: Sequence[str], watermark: str, horizon: datetime
) -> dict[int, int]:
    """Return the rows whose watermark lies before the horizon by bucket, 0 to 65,535; empty buckets are left out."""
    query = sql.SQL(
        "SELECT bucket, count(*) FROM (SELECT {bucket} AS bucket FROM {table} WHERE {watermark} < %s) AS rows"
        " WHERE bucket IS NOT NULL GROUP BY bucket"
    ).format(bucket=_bucket(key), table=sql.Identifier(schema, table), watermark=sql.Identifier(watermark))
    with reading(url) as connection, connection.cursor() as cursor:
        cursor.execute(query, [horizon])
        return dict(cursor.fetchall())


def keys_in(url: str, schema: str, table: str, key: Sequence[str], buckets: Iterable[int]) -> Iterator[tuple[str, ...]]:
    """Yield the key, as text, of every row in these buckets, whatever its watermark; read as one snapshot."""
    wanted = sorted(set(buckets))
    if not wanted:
        return
    query = sql.SQL("SELECT {key} FROM {table} WHERE {bucket} = ANY(%s)").format(
        key=sql.SQL(", ").join(_as_text(key)), table=sql.Identifier(schema, table), bucket=_bucket(key)
    )
    with transaction(url, readonly=True) as connection, connection.cursor("lakehouse_keys") as cursor:
        cursor.itersize = _FETCH
        cursor.execute(query, [wanted])
        yield from cursor


def _bucket(key: Sequence[str]) -> sql.Composed:
    joined = sql.SQL(" || chr(31) || ").join(_as_text(key))
    return sql.SQL("('x' || left(md5({}), 4))::bit(16)::int").format(joined)


def _as_text(key: Sequence[str]) -> list[sql.Composed]:
    return [sql.SQL("{}::text").format(sql.Identifier(column)) for column in key]
