"""Which keys are gone from the source: it brought them, the lake holds them, and it has them no longer."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
from deltalake import DeltaTable

from lakehouse.changes.files import snapshot
from lakehouse.engine.context import Context
from lakehouse.engine.progress import batch_application
from lakehouse.lake import Keys, live_keys, missing_keys
from lakehouse.lake.tables import reading
from lakehouse.source.keys import bucket_sums, keys_among, keys_between
from lakehouse.specs import Silver, Table

# Beyond so many rows a window touches most buckets, and its keys are more to carry than they spare.
_FEW = 100_000


def vanished_keys(
    table: Table, block: Silver, context: Context, url: str, low: date | None, high: date, rows: int
) -> list[tuple[str, ...]]:
    """Return the keys that a tombstone is to be written for.

    `low`, `high`: the window's bounds as the watermark's column says them; `rows`: how many it holds.
    """
    silver = context.lake.open(context.lake.of(table))
    if silver is None:
        return []
    schema, name = block.source.split(".")
    return missing_keys(
        _live(table, block, context, silver),
        keys_between(url, schema, name, table.key, block.watermark, (low, high)) if low and rows <= _FEW else [],
        lambda: bucket_sums(url, schema, name, table.key, block.watermark, high),
        lambda wanted: keys_among(url, schema, name, table.key, wanted),
    )


def _live(table: Table, block: Silver, context: Context, silver: DeltaTable) -> Keys:
    uri = context.lake.of(table)
    with reading(uri):
        found = context.snapshot(uri)
        keys = found.keys(table.key) if found is not None else pa.table(silver.scan(columns=list(table.key)))
        quarantine = context.lake.open(context.lake.quarantine(table))
        brought = _brought(table, context) if _holds_others(table, block, context) else None
        return live_keys(keys, quarantine, table.key, brought)


def _holds_others(table: Table, block: Silver, context: Context) -> bool:
    """Whether the lake may hold keys that the source never brought, or that have a tombstone which Silver lacks yet."""
    if block.stream is not None and context.lake.open(context.lake.events(table)) is not None:
        return True
    bronze, silver = context.lake.open(context.lake.bronze(table)), _consumed(table, context)
    return bronze is not None and context.has_changes(context.lake.bronze(table), silver + 1, bronze.version())


def _consumed(table: Table, context: Context) -> int:
    state = context.lake.state(context.lake.of(table), batch_application(table))
    return -1 if state is None or state.number is None else state.number


def _brought(table: Table, context: Context) -> pa.Table | None:
    """Return what the source's rows and tombstones in Bronze say of keys; also of a table whose types were widened."""
    uri = context.lake.bronze(table)
    bronze = context.lake.open(uri)
    if bronze is None:
        return None
    return snapshot(context.settings, bronze, uri).read([*table.key, "_op", "_ingested_at"])
