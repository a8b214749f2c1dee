"""Which keys a Silver table (and its quarantine) holds, compared with what the source still has.

The lake's keys are a superset of the source's rows below the horizon, so equal counts mean equal sets, in the whole or
in any part: only keys of buckets whose counts differ are looked for at the source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import duckdb
from deltalake import DeltaTable

if TYPE_CHECKING:
    import pyarrow as pa

# chr(31) joins the parts of a key; the first three digits of its md5 are its bucket, as in lakehouse.source.
_BUCKET = "substr(md5(key), 1, 3)"
SEPARATOR = "\x1f"

Keys = duckdb.DuckDBPyConnection


def live_keys(silver: pa.Table, quarantine: DeltaTable | None, key: Sequence[str]) -> Keys:
    """Return a DuckDB connection whose view `live` holds every key (joined text) that is not known to be deleted.

    `silver`: the key columns of the Silver table's rows.
    """
    connection = duckdb.connect(config={"threads": "2"})
    connection.register("silver", silver)
    joined = " || chr(31) || ".join(f'"{name}"::VARCHAR' for name in key)
    live = f"SELECT {joined} AS key FROM silver"
    if quarantine is not None:
        connection.register("quarantine", quarantine.scan(columns=["key", "status"]))
        connection.execute(
            "CREATE TABLE held AS SELECT DISTINCT key FROM quarantine WHERE status = 'quarantined' AND key IS NOT NULL"
        )
        connection.execute(f"DELETE FROM held WHERE key IN ({live})")
        live += " UNION ALL SELECT key FROM held"
    connection.execute(f"CREATE VIEW live AS {live}")
    return connection


def missing_keys(
    live: Keys,
    source_counts: Callable[[], dict[str, int]],
    source_keys: Callable[[Iterable[tuple[str, ...]]], Iterable[tuple[str, ...]]],
) -> list[tuple[str, ...]]:
    """Return the keys that the lake holds and the source no longer does, sorted.

    `source_counts` gives rows below the horizon by bucket; `source_keys` those of some keys that the source has now.
    """
    have = dict(live.execute(f"SELECT {_BUCKET} AS bucket, count(*) FROM live GROUP BY bucket").fetchall())
    theirs = source_counts()
    differing = [bucket for bucket, count in have.items() if theirs.get(bucket, 0) != count]
    if not differing:
        return []
    live.execute("CREATE OR REPLACE TEMP TABLE differing AS SELECT unnest(?) AS bucket", [differing])
    rows = live.execute(f"SELECT key FROM live WHERE {_BUCKET} IN (SELECT bucket FROM differing)").fetchall()
    ours = {tuple(key.split(SEPARATOR)) for (key,) in rows}
    return sorted(ours - set(source_keys(ours)))
