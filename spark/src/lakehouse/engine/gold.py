"""Gold: tables made from Silver and Gold by their SQL, anew only for the keys that changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, reduce

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812

from lakehouse.audit.result import Ledger, TableResult
from lakehouse.changes.feed import NotReadable
from lakehouse.changes.write import Commit, commit_change
from lakehouse.engine import delta
from lakehouse.engine.affected import affected_keys, restricted
from lakehouse.engine.context import Context
from lakehouse.engine.drift import is_reshaped
from lakehouse.engine.failures import translated
from lakehouse.engine.gold_rows import natural_key, shaped, unknown_member
from lakehouse.engine.gold_small import Rebuild, compare
from lakehouse.engine.lookups import resolve
from lakehouse.engine.reconcile import apply, need_unique
from lakehouse.engine.scd2 import surrogate_key, versions
from lakehouse.errors import SpecError
from lakehouse.lake import TableState
from lakehouse.lake.inputs import Inputs, input_uri, read_inputs, store_inputs
from lakehouse.lake.seeds import read_seed, seed_digest
from lakehouse.log import get_logger
from lakehouse.specs import Full, Incremental, Layer, Scd2, Table
from lakehouse.specs.rules import quoted

log = get_logger(__name__)


@dataclass(frozen=True)
class Work:
    """One Gold table's run: where it stands, what its inputs were and are."""

    table: Table
    context: Context
    uri: str
    state: TableState | None
    before: Inputs | None
    now: Inputs

    @property
    def whole(self) -> bool:
        """Whether the table is computed from all of its inputs.

        The first time, by order, when its SQL or its columns changed, or those of an input, or rows that all depend on;
        and when an input was made anew.
        """
        if self.before is None or self.context.options.full_refresh or self.reshaped:
            return True
        if self.before.definition != self.now.definition or self._inputs_redefined:
            return True
        return any(self.changed(name) for name in getattr(self.table.block, "whole_by", []))

    @cached_property
    def reshaped(self) -> bool:
        """Whether the contract has other columns than the table."""
        return is_reshaped(self.table, self.context.lake.open(self.uri))

    @cached_property
    def _inputs_redefined(self) -> bool:
        since = self.before.versions if self.before else {}
        return any(self._is_redefined(name) for name in self.now.versions if name in since)

    def _is_redefined(self, name: str) -> bool:
        """Whether an input has other columns than when it was taken in, or is another table than it was."""
        taken = self.taken_in(name)
        return taken is None or self.context.is_redefined(self.location(name), taken + 1, self.now.versions[name])

    def taken_in(self, name: str) -> int | None:
        """Return the version of an input that the table was made from; None where it has taken nothing of it in."""
        return self.before.taken_in(name, self.now.ids[name], self.now.versions[name]) if self.before else None

    def location(self, name: str) -> str:
        """Return where an input lies; an SCD2 table reads the history of its Silver table."""
        return input_uri(self.context.catalog, self.context.lake, self.table, name)

    def read(self, name: str) -> DataFrame:
        """Return an input at the version that this run is made from."""
        return delta.read(self.context.spark, self.location(name), self.now.versions[name])

    def changed(self, name: str) -> bool:
        """Whether an input has changes that the table has not taken in."""
        return name in self._changed

    @cached_property
    def _changed(self) -> set[str]:
        return {name for name in self.now.versions if self._has_changes(name)}

    def _has_changes(self, name: str) -> bool:
        taken = self.taken_in(name)
        return taken is None or self.context.has_changes(self.location(name), taken + 1, self.now.versions[name])

    def changes(self, name: str) -> DataFrame:
        """Return the changed rows of an input since the table last took it in, before and after images alike."""
        since = self.before.versions.get(name, -1) if self.before else -1
        return delta.read_changes(self.context.spark, self.location(name), since + 1, self.now.versions[name])

    @cached_property
    def held(self) -> DataFrame:
        """Return the table as it is."""
        return delta.read(self.context.spark, self.uri)

    def sql(self, views: Mapping[str, DataFrame]) -> DataFrame:
        """Run the table's SQL over its inputs and seeds as views of this table's own session."""
        for name, view in views.items():
            view.createOrReplaceTempView(name)
        for name in getattr(self.table.block, "seeds", []):
            rows = pa.Table.from_pylist(read_seed(self.context.settings, self.context.catalog.folder, name))
            delta.local(self.context.spark, rows).createOrReplaceTempView(name)
        return self.context.spark.sql(str(self.table.sql))

    def rows(self, view: Callable[[str], DataFrame]) -> DataFrame:
        """Return all rows that the table should have, made from all of its inputs as `view` gives them."""
        block = self.table.block
        if isinstance(block, Full):
            return self.full(block, view)
        if isinstance(block, Scd2):
            made = versions(self.sql({block.changes_of: view(block.changes_of)}), block)
            return made.unionByName(unknown_member(self.table, made))
        if not isinstance(block, Incremental):
            raise SpecError("no Gold table.", where=self.table.full_name)
        rows = self.sql({name: view(name) for name in dict.fromkeys([*block.inputs, *block.read_whole])})
        for lookup in block.lookups:
            rows = resolve(rows, lookup, view(lookup.dimension), small=False)
        return rows

    def full(self, block: Full, view: Callable[[str], DataFrame]) -> DataFrame:
        """Return all rows of a table that is computed whole, the unknown member among them."""
        rows = self.sql({name: view(name) for name in self.table.inputs})
        if block.surrogate is None:
            return rows
        natural = [name for name in natural_key(self.table) if name in rows.columns]
        rows = rows.withColumn(block.surrogate, surrogate_key([F.col(name) for name in natural]))
        return rows.unionByName(unknown_member(self.table, rows))


