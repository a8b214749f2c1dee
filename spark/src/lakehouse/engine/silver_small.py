"""Silver for a change set that fits the driver: Spark judges it in one job, and the driver decides and commits."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812

from lakehouse.audit.result import Ledger, RuleResult, TableResult
from lakehouse.changes.decide import DELETE, Decision, decide, newest, without_outlived
from lakehouse.changes.definition import new_table
from lakehouse.changes.files import Snapshot
from lakehouse.changes.query import numbered, query, same
from lakehouse.changes.write import Change, commit_change
from lakehouse.engine import delta, quarantine
from lakehouse.engine.context import Context
from lakehouse.engine.judge import OK, Counts, Judgement, judge, judgements
from lakehouse.engine.latest import HASH, with_hash
from lakehouse.engine.limit import need_within_limit, uncorrected
from lakehouse.engine.marks import tombstones_taken_in
from lakehouse.engine.progress import Progress, history_application
from lakehouse.engine.quarantine_small import close_held, keep_rejects, release
from lakehouse.engine.shape import FINGERPRINT, FOUND, typed, with_parents, with_references
from lakehouse.errors import StateError
from lakehouse.specs import Layer, Silver, Table

_FAILS, _REJECT, _KEY = "_fails", "_reject_", "_key"


@dataclass(frozen=True)
class Batch:
    """Rows that Silver has not taken in, and Silver as it is; no `silver` before the first load.

    Of a stream also what is in no row: `dead` letters in the shape of the quarantine, how many of them failed each
    (rule, column), and how many events were `ignored`.
    """

    rows: pa.Table
    silver: Snapshot | None
    dead: pa.Table | None = None
    failed: Mapping[tuple[str, str], int] = field(default_factory=dict)
    ignored: int = 0

    @property
    def size(self) -> int:
        """Return how many rows or events came."""
        dead = 0 if self.dead is None else self.dead.num_rows
        return int(self.rows.num_rows + dead + self.ignored)

    def counted(self, counts: Counts) -> Counts:
        """Return the counts of the judged rows with those of all else that came."""
        if self.dead is None:
            return counts
        read, dead = counts.rows - counts.tombstones, self.dead.num_rows
        # By a rule that both have, the rows that were read are counted already.
        judged = {(each.rule, each.column) for each in counts.rules}
        failed = [
            RuleResult(rule, column, "error", dead - count + (0 if (rule, column) in judged else read), count)
            for (rule, column), count in sorted(self.failed.items())
        ]
        rules = [*counts.rules, *failed]
        return replace(counts, rows=counts.rows + dead + self.ignored, rejected=counts.rejected + dead, rules=rules)


def run_small(table: Table, block: Silver, context: Context, progress: Progress, batch: Batch) -> TableResult:
    """Judge, quarantine, merge; the commit's note holds the whole ledger."""
    with context.phase("judge"), context.few_rows(batch.rows.num_rows):
        judged, rules = _judged(table, block, context, batch)
    counts = batch.counted(_counts(judged, rules))
    result = progress.result(table, counts.rules)
    if counts.rejected:
        with context.phase("quarantine"):
            keep_rejects(table, context, _rejects(judged, batch.dead), result)
    need_within_limit(table, block, counts, lambda: batch.counted(_counts(_left(table, block, context, judged), rules)))
    kept = [*table.column_names, *table.technical_columns]
    good = judged.filter(judged.column(OK)).select([*kept, "_op", _KEY, FINGERPRINT])
    silver = batch.silver or new_table(context.settings, progress.uri, good.select(kept).schema)
    with context.phase("decide"):
        latest = newest(good, table.key, block.latest_by)
        decision = _decided(table, block, context, silver, latest)
    ledger = _ledger(batch, counts, good, latest, decision)
    ledger.check(table.full_name)
    result = result.with_ledger(ledger)
    if block.history:
        with context.phase("history"):
            _keep_history(table, context, progress, good, result)
    with context.phase("write"):
        commit = context.commit(progress.application, progress.number, result)
        version = commit_change(silver, decision.change, commit)
    release(table, context, good.column(FINGERPRINT).drop_null(), result)
    if counts.tombstones:
        close_held(table, context, good.filter(pc.equal(good.column("_op"), DELETE)), result)
    return replace(result, version_written=version, phases=dict(context.phases))


