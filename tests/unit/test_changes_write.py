"""What the driver keeps in memory of files that a commit takes out of a table."""

from __future__ import annotations

import pyarrow as pa

from lakehouse.changes.columns import COLUMNS
from lakehouse.changes.definition import new_table
from lakehouse.changes.files import Snapshot, snapshot
from lakehouse.changes.write import Change, Commit, commit_change
from lakehouse.lake import Lake

ROWS = pa.table({"id": pa.array(["a", "b"]), "n": pa.array([1, 2])})


def test_columns_of_a_file_that_leaves_the_table_are_forgotten(settings):
    lake, uri = Lake(settings, "shop"), settings.table_uri("silver", "shop", "orders")
    table = new_table(settings, uri, ROWS.schema)
    commit_change(table, Change.appending(ROWS, table), Commit("test", 1))
    for number, (key, held) in enumerate([("a", 1), ("b", 0)]):
        table = snapshot(settings, lake.open(uri), uri)
        deleted = table.read(among={"id": pa.array([key])})
        commit_change(table, Change(table.none(), table.none(), table.none(), deleted), Commit("test", 2 + number))
        assert len(columns_of(table)) == held


def columns_of(table: Snapshot) -> list[str]:
    return [name for file, name, _ in COLUMNS._held if file.startswith(table.place.uri)]