def run_gold(table: Table, context: Context) -> TableResult:
    """Bring one Gold table up to date; SKIPPED when none of its inputs has changed."""
    with context.phase("plan"):
        work = find_work(table, context)
    if work is None:
        return context.skipped(table, Layer.GOLD, "an input has never been loaded")
    if not work.whole and not any(work.changed(name) for name in work.now.versions):
        return context.skipped(table, Layer.GOLD, "no input has changed")
    with translated(table.full_name):
        return _run(work)


def find_work(table: Table, context: Context) -> Work | None:
    """Return the table's work, or None while an input is missing."""
    uri, settings = context.lake.of(table), context.settings
    state = context.state(uri, f"gold:{table.name}")
    before = read_inputs(settings, table, state.number) if state and state.number is not None else None
    now = Inputs({}, _definition(table, context))
    work = Work(table, context, uri, state, before, now)
    for name in table.inputs:
        found = context.lake.open(work.location(name))
        if found is None:
            return None
        now.versions[name], now.ids[name] = found.version(), str(found.metadata().id)
    return work


def _definition(table: Table, context: Context) -> str:
    """Return a digest of what the table is made by: SQL, contract version, seeds."""
    digest = hashlib.sha256(f"{table.version}\n{table.sql}\n{table.block!r}".encode())
    for name in getattr(table.block, "seeds", []):
        digest.update(seed_digest(context.settings, context.catalog.folder, name).encode())
    return digest.hexdigest()[:16]


def _run(work: Work) -> TableResult:
    table, context = work.table, work.context
    result = TableResult(
        table=table.full_name, layer=Layer.GOLD, status="SUCCESS", contract_version=table.version,
        versions_read=dict(work.now.versions),
    )  # fmt: skip
    try:
        with context.phase("compute"):
            rebuild = Rebuild(work)
    except NotReadable as error:
        log.info("Spark compares the rows", table=table.full_name, why=str(error))
        return _run_large(work, result)
    return _run_small(work, rebuild, result)


def _number(work: Work) -> int:
    """Return the number that the next commit carries, after storing what it is made from."""
    return store_inputs(work.context.settings, work.table, work.state.number or 0 if work.state else 0, work.now)


