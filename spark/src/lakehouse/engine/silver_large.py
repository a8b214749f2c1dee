"""Silver by Spark: first loads, everything once more, and change sets that do not fit the driver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812

from lakehouse.audit.result import Ledger, TableResult
from lakehouse.changes.decide import DELETE
from lakehouse.changes.write import Commit
from lakehouse.engine import delta, quarantine
from lakehouse.engine.bronze_rows import UPSERT
from lakehouse.engine.context import Context
from lakehouse.engine.decide import decide
from lakehouse.engine.delta import ACTION
from lakehouse.engine.drift import is_reshaped
from lakehouse.engine.judge import OK, Counts, Judgement, count, judge, judgements
from lakehouse.engine.latest import HASH, keep_latest, with_hash
from lakehouse.engine.limit import need_within_limit, uncorrected
from lakehouse.engine.progress import Progress, history_application
from lakehouse.engine.quarantine_large import close_held, keep_rejects, release
from lakehouse.engine.shape import FINGERPRINT, typed, with_parents, with_references
from lakehouse.engine.text_rows import with_events
from lakehouse.errors import LedgerUnbalanced
from lakehouse.specs import Layer, Silver, Table


def run_large(table: Table, block: Silver, context: Context, progress: Progress) -> TableResult:
    """Judge all of Bronze, or its new versions, and merge what is valid."""
    first = progress.anew
    with context.phase("read"):
        batch = _batch(table, block, context, progress)
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
    result = progress.result(table, counts.rules)
    if counts.rejected:
        with context.phase("quarantine"):
            keep_rejects(table, context, judged, rules, counts.rejected, result)

    def left() -> Counts:
        return count(uncorrected(judged, table.key, block.latest_by), rules, table.key)

    need_within_limit(table, block, counts, left)
    if progress.whole and not first and _holds_more(table, block, context, judged):
        progress = replace(progress, anew=True, why="it held rows that the contract rejects now, or reads otherwise")
        result = replace(result, note=progress.result(table, counts.rules).note)
    ledger = _write(table, block, context, progress, judged, counts, result)
    ledger.check(table.full_name)
    if context.options.replay or progress.held or progress.whole:
        _release(table, context, progress, judged, rules, result)
    if counts.tombstones and context.lake.open(context.lake.quarantine(table)) is not None:
        close_held(table, context, judged, result)
    if settled is not None:
        settled.release()
    written = context.lake.state(progress.uri, f"silver:{table.name}")
    return replace(
        result.with_ledger(ledger),
        version_written=written.version if written else None,
        phases=dict(context.phases),
    )


def _holds_more(table: Table, block: Silver, context: Context, judged: DataFrame) -> bool:
    """Whether table or history has a row that no valid row of Bronze gives any more: a MERGE would leave it there."""
    good = with_hash(judged.where(OK), table.column_names).withColumn("_deleted", F.col("_op") == DELETE)
    identities = {context.lake.of(table): [*table.key, HASH]}
    if block.history:
        identities[context.lake.history(table)] = [*table.key, HASH, "_deleted"]
    return any(
        not delta.read(context.spark, uri).join(good.select(*identity), identity, "left_anti").isEmpty()
        for uri, identity in identities.items()
    )


def _batch(table: Table, block: Silver, context: Context, progress: Progress) -> DataFrame:
    """Return the Bronze rows to judge: all of them, or those of the versions not consumed yet, and what is replayed."""
    uri, newest = context.lake.bronze(table), progress.bronze.version
    if progress.whole:
        rows = delta.read(context.spark, uri, newest).withColumn(FINGERPRINT, F.lit(None).cast("string"))
        return with_events(rows, table, block, context)
    schema = delta.read(context.spark, uri, newest)
    rows = schema.limit(0)
    if newest > progress.consumed:
        changes = delta.read_changes(context.spark, uri, progress.consumed + 1, newest)
        # Bronze is only ever appended to; anything else was done to it by hand, and the judge's counts would lie.
        rows = changes.where(F.expr("IF(_change_type = 'insert', TRUE, raise_error('Bronze was changed by hand'))"))
        rows = rows.drop("_change_type", "_commit_version", "_commit_timestamp")
    rows = rows.withColumn(FINGERPRINT, F.lit(None).cast("string"))
    if (context.options.replay or progress.held) and context.lake.open(context.lake.quarantine(table)) is not None:
        held = quarantine.held_rows(context.spark, context.lake.quarantine(table), schema.schema, block)
        held = held if context.options.replay else held.where(F.col(FINGERPRINT).isin(*progress.held))
        rows = rows.unionByName(held, allowMissingColumns=True)
    return rows


def _silver_table(context: Context, name: str) -> DataFrame:
    return delta.read(context.spark, context.lake.uri(Layer.SILVER, name))


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
    good = good.select(*table.column_names, *table.technical_columns, "_op")
    if block.history:
        with context.phase("history"):
            _keep_history(table, context, progress, good, result)
    latest = keep_latest(good, table.key, block.latest_by) if counts.duplicates else good
    commit = context.commit(progress.application, progress.number, result)
    base = Ledger(rows_in=counts.rows, quarantined=counts.rejected)
    with context.phase("write"):
        if progress.anew:
            return base + _first_load(latest, context, progress, commit, counts)
        return base + _merge(table, block, context, progress, latest, commit, counts)


def _first_load(latest: DataFrame, context: Context, progress: Progress, commit: Commit, counts: Counts) -> Ledger:
    write = delta.append if progress.silver is None else delta.replace
    write(latest.where(F.col("_op") == UPSERT).drop("_op"), progress.uri, commit)
    _, inserted = context.lake.appended(progress.uri, commit.application, commit.number, commit.note)
    # Without duplicates every tombstone refers to nothing that was ever here.
    stale = counts.tombstones if not counts.duplicates else latest.where(F.col("_op") == DELETE).count()
    return Ledger(inserted=inserted, stale=stale, duplicate=counts.duplicates)


def _merge(
    table: Table,
    block: Silver,
    context: Context,
    progress: Progress,
    latest: DataFrame,
    commit: Commit,
    counts: Counts,
) -> Ledger:
    classified, taken = decide(table, block, context, latest, progress.uri, progress.bronze.version)
    if progress.is_settled and not (taken["insert"] or taken["update"] or taken["delete"]):
        written = delta.Written()
    elif taken["update"] or taken["delete"]:
        written = delta.merge_actions(context.spark, progress.uri, classified, table.key, commit)
    else:
        delta.append(classified.frame.where(F.col(ACTION) == "insert").drop(ACTION), progress.uri, commit)
        _, inserted = context.lake.appended(progress.uri, commit.application, commit.number, commit.note)
        written = delta.Written(inserted)
    classified.release()
    if (written.inserted, written.updated, written.deleted) != (taken["insert"], taken["update"], taken["delete"]):
        raise LedgerUnbalanced(
            f"Delta wrote {written}, but {taken} were decided.", where=table.full_name,
            remedy="nothing of this run is published; report it with the run's log.",
        )  # fmt: skip
    return Ledger(
        inserted=written.inserted, updated=written.updated, deleted=written.deleted, unchanged=taken["unchanged"],
        stale=taken["stale"], duplicate=counts.duplicates,
    )  # fmt: skip


def _keep_history(table: Table, context: Context, progress: Progress, good: DataFrame, result: TableResult) -> None:
    """Append every valid change and tombstone, once each: what SCD2 tables are a function of."""
    uri = context.lake.history(table)
    rows = good.withColumn("_deleted", F.col("_op") == DELETE).drop("_op")
    state = context.lake.state(uri, history_application(table))
    commit = progress.history_commit(table, state, context, result)
    if state is not None and (progress.why or is_reshaped(table, context.lake.open(uri))):
        delta.replace(rows, uri, commit)
        return
    again = progress.whole or bool(progress.held) or context.options.replay
    if state is not None and (again or progress.is_behind_history(state)):
        rows = rows.join(delta.read(context.spark, uri), [*table.key, HASH, "_deleted"], "left_anti")
        if progress.is_in_history(state) and rows.isEmpty():
            return
    delta.append(rows, uri, commit)


def _release(
    table: Table,
    context: Context,
    progress: Progress,
    judged: DataFrame,
    rules: Sequence[Judgement],
    result: TableResult,
) -> None:
    uri = context.lake.quarantine(table)
    if context.lake.open(uri) is None:
        return
    passed = quarantine.passed_again(judged)
    if progress.whole:
        occasion = quarantine.Occasion(table.version, context.run_id, context.started)
        fingerprint = quarantine.rejection(judged.columns, rules, table.key, occasion)["fingerprint"]
        passed = quarantine.passed_among(judged, delta.read(context.spark, uri), table.key, fingerprint)
    release(table, context, passed, result)
