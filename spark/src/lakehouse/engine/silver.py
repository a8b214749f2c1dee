"""Silver: Bronze rows cast without loss, judged by the contract, the newest valid one of each key merged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812

from lakehouse.audit.result import Ledger, TableResult
from lakehouse.engine import delta, quarantine
from lakehouse.engine.bronze_rows import DELETE, UPSERT
from lakehouse.engine.context import Context
from lakehouse.engine.decide import decide
from lakehouse.engine.deletes import close_held
from lakehouse.engine.delta import ACTION
from lakehouse.engine.drift import bronze_columns
from lakehouse.engine.failures import translated
from lakehouse.engine.judge import OK, Counts, Judgement, count, judge, judgements
from lakehouse.engine.latest import HASH, keep_latest, with_hash
from lakehouse.engine.shape import typed, with_parents, with_references
from lakehouse.engine.window import micros
from lakehouse.errors import LedgerUnbalanced, QuarantineLimitExceeded, StateError
from lakehouse.lake import TableState
from lakehouse.specs import Layer, Silver, Table

KEPT = ("_ingested_at", "_run_id", HASH)


@dataclass(frozen=True)
class Progress:
    """How far Silver has come with its Bronze, which commit this run would make, whether it judges all of Bronze."""

    uri: str
    silver: TableState | None
    bronze: TableState
    application: str
    whole: bool = True

    @property
    def consumed(self) -> int:
        """Return the newest Bronze version that Silver has taken in; -1 before the first."""
        return -1 if self.silver is None or self.silver.number is None else self.silver.number

    @property
    def again(self) -> bool:
        """Whether all of Bronze has been consumed, and some of it is judged once more."""
        return self.consumed == self.bronze.version

    @property
    def is_settled(self) -> bool:
        """Whether the table needs no commit but for rows: its newest one says what it has consumed."""
        return self.again and self.silver is not None and not self.silver.restored


def run_silver(table: Table, block: Silver, context: Context) -> TableResult:
    """Bring one Silver table up to date from its Bronze table; SKIPPED when there is nothing new to judge."""
    with context.phase("plan"):
        progress = find_progress(table, context)
    if progress is None or (progress.bronze.version <= progress.consumed and not context.options.judges_again):
        return context.skipped(table, Layer.SILVER, "Bronze has nothing new")
    with translated(table.full_name):
        return _run(table, block, context, progress)


def find_progress(table: Table, context: Context) -> Progress | None:
    """Return where the table stands, or None while there is no Bronze table."""
    bronze = context.state(context.lake.bronze(table), f"bronze:{table.name}")
    silver = context.state(context.lake.of(table), f"silver:{table.name}")
    if bronze is None:
        return None
    if silver is not None and (silver.number is None or silver.number > bronze.version):
        raise StateError(
            f"Silver has consumed Bronze version {silver.number}, but Bronze stands at {bronze.version}.",
            where=table.full_name,
            remedy="Bronze was put back to an older state; restore it, or run with full_refresh.",
        )
    progress = Progress(context.lake.of(table), silver, bronze, f"silver:{table.name}")
    whole = silver is None or context.options.full_refresh or _is_widened(table, context, progress)
    # Judging again what has been consumed is a commit of its own; the table's own number would be taken as a repeat.
    application = f"{progress.application}:{context.run_id}" if progress.again else progress.application
    return replace(progress, application=application, whole=whole)


def _run(table: Table, block: Silver, context: Context, progress: Progress) -> TableResult:
    first = progress.silver is None
    if not first:
        context.expect_few_rows()
    with context.phase("read"):
        batch = _batch(table, context, progress)
    rules = judgements(batch, table, block)
    rows = with_references(typed(batch, table, block), block, lambda name: _silver_table(context, name))
    rows = with_parents(rows, table, lambda name: _silver_table(context, name), small=not first)
    judged = judge(rows, rules)
    small = context.settings.small_batch_rows
    settled = None
    if not first:
        with context.phase("judge"):
            settled = delta.settle(judged, small)
        judged = settled.frame
    with context.phase("judge"):
        counts = count(judged, rules, table.key)
    result = TableResult(
        table=table.full_name, layer=Layer.SILVER, status="SUCCESS", contract_version=table.version,
        versions_read={f"{table.pipeline}.bronze.{table.name}": progress.bronze.version}, rules=counts.rules,
    )  # fmt: skip
    if counts.rejected:
        with context.phase("quarantine"):
            _quarantine(table, context, progress, judged, rules, result)
    _need_within_limit(table, block, counts)
    ledger = _write(table, block, context, progress, judged, counts, result)
    ledger.check(table.full_name)
    if context.options.replay:
        _release(table, context, judged, result)
    if counts.tombstones:
        _close(table, context, judged, result)
    if settled is not None:
        settled.release()
    written = context.lake.state(progress.uri, f"silver:{table.name}")
    return replace(
        result,
        ledger=ledger,
        rows_out=ledger.inserted + ledger.updated + ledger.deleted,
        version_written=written.version if written else None,
        phases=dict(context.phases),
    )


def _batch(table: Table, context: Context, progress: Progress) -> DataFrame:
    """Return the Bronze rows to judge: all of them, or those of the versions not consumed yet, and what is replayed."""
    uri, newest = context.lake.bronze(table), progress.bronze.version
    if progress.whole:
        return delta.read(context.spark, uri, newest).withColumn(quarantine.FINGERPRINT, F.lit(None).cast("string"))
    schema = delta.read(context.spark, uri, newest)
    rows = schema.limit(0)
    if newest > progress.consumed:
        changes = delta.read_changes(context.spark, uri, progress.consumed + 1, newest)
        # Bronze is only ever appended to; anything else was done to it by hand, and the judge's counts would lie.
        rows = changes.where(F.expr("IF(_change_type = 'insert', TRUE, raise_error('Bronze was changed by hand'))"))
        rows = rows.drop("_change_type", "_commit_version", "_commit_timestamp")
    rows = rows.withColumn(quarantine.FINGERPRINT, F.lit(None).cast("string"))
    if context.options.replay and context.lake.open(context.lake.quarantine(table)) is not None:
        held = quarantine.held_rows(context.spark, context.lake.quarantine(table), schema.schema)
        rows = rows.unionByName(held)
    return rows


def _is_widened(table: Table, context: Context, progress: Progress) -> bool:
    """Whether a column of Bronze was widened since it was last consumed: Delta gives no changes across that."""
    bronze = context.lake.open(context.lake.bronze(table))
    if bronze is None or "delta.typeChanges" not in bronze.schema().to_json():
        return False
    now = bronze_columns(bronze)
    bronze.load_as_version(progress.consumed)
    return any(now[name] != kind for name, kind in bronze_columns(bronze).items())


def _silver_table(context: Context, name: str) -> DataFrame:
    return delta.read(context.spark, context.lake.uri(Layer.SILVER, name))


def _quarantine(
    table: Table,
    context: Context,
    progress: Progress,
    judged: DataFrame,
    rules: Sequence[Judgement],
    result: TableResult,
) -> None:
    uri = context.lake.quarantine(table)
    rows = quarantine.rejected_rows(judged, rules, table.key, table.version, context.run_id, context.started)
    # Rows are told apart by their fingerprint. By its number a second judgement, by a corrected contract, would be
    # taken for a repeat of the first.
    commit = context.commit(f"quarantine:{table.name}:{context.run_id}", micros(context.started), result)
    if context.lake.open(uri) is None:
        delta.append(rows, uri, commit)
    else:
        quarantine.keep(context.spark, uri, rows, commit, context.settings.small_batch_rows)


def _need_within_limit(table: Table, block: Silver, counts: Counts) -> None:
    judged = counts.rows - counts.tombstones
    if counts.rejected > max(block.quarantine_limit * judged, block.quarantine_floor):
        worst = max((each for each in counts.rules if each.severity == "error"), key=lambda each: each.failed)
        raise QuarantineLimitExceeded(
            f"{counts.rejected} of {judged} rows were rejected ({counts.rejected / judged:.1%}); "
            f"most by {worst.rule} ({worst.failed}).",
            where=table.full_name,
            allowed=f"at most {block.quarantine_limit:.1%} (quarantine_limit), or {block.quarantine_floor} rows "
            "(quarantine_floor)",
            remedy="the rejects are kept; correct the source or the contract, then run again.",
        )


def _write(
    table: Table,
    block: Silver,
    context: Context,
    progress: Progress,
    judged: DataFrame,
    counts: Counts,
    result: TableResult,
) -> Ledger:
    good = with_hash(judged.where(OK), table.column_names)
    good = good.select(*table.column_names, *KEPT, "_op")
    if block.history:
        with context.phase("history"):
            _keep_history(table, context, progress, good, result)
    latest = keep_latest(good, table.key, block.latest_by) if counts.duplicates else good
    commit = context.commit(progress.application, progress.bronze.version, result)
    base = Ledger(rows_in=counts.rows, quarantined=counts.rejected)
    with context.phase("write"):
        if progress.silver is None:
            return base + _first_load(latest, context, progress.uri, commit, counts)
        return base + _merge(table, block, context, progress, latest, commit, counts)


def _first_load(latest: DataFrame, context: Context, uri: str, commit: delta.Commit, counts: Counts) -> Ledger:
    delta.append(latest.where(F.col("_op") == UPSERT).drop("_op"), uri, commit)
    _, inserted = context.lake.appended(uri, commit.application, commit.number)
    # Without duplicates every tombstone refers to nothing that was ever here.
    stale = counts.tombstones if not counts.duplicates else latest.where(F.col("_op") == DELETE).count()
    return Ledger(inserted=inserted, stale=stale, duplicate=counts.valid + counts.tombstones - inserted - stale)


def _merge(
    table: Table,
    block: Silver,
    context: Context,
    progress: Progress,
    latest: DataFrame,
    commit: delta.Commit,
    counts: Counts,
) -> Ledger:
    classified, taken = decide(table, block, context, latest, progress.uri, progress.bronze.version)
    if progress.is_settled and not (taken["insert"] or taken["update"] or taken["delete"]):
        written = delta.Written()
    elif taken["update"] or taken["delete"]:
        written = delta.merge_actions(context.spark, progress.uri, classified, table.key, commit)
    else:
        delta.append(classified.frame.where(F.col(ACTION) == "insert").drop(ACTION), progress.uri, commit)
        written = delta.Written(context.lake.appended(progress.uri, commit.application, commit.number)[1])
    classified.release()
    if (written.inserted, written.updated, written.deleted) != (taken["insert"], taken["update"], taken["delete"]):
        raise LedgerUnbalanced(
            f"Delta wrote {written}, but {taken} were decided.", where=table.full_name,
            remedy="nothing of this run is published; report it with the run's log.",
        )  # fmt: skip
    return Ledger(
        inserted=written.inserted, updated=written.updated, deleted=written.deleted, unchanged=taken["unchanged"],
        stale=taken["stale"], duplicate=counts.valid + counts.tombstones - sum(taken.values()),
    )  # fmt: skip


def _keep_history(table: Table, context: Context, progress: Progress, good: DataFrame, result: TableResult) -> None:
    """Append every valid change and tombstone, once each: what SCD2 tables are a function of."""
    uri, name = context.lake.history(table), f"history:{table.name}"
    rows = good.withColumn("_deleted", F.col("_op") == DELETE).drop("_op")
    state = context.lake.state(uri, name)
    # An attempt that ended before Silver's commit has left its changes here.
    held = state is not None and state.number == progress.bronze.version
    if state is not None and (held or progress.whole or context.options.replay):
        rows = rows.join(delta.read(context.spark, uri), [*table.key, HASH, "_deleted"], "left_anti")
        if held and rows.isEmpty():
            return
    commit = context.commit(f"{name}:{context.run_id}" if held else name, progress.bronze.version, result)
    delta.append(rows, uri, commit)


def _close(table: Table, context: Context, judged: DataFrame, result: TableResult) -> None:
    uri = context.lake.quarantine(table)
    if context.lake.open(uri) is not None:
        commit = context.commit(f"closed:{table.name}:{context.run_id}", micros(context.started), result)
        close_held(context, uri, judged, table.key, commit)


def _release(table: Table, context: Context, judged: DataFrame, result: TableResult) -> None:
    uri = context.lake.quarantine(table)
    if context.lake.open(uri) is None:
        return
    commit = context.commit(f"release:{table.name}:{context.run_id}", 0, result)
    quarantine.release(context.spark, uri, judged, context, commit)