def _run_small(work: Work, rebuild: Rebuild, result: TableResult) -> TableResult:
    """Write what differs; where nothing does, a commit without rows says that the inputs have been taken in."""
    context = work.context
    ledger, change = compare(rebuild)
    ledger.check(work.table.full_name)
    result = result.with_ledger(ledger)
    if not result.rows_out and work.before == work.now:
        return replace(result, version_written=rebuild.table.version, phases=dict(context.phases))
    with context.phase("write"):
        commit = context.commit(f"gold:{work.table.name}", _number(work), result)
        version = commit_change(rebuild.table, change, commit)
    return replace(result, version_written=version, phases=dict(context.phases))


def _run_large(work: Work, result: TableResult) -> TableResult:
    table, context = work.table, work.context
    desired: DataFrame | None
    held: DataFrame | None
    if work.whole:
        desired, held = work.rows(work.read), work.held if work.state and not work.reshaped else None
    elif isinstance(table.block, Scd2):
        desired, held = _scd2(work, table.block)
    elif isinstance(table.block, Incremental):
        desired, held = _incremental(work, table.block)
    else:
        desired, held = work.rows(work.read), work.held
    commit = context.commit(f"gold:{table.name}", _number(work), result)
    with context.phase("write"):
        ledger = _write(work, desired, held, commit)
    ledger.check(table.full_name)
    state = context.lake.state(work.uri, f"gold:{table.name}")
    return replace(
        result.with_ledger(ledger),
        version_written=state.version if state else None,
        phases=dict(context.phases),
    )


def _write(work: Work, desired: DataFrame | None, held: DataFrame | None, commit: Commit) -> Ledger:
    """Write what differs; where nothing does, a commit without rows says that the inputs have been taken in."""
    table, ledger, small = work.table, Ledger(), work.context.settings.small_batch_rows
    if desired is not None and held is None:
        return _write_whole(work, desired, commit)
    if desired is not None and held is not None:
        ledger = apply(shaped(desired, table), held, work.uri, table.key, commit, table.full_name, small)
    if work.before != work.now and not ledger.written:
        delta.append(work.held.limit(0), work.uri, commit)
    return ledger


def _write_whole(work: Work, desired: DataFrame, commit: Commit) -> Ledger:
    """Make the table, or put rows in the place of all that it holds, with the contract's columns."""
    rows = shaped(desired, work.table).persist()
    need_unique(rows, work.table.key, work.table.full_name)
    write = delta.append if work.state is None else delta.replace
    write(rows, work.uri, commit)
    rows.unpersist()
    _, inserted = work.context.lake.appended(work.uri, commit.application, commit.number, commit.note)
    return Ledger(rows_in=inserted, inserted=inserted)


def _scd2(work: Work, block: Scd2) -> tuple[DataFrame | None, DataFrame | None]:
    """Return the versions of the keys that changed, and the versions that the table holds of them."""
    name, small = block.changes_of, work.context.settings.small_batch_rows
    tail = work.sql({name: work.changes(name)}).select(*block.key).where(_all_present(block.key)).distinct()
    affected = delta.settle(tail, small).frame
    if affected.isEmpty():
        return None, None
    # All changes of the affected keys, not only the new ones.
    mine = work.sql({name: work.read(name)}).join(F.broadcast(affected), block.key, "left_semi")
    mine = delta.settle(mine, small).frame
    return versions(mine, block), work.held.join(F.broadcast(affected), block.key, "left_semi")


def _incremental(work: Work, block: Incremental) -> tuple[DataFrame | None, DataFrame | None]:
    """Return the rows of the rebuild keys that changed, and the rows that the table holds of them."""
    small = work.context.settings.small_batch_rows
    affected = delta.settle(affected_keys(work, block), small).frame
    if affected.isEmpty():
        return None, None
    views = restricted(work, block, affected)
    rows = delta.settle(work.sql(views), small).frame
    for lookup in block.lookups:
        rows = resolve(rows, lookup, work.read(lookup.dimension), small=True)
    return rows, work.held.join(F.broadcast(affected), block.rebuild_by, "left_semi")


def _all_present(key: list[str]) -> Column:
    return reduce(lambda left, right: left & right, [F.col(quoted(name)).isNotNull() for name in key])
