"""Gold for a change set that fits the driver: Spark runs the table's SQL over few rows, the driver does the rest."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql import DataFrame

from lakehouse.audit.result import Ledger
from lakehouse.changes.definition import new_table
from lakehouse.changes.differences import differences, repeated_keys
from lakehouse.changes.feed import NotReadable
from lakehouse.changes.files import FILE, ROW, Snapshot
from lakehouse.changes.query import numbered, query, same
from lakehouse.changes.write import Change
from lakehouse.engine import delta
from lakehouse.engine.affected_small import Inputs, affected_keys, distinct, needed, rows_of_keys
from lakehouse.engine.gold_rows import shaped
from lakehouse.engine.latest import HASH
from lakehouse.engine.lookups import resolve
from lakehouse.engine.reconcile import multiplied
from lakehouse.engine.scd2 import versions
from lakehouse.specs import Full, Incremental, Scd2
from lakehouse.specs.expressions import carried_columns

if TYPE_CHECKING:
    from lakehouse.engine.gold import Work


class Rebuild:
    """The rows that a table should have of its affected keys (`desired`, None: of no key), and those that it has.

    `held` has their keys, hashes and places: most of them are as they should be, and are not looked at further.
    """

    def __init__(self, work: Work) -> None:
        """Compute both; raises NotReadable where the change set, or the table, is Spark's to handle."""
        self.work, self.inputs = work, Inputs(work)
        block = work.table.block
        self.desired: pa.Table | None
        if work.reshaped:
            raise NotReadable("the contract has other columns than the table")
        if work.whole:
            self.inputs.need_few()
            known = None if work.state is None else self._few_of_table()
            with self._few_of_all():
                self.desired = self._arrow(work.rows(self._view))
            self.table = known or new_table(work.context.settings, work.uri, self.desired.schema)
            self.held = self.table.read(self._identity)
            return
        self.table = needed(work.context.snapshot(work.uri))
        if isinstance(block, Scd2):
            self.desired, self.held = self._scd2(block)
        elif isinstance(block, Incremental):
            self.desired, self.held = self._incremental(block)
        elif isinstance(block, Full):
            self.desired, self.held = self._full(block)

    def _scd2(self, block: Scd2) -> tuple[pa.Table | None, pa.Table]:
        carried = carried_columns(str(self.work.table.sql))
        if not {*block.key} <= carried.keys():
            raise NotReadable("the SQL derives the key")
        columns = [carried[name] for name in block.key]
        name = block.changes_of
        tail = self.inputs.changes(name, columns)
        if not tail.num_rows:
            return None, self.table.none()
        among = {column: distinct(tail.column(column)) for column in columns}
        changes = _only(self.inputs.rows(name, among), tail, {column: column for column in columns})
        with self._few(changes):
            desired = self._arrow(versions(self.work.sql({name: self._frame(changes)}), block))
        known = {column: among[carried[column]] for column in block.key}
        held = self.table.read(list(dict.fromkeys([*self._identity, *block.key])), among=known)
        return desired, _only(held, tail, {key: carried[key] for key in block.key})

    def _incremental(self, block: Incremental) -> tuple[pa.Table | None, pa.Table]:
        keys = affected_keys(self.inputs, block, self.table)
        if not len(keys):
            return None, self.table.none()
        views = rows_of_keys(self.inputs, block, keys)
        with self._few(*views.values()):
            rows = self.work.sql({name: self._frame(view) for name, view in views.items()})
            if block.lookups:
                rows = self._resolved(rows.toArrow(), block)
            desired = self._arrow(rows)
        return desired, self.table.read(self._identity, among={block.rebuild_by: keys})

    def _resolved(self, facts: pa.Table, block: Incremental) -> DataFrame:
        rows = self._frame(facts)
        for lookup in block.lookups:
            there = self.inputs.snapshot(lookup.dimension)
            among = {theirs: distinct(facts.column(ours)) for theirs, ours in lookup.on.items()}
            names = [*lookup.on, lookup.surrogate, *(["valid_from", "valid_to"] if lookup.at else [])]
            members = there.read(names, among=among).drop_columns([FILE, ROW])
            rows = resolve(rows, lookup, self._frame(members), small=False)
        return rows

    def _full(self, block: Full) -> tuple[pa.Table, pa.Table]:
        held = self._few_of_table().read(self._identity)
        with self._few_of_all():
            return self._arrow(self.work.full(block, self._view)), held

    def _few_of_all(self) -> AbstractContextManager[None]:
        return self.work.context.few_rows(sum(self.inputs.snapshot(name).rows for name in self.work.now.versions))

    def _few(self, *inputs: pa.Table) -> AbstractContextManager[None]:
        return self.work.context.few_rows(sum(rows.num_rows for rows in inputs))

    @property
    def _identity(self) -> list[str]:
        return [*self.work.table.key, HASH]

    def _few_of_table(self) -> Snapshot:
        """Return the table as it is; raises NotReadable where the driver does not take all of its keys."""
        table = needed(self.work.context.snapshot(self.work.uri))
        if not table.fits(self.inputs.most, self._identity):
            raise NotReadable(f"the table has {table.rows} rows")
        return table

    def _view(self, name: str) -> DataFrame:
        """Return an input whole: from the driver, or by Spark where it is large."""
        try:
            return self._frame(self.inputs.rows(name))
        except NotReadable:
            return self.work.read(name)

    def _frame(self, rows: pa.Table) -> DataFrame:
        return delta.local(self.work.context.spark, rows)

    def _arrow(self, rows: DataFrame) -> pa.Table:
        found = shaped(rows, self.work.table).toArrow()
        repeated = repeated_keys(found, self.work.table.key)
        if repeated.num_rows:
            raise multiplied(self.work.table.full_name, self.work.table.key, repeated.slice(0, 1).to_pylist()[0])
        return found


def _only(rows: pa.Table, tail: pa.Table, key: dict[str, str]) -> pa.Table:
    """Return rows whose key (column here: column of `tail`) stands in `tail`; a read by sets gives more."""
    if len(key) == 1:
        return rows
    names = list(key)
    keys = pa.table({name: tail.column(theirs) for name, theirs in key.items()})
    found = query(
        f"SELECT n._n FROM n WHERE EXISTS (SELECT 1 FROM k WHERE {same('n', 'k', names)}) ORDER BY n._n",
        n=numbered(rows, names, "_n"), k=keys,
    )  # fmt: skip
    return rows.take(found.column("_n"))


def compare(rebuild: Rebuild) -> tuple[Ledger, Change]:
    """Return what becomes of the rows, and the commit that makes the table so; it may be without rows."""
    table: Snapshot = rebuild.table
    if rebuild.desired is None:
        return Ledger(), Change.appending(table.none(), table)
    found = differences(rebuild.desired, rebuild.held, rebuild.work.table.key)
    # In one read: each reads whole columns, however few rows it is for.
    whole = table.complete(pa.concat_tables([found.before, found.deleted]))
    updated = found.before.num_rows
    found = replace(found, before=whole.slice(0, updated), deleted=whole.slice(updated))
    ledger = Ledger(
        inserted=found.inserted.num_rows,
        updated=found.updated.num_rows,
        deleted=found.deleted.num_rows,
        unchanged=found.unchanged,
    )
    return replace(ledger, rows_in=ledger.accounted), found.change
