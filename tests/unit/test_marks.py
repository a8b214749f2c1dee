"""Which files are read to find the tombstones that a table has taken in."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from lakehouse.changes.columns import COLUMNS
from lakehouse.changes.definition import new_table
from lakehouse.changes.files import Snapshot, snapshot
from lakehouse.changes.write import Change, Commit, commit_change
from lakehouse.engine.marks import _read
from lakehouse.lake import Lake


class Context:
    """Of a context, what a look at a table takes."""

    def __init__(self, settings: Any) -> None:
        self.settings, self.lake = settings, Lake(settings, "shop")

    def snapshot(self, uri: str, version: int | None = None) -> Snapshot:
        return snapshot(self.settings, self.lake.open(uri), uri)


def test_only_files_that_may_hold_a_tombstone_are_read(settings):
    context: Any = Context(settings)
    uri = settings.table_uri("bronze", "shop", "reviews_events")
    for number, operations in enumerate([["upsert", "upsert"], ["upsert", "delete"], ["delete"], ["upsert"]]):
        rows = pa.table({"key": pa.array([f"k{number}"] * len(operations)), "_op": pa.array(operations)})
        held = context.snapshot(uri) if number else new_table(settings, uri, rows.schema)
        commit_change(held, Change.appending(rows, held), Commit("test", number + 1))
    assert _read(context, uri, 3, {}).column("key").to_pylist() == ["k1", "k2"]
    assert len([file for file, *_ in COLUMNS._held if file.startswith(held.place.uri)]) == 2
