"""Finding deleted keys: rows summed up by bucket of the key's hash, then those of the buckets that differ looked for.

A bucket is the first three hexadecimal digits of the md5 of the key's columns as text, joined by chr(31); the next
fifteen are the number that is summed up. A row whose key holds a NULL has no bucket.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import islice

from psycopg2 import sql

from lakehouse.source.connect import reading, transaction
from lakehouse.source.window import Bounds

_AT_ONCE = 100_000


def bucket_sums(
    url: str, schema: str, table: str, key: Sequence[str], watermark: str, horizon: date
) -> dict[str, tuple[int, int]]:
    """Return by bucket how many rows have a watermark before the horizon, and the sum of their keys' numbers.

    Empty buckets are left out.
    """
    # OFFSET 0 keeps Postgres from computing each md5 once for every mention: half the time.
    query = sql.SQL(
        "SELECT left(hash, 3) AS bucket, count(*), sum(('x' || substr(hash, 4, 15))::bit(60)::bigint)"
        " FROM (SELECT md5({key}) AS hash FROM {table} WHERE {watermark} < %s OFFSET 0) AS rows GROUP BY bucket"
    ).format(key=_joined(key), table=sql.Identifier(schema, table), watermark=sql.Identifier(watermark))
    with reading(url) as connection, connection.cursor() as cursor:
        cursor.execute(query, [horizon])
        return {bucket: (count, int(total)) for bucket, count, total in cursor if bucket is not None}


def keys_between(url: str, schema: str, table: str, key: Sequence[str], watermark: str, window: Bounds) -> list[str]:
    """Return the keys, each one's columns joined, of the rows in a window; without those that hold a NULL."""
    query = sql.SQL(
        "SELECT key FROM (SELECT {key} AS key FROM {table} WHERE {watermark} >= %s AND {watermark} < %s) AS rows"
        " WHERE key IS NOT NULL"
    ).format(key=_joined(key), table=sql.Identifier(schema, table), watermark=sql.Identifier(watermark))
    with reading(url) as connection, connection.cursor() as cursor:
        cursor.execute(query, window)
        return [text for (text,) in cursor]


def keys_among(
    url: str, schema: str, table: str, key: Sequence[str], wanted: Iterable[tuple[str, ...]]
) -> Iterator[tuple[str, ...]]:
    """Yield those of the wanted keys, as text, that the table has, whatever their watermark; read as one snapshot."""
    rest = iter(wanted)
    part = list(islice(rest, _AT_ONCE))
    if not part:
        return
    names = [sql.Identifier(f"k{number}") for number in range(len(key))]
    same = [sql.SQL("t.{} = {}").format(text, name) for text, name in zip(_as_text(key), names, strict=True)]
    query = sql.SQL("SELECT {names} FROM {table} AS t JOIN unnest({lists}) AS k({names}) ON {same}").format(
        names=sql.SQL(", ").join(names),
        table=sql.Identifier(schema, table),
        lists=sql.SQL(", ").join([sql.SQL("%s::text[]")] * len(key)),
        same=sql.SQL(" AND ").join(same),
    )
    with transaction(url, readonly=True) as connection, connection.cursor() as cursor:
        while part:
            cursor.execute(query, [list(column) for column in zip(*part, strict=True)])
            yield from cursor
            part = list(islice(rest, _AT_ONCE))


def _joined(key: Sequence[str]) -> sql.Composed:
    return sql.SQL(" || chr(31) || ").join(_as_text(key))


def _as_text(key: Sequence[str]) -> list[sql.Composed]:
    return [sql.SQL("{}::text").format(sql.Identifier(column)) for column in key]