def _judged(table: Table, block: Silver, context: Context, batch: Batch) -> tuple[pa.Table, Sequence[Judgement]]:
    """Return the judged batch: the contract's columns, what failed of each row, and the row of the quarantine."""
    rows, found = _with_found_parents(table, context, batch.rows)
    frame = delta.local(context.spark, rows)
    rules = judgements(frame.drop(*[FOUND + name for name in found]), table, block)
    frame = with_references(typed(frame, table, block), block, lambda name: _frame(context, name))
    others = replace(table, foreign_keys=tuple(key for key in table.foreign_keys if key.column not in found))
    frame = with_parents(frame, others, lambda name: _frame(context, name), small=True)
    judged = with_hash(judge(frame, rules), table.column_names)
    occasion = quarantine.Occasion(table.version, context.run_id, context.started)
    rejection = quarantine.rejection(judged.columns, rules, table.key, occasion)
    failed = [F.when((F.col("_op") != DELETE) & ~rule.passes, F.lit(number)) for number, rule in enumerate(rules)]
    return judged.select(
        *table.column_names, *table.technical_columns, "_op", OK,
        F.col(FINGERPRINT) if FINGERPRINT in judged.columns else F.lit(None).cast("string").alias(FINGERPRINT),
        F.when(F.col("_op") == DELETE, quarantine.key_of(table.key)).alias(_KEY),
        F.array_compact(F.array(*failed)).alias(_FAILS),
        *[F.when(~F.col(OK), rejection[name]).alias(_REJECT + name) for name in rejection],
    ).toArrow(), rules  # fmt: skip


def _with_found_parents(table: Table, context: Context, rows: pa.Table) -> tuple[pa.Table, set[str]]:
    """Add `_found_<column>` for each foreign key that stands in Bronze as it does in the contract."""
    types = {column.name: column for column in table.columns}
    found: set[str] = set()
    for foreign in table.foreign_keys:
        parents = context.snapshot(context.lake.uri(Layer.SILVER, foreign.table))
        values = rows.column(foreign.column) if foreign.column in rows.column_names else None
        if parents is None or values is None or types[foreign.column].expression:
            continue
        if parents.schema.field(foreign.key).type != values.type or types[foreign.column].type != "string":
            continue
        held = parents.read([foreign.key], among={foreign.key: values.unique()}).column(foreign.key)
        rows = rows.append_column(FOUND + foreign.column, pc.is_in(values, value_set=held.combine_chunks()))
        found.add(foreign.column)
    return rows, found


def _frame(context: Context, name: str) -> DataFrame:
    return context.frame(context.lake.uri(Layer.SILVER, name))


def _counts(judged: pa.Table, rules: Sequence[Judgement]) -> Counts:
    tombstones = judged.filter(pc.equal(judged.column("_op"), DELETE)).num_rows
    rejected = judged.filter(pc.invert(judged.column(OK))).num_rows
    failures = Counter(pc.list_flatten(judged.column(_FAILS)).to_pylist())
    rows = judged.num_rows - tombstones
    results = [
        RuleResult(rule.name, rule.column, rule.severity, rows - failures[number], failures[number])
        for number, rule in enumerate(rules)
    ]
    again = judged.filter(pc.is_valid(judged.column(FINGERPRINT)))
    rejected_again = again.filter(pc.invert(again.column(OK))).num_rows
    return Counts(judged.num_rows, tombstones, rejected, results, again.num_rows, rejected_again)


def _left(table: Table, block: Silver, context: Context, judged: pa.Table) -> pa.Table:
    """Return what the limit counts of the judged rows."""
    names = dict.fromkeys([*table.key, *block.latest_by, "_ingested_at", "_op", OK, FINGERPRINT, _FAILS])
    frame = delta.local(context.spark, judged.select(list(names)))
    return uncorrected(frame, table.key, block.latest_by).toArrow()


