"""From changed input rows to the keys that must be made anew, and the input rows of those keys, on the driver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.changes.feed import NotReadable, changed_rows
from lakehouse.changes.files import FILE, ROW, Snapshot
from lakehouse.changes.query import query, quote
from lakehouse.specs import Incremental, Lookup, Table
from lakehouse.specs.expressions import names_in_select

if TYPE_CHECKING:
    from lakehouse.engine.gold import Work


class Inputs:
    """A Gold table's inputs at the versions that the run is made from; raises NotReadable where Spark must read."""

    def __init__(self, work: Work) -> None:
        self.work, self.most = work, work.context.settings.small_batch_rows
        self._spoken_of = _spoken_of(work.table)
        self._open: dict[str, Snapshot] = {}

    def snapshot(self, name: str) -> Snapshot:
        """Return an input as it is at the run's version."""
        if name not in self._open:
            self._open[name] = needed(
                self.work.context.snapshot(self.work.location(name), self.work.now.versions[name])
            )
        return self._open[name]

    def need_few(self) -> None:
        """Raise NotReadable where an input has more rows than the driver takes."""
        for name in self.work.now.versions:
            if not self.snapshot(name).fits(self.most):
                raise NotReadable(f"{name} has {self.snapshot(name).rows} rows")

    def changes(self, name: str, columns: list[str]) -> pa.Table:
        """Return these columns of the rows that changed since the table was made, images before and after alike."""
        before, now = self.work.before, self.work.now.versions[name]
        first = (before.versions.get(name, -1) if before else -1) + 1
        there = self.snapshot(name)
        return changed_rows(there.place, there.schema, first, now, columns)

    def rows(self, name: str, among: dict[str, pa.Array] | None = None) -> pa.Table:
        """Return an input's rows whose columns are in the sets, or all of them; only columns that the SQL speaks of."""
        there = self.snapshot(name)
        columns = self._columns(there, among or {})
        if among is None and not there.fits(self.most, columns):
            raise NotReadable(f"{name} has {there.rows} rows")
        found = there.read(columns, among=among).drop_columns([FILE, ROW])
        if found.num_rows > self.most:
            raise NotReadable(f"{found.num_rows} rows of {name} are affected")
        return found

    def _columns(self, there: Snapshot, among: Mapping[str, pa.Array]) -> list[str]:
        spoken_of = self._spoken_of
        return [name for name in there.schema.names if spoken_of is None or name.lower() in spoken_of or name in among]


def _spoken_of(table: Table) -> set[str] | None:
    """Return the columns, in lower case, that the table's SQL or a lookup may read; None: any."""
    names = names_in_select(str(table.sql))
    if names is None:
        return None
    lookups: list[Lookup] = getattr(table.block, "lookups", [])
    looked_up = [name for each in lookups for name in (*each.on, each.surrogate, "valid_from", "valid_to")]
    return names | {name.lower() for name in looked_up}


def needed(found: Snapshot | None) -> Snapshot:
    """Return a snapshot; raises NotReadable where there is none for the driver."""
    if found is None:
        raise NotReadable("a table has features that only Spark reads")
    return found


def distinct(*columns: pa.ChunkedArray) -> pa.Array:
    """Return the values of columns of one type, once each, without NULL."""
    values = pa.chunked_array([chunk for column in columns for chunk in column.chunks], type=columns[0].type)
    return pc.drop_null(values.unique())


def affected_keys(inputs: Inputs, block: Incremental, held: Snapshot) -> pa.Array:
    """Return the rebuild keys whose rows may differ: by a changed input row, or a changed dimension member."""
    found = [pa.chunked_array([], held.schema.field(block.rebuild_by).type)]
    for name, source in block.inputs.items():
        if not inputs.work.changed(name):
            continue
        changed = distinct(inputs.changes(name, [source.column]).column(source.column))
        if source.through is not None:
            way = block.inputs[source.through].column
            changed = inputs.snapshot(source.through).read([way], among={source.column: changed}).column(way)
        found.append(_chunked(changed).cast(found[0].type))
    for lookup in block.lookups:
        if inputs.work.changed(lookup.dimension):
            found.append(_keys_of_members(inputs, block, lookup, held))
    return distinct(*found)


def _chunked(values: pa.Array | pa.ChunkedArray) -> pa.ChunkedArray:
    return values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([values])


def _keys_of_members(inputs: Inputs, block: Incremental, lookup: Lookup, held: Snapshot) -> pa.ChunkedArray:
    """Return the rebuild keys of rows whose member changed, and only in the interval that changed."""
    interval = ["valid_from", "valid_to"] if lookup.at else []
    members = inputs.changes(lookup.dimension, [*lookup.on, *interval])
    among = {ours: distinct(members.column(theirs)) for theirs, ours in lookup.on.items()}
    columns = dict.fromkeys([block.rebuild_by, *lookup.on.values(), *([lookup.at] if lookup.at else [])])
    meets = [f"f.{quote(ours)} = m.{quote(theirs)}" for theirs, ours in lookup.on.items()]
    if lookup.at:
        at = f"f.{quote(lookup.at)}"
        meets.append(f"{at} >= m.valid_from AND (m.valid_to IS NULL OR {at} < m.valid_to)")
    key = quote(block.rebuild_by)
    found = query(
        f"SELECT DISTINCT f.{key} AS k FROM f WHERE EXISTS (SELECT 1 FROM m WHERE {' AND '.join(meets)})",
        f=held.read(list(columns), among=among).drop_columns([FILE, ROW]), m=members,
    )  # fmt: skip
    return found.column("k")


def rows_of_keys(inputs: Inputs, block: Incremental, keys: pa.Array) -> dict[str, pa.Table]:
    """Return each input with only the rows that the affected keys are made from."""
    views: dict[str, pa.Table] = {}
    for name, source in block.inputs.items():
        if source.through is None:
            kind = inputs.snapshot(name).schema.field(source.column).type
            views[name] = inputs.rows(name, {source.column: keys.cast(kind)})
    for name, source in block.inputs.items():
        if source.through is not None:
            named = distinct(views[source.through].column(source.column))
            views[name] = inputs.rows(name, {source.column: named})
    for name in block.read_whole:
        views[name] = inputs.rows(name)
    return views
