"""Bronze: what the source said, a window at a time; the horizon lies in the commit that holds the rows."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import date
from functools import partial

from psycopg2 import extensions
from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F  # noqa: N812

from lakehouse.audit.result import Drift, Ledger, TableResult
from lakehouse.changes.feed import NotReadable
from lakehouse.engine import delta
from lakehouse.engine.bronze_rows import key_sources, not_yet_held, tombstones, with_operation, with_origin
from lakehouse.engine.bronze_small import write_small
from lakehouse.engine.context import Context
from lakehouse.engine.drift import (
    delta_columns,
    find_drift,
    need_comparable_keys,
    need_contract_columns,
    need_watermarks,
    spark_type,
)
from lakehouse.engine.failures import translated
from lakehouse.engine.jdbc import fitting_list, page_ranges, read_rows, select_list, select_rows, window_predicate
from lakehouse.engine.unfit import UNFIT, holds_unfit
from lakehouse.engine.vanished import vanished_keys
from lakehouse.engine.window import Window, choose_window, horizon_of, micros
from lakehouse.errors import StateError
from lakehouse.lake import TableState
from lakehouse.log import get_logger
from lakehouse.source.connect import reading
from lakehouse.source.describe import Column, columns
from lakehouse.source.horizon import Horizon
from lakehouse.source.stamps import stamp_of
from lakehouse.source.window import WindowCount, count_rows, count_window, holds_outside, unmoved
from lakehouse.specs import Layer, Silver, Table

log = get_logger(__name__)


@dataclass(frozen=True)
class Plan:
    """What a run found before it reads: the window, what it holds, which keys are gone, how the source has changed.

    `low` and `high` are the window's bounds as the watermark's column says them. `untaken`: rows that Silver holds and
    the source no longer does, at least, where deletes are not taken. `filled`: columns that are new at the source and
    have values in older rows too, so that all rows are read.
    """

    block: Silver
    uri: str
    application: str
    number: int
    state: TableState | None
    window: Window
    low: date | None
    high: date
    count: WindowCount
    columns: Sequence[Column]
    drift: list[Drift]
    gone: Sequence[tuple[str, ...]]
    untaken: int
    filled: Sequence[str]

    @property
    def unstamped(self) -> int:
        """Return how many rows without a watermark are to be looked at."""
        return self.count.without_watermark if self.block.on_null_watermark != "fail" else 0

    @property
    def whole(self) -> list[str]:
        """Return the remark that all rows are read, where they are."""
        said = f"all rows are read: older ones have values in what is new at the source ({', '.join(self.filled)})"
        return [said] if self.filled else []

    def need_current(self, version: int) -> None:
        """Raise StateError unless the table has the version (-1: none) that this was planned at.

        An attempt that was fenced while it wrote may still have committed: what it brought is in this window too.
        """
        planned = -1 if self.state is None else self.state.version
        if version != planned:
            raise StateError(
                f"the window was planned at version {planned}, but the table stands at {version}: "
                "another attempt has written meanwhile.",
                where=self.uri,
                remedy="run again; nothing of this attempt is in the table.",
            )


def run_bronze(table: Table, block: Silver, context: Context, horizon: Horizon) -> TableResult:
    """Append one window's rows and the tombstones of vanished keys; SKIPPED, without a commit, if there are none."""
    name = f"{table.pipeline}.{Layer.BRONZE}.{table.name}"
    with context.phase("plan"):
        plan = make_plan(table, block, context, horizon)
    note = "; ".join([*_remarks(plan), *horizon.warnings])
    if plan.untaken:
        log.warning("deletes at the source are not taken", table=name, rows=plan.untaken)
    result = TableResult(
        table=name, layer=Layer.BRONZE, status="SUCCESS", contract_version=table.version,
        window_from=plan.window.low, window_to=plan.window.high, drift=plan.drift, note=note,
    )  # fmt: skip
    if plan.state is not None and not (plan.count.rows or plan.gone or plan.unstamped):
        return replace(result, status="SKIPPED", note=note or "nothing in the window", phases=dict(context.phases))
    with translated(name):
        try:
            ledger, version = write_small(table, plan, context, result)
        except NotReadable as why:
            log.debug("Spark reads the window", table=name, why=str(why))
        else:
            return replace(result.with_ledger(ledger), version_written=version, phases=dict(context.phases))
        with unmoved(_url(context), block.source) if len(_parts(plan)) > 1 else nullcontext():
            ledger = _write(table, plan, context, result)
    state = context.lake.state(plan.uri, plan.application)
    if state and plan.state and state.version == plan.state.version:
        told = note or "all of it is held already"
        return replace(result, status="SKIPPED", ledger=ledger, note=told, phases=dict(context.phases))
    return replace(
        result.with_ledger(ledger),
        version_written=state.version if state else None,
        phases=dict(context.phases),
    )


def _remarks(plan: Plan) -> list[str]:
    waiting = [f"{plan.count.held} rows at or after the horizon wait"] if plan.count.held else []
    told = f"the source has {plan.untaken} rows fewer than Silver: deletes are not taken (deletes: none)"
    return [*waiting, *([told] if plan.untaken else []), *plan.whole]


