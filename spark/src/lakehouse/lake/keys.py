"""Which keys a Silver table (and its quarantine) holds, compared with what the source still has.

The lake's keys are a superset of the source's rows below the horizon, so equal counts mean equal sets, in the whole or
in any part: only buckets of keys whose counts differ are read from the source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import duckdb
from deltalake import DeltaTable

# chr(31) joins the parts of a key; the first four hexadecimal digits of the md5 are its bucket, as in lakehouse.source.
_BUCKET = "('0x' || substr(md5(key), 1, 4))::INTEGER"
SEPARATOR = "\x1f"

Keys = duckdb.DuckDBPyConnection


def live_keys(silver: Any, quarantine: DeltaTable | None, key: Sequence[str]) -> Keys:
    """Return a DuckDB connection whose table `live` holds every key (joined text) that is not known to be deleted.

    `silver`: the key columns of the Silver table's rows, as an Arrow table or stream.
    """
    connection = duckdb.connect(config={"threads": "2"})
    connection.execute("CREATE TABLE live (key VARCHAR)")
    connection.register("silver", silver)
    joined = " || chr(31) || ".join(f'"{name}"::VARCHAR' for name in key)
    connection.execute(f"INSERT INTO live SELECT {joined} FROM silver")
    if quarantine is not None:
        connection.register("held", quarantine.scan(columns=["key", "status"]))
        connection.execute(
            "INSERT INTO live SELECT DISTINCT key FROM held WHERE status = 'quarantined' AND key IS NOT NULL "
            "AND key NOT IN (SELECT key FROM live)"
        )
    return connection


def missing_keys(
    live: Keys,
    source_counts: Callable[[], dict[int, int]],
    source_keys: Callable[[Iterable[int]], Iterable[tuple[str, ...]]],
) -> list[tuple[str, ...]]:
    """Return the keys that the lake holds and the source no longer does, sorted.

    `source_counts` gives rows below the horizon by bucket; `source_keys` every key now in the given buckets.
    """
    have = dict(live.execute(f"SELECT {_BUCKET} AS bucket, count(*) FROM live GROUP BY bucket").fetchall())
    theirs = source_counts()
    differing = [bucket for bucket, count in have.items() if theirs.get(bucket, 0) != count]
    if not differing:
        return []
    still_there = {SEPARATOR.join(parts) for parts in source_keys(differing)}
    live.execute("CREATE OR REPLACE TEMP TABLE differing AS SELECT unnest(?) AS bucket", [differing])
    ours = live.execute(f"SELECT key FROM live WHERE {_BUCKET} IN (SELECT bucket FROM differing)").fetchall()
    return sorted(tuple(key.split(SEPARATOR)) for (key,) in ours if key not in still_there)
