"""Silver: Bronze rows cast without loss, judged by the contract, the newest valid one of each key merged."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.audit.result import TableResult
from lakehouse.changes.feed import CHANGE_TYPE, NotReadable, changed_rows
from lakehouse.changes.files import FILE, ROW
from lakehouse.engine.context import Context
from lakehouse.engine.failures import translated
from lakehouse.engine.progress import Progress, find_progress
from lakehouse.engine.quarantine_small import with_held
from lakehouse.engine.references import need_parents
from lakehouse.engine.silver_large import run_large
from lakehouse.engine.silver_small import Batch, run_small
from lakehouse.errors import StateError
from lakehouse.log import get_logger
from lakehouse.specs import Layer, Silver, Table

log = get_logger(__name__)


def run_silver(table: Table, block: Silver, context: Context) -> TableResult:
    """Bring one Silver table up to date from its Bronze table; SKIPPED when there is nothing new to judge."""
    with context.phase("plan"):
        progress = find_progress(table, block, context)
    left = progress.left if progress is not None else ""
    if left:
        log.warning(left, table=table.full_name, contract=table.version)
    if progress is None or not (context.options.judges_again or progress.held or _is_behind(table, context, progress)):
        return context.skipped(table, Layer.SILVER, "; ".join(filter(None, ["Bronze has nothing new", left])))
    need_parents(table, context)
    with translated(table.full_name):
        batch = _small_batch(table, block, context, progress)
        if batch is not None:
            return run_small(table, block, context, progress, batch)
        return run_large(table, block, context, progress)


def _is_behind(table: Table, context: Context, progress: Progress) -> bool:
    """Whether Bronze has rows that Silver has not taken in; compacting its files gives it a version without any."""
    bronze = context.lake.bronze(table)
    return progress.anew or context.has_changes(bronze, progress.consumed + 1, progress.bronze.version)


def _small_batch(table: Table, block: Silver, context: Context, progress: Progress) -> Batch | None:
    """Return Bronze's new rows beside Silver as it is, where both fit the driver; None where Spark takes over."""
    first = progress.silver is None
    if context.options.judges_again or (progress.whole and not first):
        return None
    bronze = context.snapshot(context.lake.bronze(table), progress.bronze.version)
    silver = None if first else context.snapshot(progress.uri)
    if bronze is None or (silver is None and not first):
        return None
    if first and not bronze.fits(context.settings.small_batch_rows):
        return None
    if first:
        return Batch(bronze.read().drop_columns([FILE, ROW]), None)
    try:
        rows = changed_rows(bronze.place, bronze.schema, progress.consumed + 1, progress.bronze.version)
    except NotReadable as error:
        log.info("Spark reads the changes", table=table.full_name, why=str(error))
        return None
    _need_inserts_only(table, rows)
    if rows.num_rows + len(progress.held) > context.settings.small_batch_rows:
        return None
    rows = rows.drop_columns([CHANGE_TYPE])
    return Batch(with_held(rows, table, block, context, progress) if progress.held else rows, silver)


def _need_inserts_only(table: Table, rows: pa.Table) -> None:
    if rows.filter(pc.not_equal(rows.column(CHANGE_TYPE), "insert")).num_rows:
        raise StateError(
            "Bronze was changed by hand: its new versions do not only add rows.",
            where=table.full_name,
            remedy="run with full_refresh to judge all of Bronze again.",
        )