def make_plan(table: Table, block: Silver, context: Context, horizon: Horizon) -> Plan:
    """Look at the source and at Bronze without reading rows or starting Spark."""
    uri, application = context.lake.bronze(table), f"bronze:{table.name}"
    bronze = context.lake.open(uri)
    state = context.state(uri, application)
    previous = horizon_of(state, uri)
    window = choose_window(block, context.options, previous, horizon.reach(previous))
    url = _url(context)
    found = columns(url, *block.source.split("."))
    need_contract_columns(table, block, found)
    need_comparable_keys(table, block, found)
    drift = find_drift(table, block, found, bronze)
    low, high = _bounds(block, window, found)
    with reading(url) as connection:
        whole = window.whole(previous)
        filled = _filled(block, drift, connection, low, high, _bounds(block, whole, found)[1])
        if filled:
            window, (low, high) = whole, _bounds(block, whole, found)
        count = count_window(connection, block.source, block.watermark, low, high)
        untaken = _untaken(table, block, context, connection) if state else 0
    need_watermarks(table, block, count)
    scan = block.deletes == "key-scan" and window.moves and state
    gone = vanished_keys(table, block, context, url, low, high, count.rows) if scan else []
    number = micros(window.high)
    if not window.moves:
        # Told apart by the run, not by the table. Cleared, the run has the same id and may find rows that came late;
        # after a crash it finds none, for what Bronze holds stays out.
        application = f"{application}:{context.run_id}"
        number = context.lake.next_number(uri, application)
    return Plan(block, uri, application, number, state, window, low, high, count, found, drift, gone, untaken, filled)


def _bounds(block: Silver, window: Window, found: Sequence[Column]) -> tuple[date | None, date]:
    column = next(column for column in found if column.name == block.watermark)
    says = partial(stamp_of, kind=spark_type(column.type), zone=block.timezone, digits=column.digits)
    return says(window.low) if window.low else None, says(window.high)


def _filled(
    block: Silver, drift: Sequence[Drift], connection: extensions.connection, low: date | None, high: date, end: date
) -> list[str]:
    """Return the added columns, where rows before `end` that the window leaves out have values in them."""
    names = [each.column for each in drift if each.kind == "added"]
    if not names or low is None:
        return []
    return names if holds_outside(connection, block.source, names, block.watermark, (low, high), end) else []


def _untaken(table: Table, block: Silver, context: Context, connection: extensions.connection) -> int:
    """A stream's rows need not be at the source; what is new there, and not in Silver yet, hides as many deletes."""
    if block.deletes != "none" or block.stream is not None:
        return 0
    return max(0, context.rows(context.lake.of(table)) - count_rows(connection, block.source))


def _write(table: Table, plan: Plan, context: Context, result: TableResult) -> Ledger:
    seen, fresh = Observation(), None
    rows = _window_rows(plan, context).observe(seen, F.count(F.lit(1)).alias("rows"))
    if plan.state is not None and (plan.window.reread or plan.unstamped):
        bronze = delta.read(context.spark, plan.uri)
        key = key_sources(table)
        rows = not_yet_held(rows, bronze, key, plan.block.watermark, plan.low, plan.high).persist()
        fresh = rows.count()
        if not (fresh or plan.gone):
            read = int(seen.get["rows"])
            return Ledger(rows_in=read, duplicate=read)
    if plan.gone:
        marks = tombstones(rows, table.key, plan.gone, plan.block.watermark, plan.high)
        rows = rows.unionByName(marks)
    source = f"{context.catalog.pipeline.connection}:{plan.block.source}"
    rows = with_origin(rows, context.run_id, context.started, source)
    commit = context.commit(plan.application, plan.number, result)
    now = context.lake.open(plan.uri)
    plan.need_current(now.version() if now is not None else -1)
    if any(each.kind == "widened" for each in plan.drift):
        _allow_widening(context, plan.uri)
    evolve = UNFIT in rows.columns or any(each.action == "evolve" for each in plan.drift)
    with context.phase("write"):
        delta.append(rows, plan.uri, commit, evolve=evolve)
    _, written = context.lake.appended(plan.uri, plan.application, commit.number, commit.note)
    read, marked = int(seen.get["rows"]), len(plan.gone)
    held = read - fresh if fresh is not None else 0
    return Ledger(rows_in=read + marked, inserted=written - marked, deleted=marked, duplicate=held)


def _allow_widening(context: Context, uri: str) -> None:
    """A table property only from the day it is needed: deltalake opens such a table, but reads no rows of it."""
    context.spark.sql(f"ALTER TABLE delta.`{uri}` SET TBLPROPERTIES ('delta.enableTypeWidening' = 'true')")


def _window_rows(plan: Plan, context: Context) -> DataFrame:
    url, block = _url(context), plan.block
    inside = window_predicate(block.watermark, plan.low, plan.high, without_watermark=bool(plan.unstamped))
    predicates = [f"{inside} AND {pages}" for pages in _parts(plan)]
    select = select_rows(block.source, plan.columns, _listed(plan, context, url, inside))
    return with_operation(read_rows(context.spark, url, select, predicates, block.fetch_size), block)


def _parts(plan: Plan) -> list[str]:
    """Return predicates that share the table's pages among the connections that read it side by side."""
    return page_ranges(plan.count.pages, min(8, -(-plan.count.rows // plan.block.rows_per_partition)))


def _url(context: Context) -> str:
    return context.settings.connection_url(context.catalog.pipeline.connection)


def _listed(plan: Plan, context: Context, url: str, inside: str) -> str:
    """Return what is read of each row: with `_unfit` where a row has such values, or Bronze has the column already."""
    bronze = context.lake.open(plan.uri)
    if bronze is not None and UNFIT in delta_columns(bronze):
        return fitting_list(plan.columns)
    with reading(url) as connection:
        apart = holds_unfit(connection, plan.block.source, plan.columns, inside)
    return fitting_list(plan.columns) if apart else select_list(plan.columns)
