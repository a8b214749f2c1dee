"""A table's change feed: which rows its versions inserted, updated and deleted.

Source: the Delta protocol, "Change Data Files": a version without such files changed by its files alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from lakehouse.changes.files import MOST_BYTES, read_columns
from lakehouse.changes.log import Action, read_entry
from lakehouse.changes.place import Place

CHANGE_TYPE = "_change_type"


class NotReadable(Exception):
    """These versions hold a change that is not read here: too much, or removed files without change files."""


def changed_rows(
    place: Place, schema: pa.Schema, first: int, last: int, columns: Sequence[str] | None = None,
    most_bytes: float = MOST_BYTES,
) -> pa.Table:  # fmt: skip
    """Return the rows that versions `first` to `last` changed, both included, with `_change_type`.

    Images before and after an update are rows of their own (`update_preimage`, `update_postimage`).
    Raises NotReadable where a version's changes are more than `most_bytes`, or not in files of their own.
    """
    names = list(columns) if columns is not None else schema.names
    parts = [schema.empty_table().select(names).append_column(CHANGE_TYPE, pa.array([], pa.string()))]
    for version in range(first, last + 1):
        parts += _of_version(place, schema, read_entry(place, version), names, most_bytes)
    return pa.concat_tables(parts)


def has_changes(place: Place, first: int, last: int) -> bool:
    """Return whether versions `first` to `last`, both included, changed a row or the definition of the table.

    Compaction does not, nor does a commit that only says what it has taken in.
    """
    return any(_changes(action) for version in range(first, last + 1) for action in read_entry(place, version))


def is_redefined(place: Place, first: int, last: int) -> bool:
    """Return whether versions `first` to `last`, both included, changed the definition of the table."""
    return any("metaData" in action for version in range(first, last + 1) for action in read_entry(place, version))


def _changes(action: Action) -> bool:
    if "metaData" in action or "cdc" in action:
        return True
    return any(bool(action[kind].get("dataChange", True)) for kind in ("add", "remove") if kind in action)


def _of_version(
    place: Place, schema: pa.Schema, actions: list[Action], names: list[str], most_bytes: float
) -> list[pa.Table]:
    if any("metaData" in action for action in actions) and not any("protocol" in action for action in actions):
        raise NotReadable("the table's definition was changed")
    given = [action["cdc"] for action in actions if "cdc" in action]
    added = [action["add"] for action in actions if "add" in action and action["add"].get("dataChange", True)]
    _need_small(given or added, most_bytes)
    if given:
        with_type = pa.schema([*schema, pa.field(CHANGE_TYPE, pa.string())])
        return [_file(place, with_type, each, [*names, CHANGE_TYPE]) for each in given]
    if any("remove" in action and action["remove"].get("dataChange", True) for action in actions):
        raise NotReadable("files were removed without change files")
    if any("deletionVector" in add for add in added):
        raise NotReadable("rows were deleted without change files")
    tables = [_file(place, schema, each, names) for each in added]
    return [table.append_column(CHANGE_TYPE, pa.array(["insert"] * table.num_rows)) for table in tables]


def _need_small(files: list[Action], most_bytes: float) -> None:
    size = sum(int(file["size"]) for file in files)
    if size > most_bytes:
        raise NotReadable(f"{size} bytes of changes are too many for the driver")


def _file(place: Place, schema: pa.Schema, file: Action, names: list[str]) -> pa.Table:
    with place.open_file(unquote(file["path"])) as source:
        return read_columns(pq.ParquetFile(source, coerce_int96_timestamp_unit="us"), names, schema)
