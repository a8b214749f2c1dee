"""Which keys a Silver table (and its quarantine) holds, compared with what the source still has.

Keys are compared in buckets, by how many they are and by the sum of a number of each: a row that is new at the source
and one that is gone leave the count of their bucket as it was, and change the sum. What the window brings counts as
held, so that only buckets with a key that is gone differ; only their keys are looked for at the source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import duckdb
from deltalake import DeltaTable

if TYPE_CHECKING:
    import pyarrow as pa

# chr(31) joins the parts of a key; the first three digits of its md5 are its bucket, the next fifteen its number, as in
# lakehouse.source.
_BUCKET = "substr(md5(key), 1, 3)"
_NUMBER = "('0x' || substr(md5(key), 4, 15))::BIGINT"
SEPARATOR = "\x1f"

Keys = duckdb.DuckDBPyConnection
# Count of keys and sum of their numbers, by bucket.
Sums = dict[str, tuple[int, int]]


def live_keys(
    silver: pa.Table, quarantine: DeltaTable | None, key: Sequence[str], brought: pa.Table | None = None
) -> Keys:
    """Return a DuckDB connection whose view `live` holds every key (joined text) that is not known to be deleted.

    `silver`: the key columns of the Silver table's rows. `brought`: key, `_op` and `_ingested_at` of all that the
    source brought; where it is given, only keys whose newest row there is no tombstone are live.
    """
    connection = duckdb.connect(config={"threads": "2"})
    connection.register("silver", silver)
    live = f"SELECT {_joined(key)} AS key FROM silver"
    if quarantine is not None:
        connection.register("quarantine", quarantine.scan(columns=["key", "status"]))
        connection.execute(
            "CREATE TABLE held AS SELECT DISTINCT key FROM quarantine WHERE status = 'quarantined' AND key IS NOT NULL"
        )
        connection.execute(f"DELETE FROM held WHERE key IN ({live})")
        live += " UNION ALL SELECT key FROM held"
    if brought is not None:
        connection.register("brought", brought)
        connection.execute(f"CREATE TABLE theirs AS {_not_deleted(key)}")
        live = f"SELECT key FROM ({live}) SEMI JOIN theirs USING (key)"
    connection.execute(f"CREATE VIEW live AS {live}")
    return connection


def _not_deleted(key: Sequence[str]) -> str:
    """Return the query for keys whose newest row is no tombstone; of one moment a tombstone stands after an upsert."""
    deleted = "max(_ingested_at) FILTER (_op = 'delete')"
    return (
        f"SELECT {_joined(key)} AS key FROM brought GROUP BY ALL "
        f"HAVING {deleted} IS NULL OR max(_ingested_at) > {deleted}"
    )


def _joined(key: Sequence[str]) -> str:
    return " || chr(31) || ".join(f'"{name}"::VARCHAR' for name in key)


def missing_keys(
    live: Keys,
    arriving: Sequence[str],
    source_sums: Callable[[], Sums],
    source_keys: Callable[[Iterable[tuple[str, ...]]], Iterable[tuple[str, ...]]],
) -> list[tuple[str, ...]]:
    """Return the keys that the lake holds and the source no longer does, sorted.

    `arriving`: keys (joined text) of rows below the horizon that the lake may lack; one that is left out costs time, no
    delete. `source_sums` gives those of the source's rows below the horizon; `source_keys` those of some keys that the
    source has now.
    """
    live.execute("CREATE OR REPLACE TEMP TABLE arriving AS SELECT unnest(?::VARCHAR[]) AS key", [list(arriving)])
    expected = "SELECT key FROM live UNION ALL SELECT DISTINCT key FROM arriving ANTI JOIN live USING (key)"
    sums = f"SELECT {_BUCKET} AS bucket, count(*), sum({_NUMBER}) FROM ({expected}) GROUP BY bucket"
    ours = live.execute(sums).fetchall()
    theirs = source_sums()
    differing = [bucket for bucket, *sums in ours if theirs.get(bucket) != tuple(sums)]
    if not differing:
        return []
    live.execute("CREATE OR REPLACE TEMP TABLE differing AS SELECT unnest(?) AS bucket", [differing])
    rows = live.execute(f"SELECT key FROM live WHERE {_BUCKET} IN (SELECT bucket FROM differing)").fetchall()
    wanted = {tuple(key.split(SEPARATOR)) for (key,) in rows}
    return sorted(wanted - set(source_keys(wanted)))