def _decided(table: Table, block: Silver, context: Context, silver: Snapshot, latest: pa.Table) -> Decision:
    """Compare with what Silver holds, and late rows with the tombstones that Silver has taken in."""
    among = {name: latest.column(name).unique() for name in table.key}
    decision = decide(latest, silver.read(among=among), table.key, block.latest_by)
    oldest = _oldest(decision.inserted.column(block.latest_by[0]))
    for marks in tombstones_taken_in(table, block, context) if decision.inserted.num_rows else ():
        if marks.newest >= oldest:
            rows = typed(delta.local(context.spark, marks.rows(decision.inserted)), table, block)
            columns = dict.fromkeys([*table.key, *block.latest_by, "_ingested_at"])
            decision = without_outlived(decision, rows.select(*columns).toArrow(), table.key, block.latest_by)
    return decision


def _oldest(moments: pa.ChunkedArray) -> int:
    """Return the oldest moment in microseconds since 1970; the least number where that is not known."""
    if not pa.types.is_timestamp(moments.type) or moments.null_count or not len(moments):
        return -sys.maxsize
    return int(pc.min(moments.cast(pa.int64())).as_py())


def _ledger(batch: Batch, counts: Counts, good: pa.Table, latest: pa.Table, decision: Decision) -> Ledger:
    """Return what became of each row that came; every figure is counted where it arises, none from the others."""
    return Ledger(
        rows_in=batch.size,
        quarantined=counts.rejected,
        inserted=decision.inserted.num_rows,
        updated=decision.updated.num_rows,
        deleted=decision.deleted.num_rows,
        unchanged=decision.unchanged + batch.ignored,
        stale=decision.stale,
        duplicate=good.num_rows - latest.num_rows,
    )


def _keep_history(table: Table, context: Context, progress: Progress, good: pa.Table, result: TableResult) -> None:
    """Append every valid change and tombstone, once each: what SCD2 tables are a function of."""
    uri = context.lake.history(table)
    rows = good.append_column("_deleted", pc.equal(good.column("_op"), DELETE))
    state = context.lake.state(uri, history_application(table))
    held = context.snapshot(uri) if state is not None else new_table(context.settings, uri, _history_schema(rows))
    if held is None:
        raise StateError("the history is not as this platform writes it.", where=uri,
                         remedy="run with full_refresh for this table.")  # fmt: skip
    if state is not None and (progress.held or progress.is_behind_history(state)):
        rows = _not_in(rows, held.read(among={key: rows.column(key).unique() for key in table.key}), table)
        if not rows.num_rows and progress.is_in_history(state):
            return
    commit_change(held, Change.appending(rows, held), progress.history_commit(table, state, context, result))


def _history_schema(rows: pa.Table) -> pa.Schema:
    return pa.schema([field for field in rows.schema if field.name not in ("_op", _KEY, FINGERPRINT)])


def _not_in(rows: pa.Table, held: pa.Table, table: Table) -> pa.Table:
    identity = [*table.key, HASH, "_deleted"]
    found = query(
        f"SELECT n.n FROM n WHERE NOT EXISTS (SELECT 1 FROM h WHERE {same('n', 'h', identity)}) ORDER BY n.n",
        n=numbered(rows, identity, "n"), h=held.select(identity),
    )  # fmt: skip
    return rows.take(found.column("n"))


def _rejects(judged: pa.Table, dead: pa.Table | None) -> pa.Table:
    """Return the rejected rows, and dead letters, in the shape of the quarantine."""
    rows = judged.filter(pc.invert(judged.column(OK)))
    names = [name for name in rows.column_names if name.startswith(_REJECT)]
    rejects = rows.select(names).rename_columns([name.removeprefix(_REJECT) for name in names])
    return rejects if dead is None else pa.concat_tables([rejects, dead.cast(rejects.schema)])
