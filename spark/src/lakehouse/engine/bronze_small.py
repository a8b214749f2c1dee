"""Bronze for a window that fits the driver: copied from the source and committed without a JVM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.audit.result import Ledger, TableResult
from lakehouse.changes.decide import DELETE
from lakehouse.changes.definition import new_table
from lakehouse.changes.feed import NotReadable
from lakehouse.changes.files import Snapshot
from lakehouse.changes.write import Change, commit_change
from lakehouse.engine.bronze_rows import UPSERT
from lakehouse.engine.context import Context
from lakehouse.engine.drift import arrow_type, spark_type
from lakehouse.engine.jdbc import fitting_list, select_list, select_rows, window_predicate
from lakehouse.engine.unfit import UNFIT
from lakehouse.source.copy import copy_rows
from lakehouse.specs import Silver, Table

if TYPE_CHECKING:
    from lakehouse.engine.bronze import Plan


def write_small(table: Table, plan: Plan, context: Context, result: TableResult) -> tuple[Ledger, int]:
    """Append the window's rows and the tombstones; return the ledger and the new version.

    Raises NotReadable where Spark must read: many rows, rows that Bronze may hold already, a changed schema.
    """
    held = _snapshot(plan, context)
    with context.phase("read"):
        rows = _window_rows(plan, context, held)
    marks = _tombstones(rows.schema, table.key, plan.gone, plan)
    both = pa.concat_tables([rows, marks])
    origin = f"{context.catalog.pipeline.connection}:{plan.block.source}"
    for name, value in (("_run_id", context.run_id), ("_ingested_at", context.started), ("_source", origin)):
        both = both.append_column(name, _constant(value, both.num_rows, held.schema.field(name).type))
    ledger = Ledger(rows_in=both.num_rows, inserted=rows.num_rows, deleted=marks.num_rows)
    with context.phase("write"):
        commit = context.commit(plan.application, plan.number, result.with_ledger(ledger))
        return ledger, commit_change(held, Change.appending(both, held), commit)


def _snapshot(plan: Plan, context: Context) -> Snapshot:
    if plan.window.reread or plan.unstamped or plan.drift:
        raise NotReadable("rows that may be held already, or a changed source")
    if plan.count.rows + len(plan.gone) > context.settings.small_batch_rows:
        raise NotReadable(f"{plan.count.rows} rows are too many for the driver")
    if plan.state is None:
        return new_table(context.settings, plan.uri, _schema(plan))
    held = context.snapshot(plan.uri)
    if held is None:
        raise NotReadable("the table has features that only Spark reads")
    plan.need_current(held.version)
    return held


def _schema(plan: Plan) -> pa.Schema:
    """Return the columns of a new Bronze table: the source's as they are carried, and where a row is from."""
    fields = [(column.name, arrow_type(spark_type(column.type))) for column in plan.columns]
    origin = [("_run_id", pa.string()), ("_ingested_at", pa.timestamp("us", "UTC")), ("_source", pa.string())]
    return pa.schema([*fields, ("_op", pa.string()), *origin])


def _window_rows(plan: Plan, context: Context, held: Snapshot) -> pa.Table:
    url = context.settings.connection_url(context.catalog.pipeline.connection)
    inside = window_predicate(plan.block.watermark, plan.low, plan.high, without_watermark=False)
    names = [column.name for column in plan.columns]
    # A first value that does not fit is refused by Arrow: Spark reads it, and adds the column.
    apart = UNFIT in held.schema.names
    listed = fitting_list(plan.columns) if apart else select_list(plan.columns)
    select = select_rows(plan.block.source, plan.columns, listed)
    shape = pa.schema([held.schema.field(name) for name in ([*names, UNFIT] if apart else names)])
    try:
        rows = copy_rows(url, f"{select} AND {inside}", shape)
    except pa.ArrowInvalid as error:
        raise NotReadable(f"a value that Arrow does not take: {str(error)[:200]}") from error
    return rows.append_column("_op", _operations(rows, plan.block))


def _operations(rows: pa.Table, block: Silver) -> pa.Array:
    if block.deleted_flag is None:
        return _constant(UPSERT, rows.num_rows, pa.string())
    flags = pc.fill_null(rows.column(block.deleted_flag), False)
    return pc.if_else(flags, DELETE, UPSERT).cast(pa.string())


def _tombstones(shape: pa.Schema, key: Sequence[str], gone: Sequence[tuple[str, ...]], plan: Plan) -> pa.Table:
    """Return one row a vanished key, stamped with the horizon: no better moment is known."""
    columns = {}
    for field in shape:
        if field.name in key:
            texts = [parts[key.index(field.name)] for parts in gone]
            columns[field.name] = pa.array(texts, pa.string()).cast(field.type)
        elif field.name == plan.block.watermark:
            columns[field.name] = _constant(plan.high, len(gone), field.type)
        else:
            columns[field.name] = _constant(DELETE if field.name == "_op" else None, len(gone), field.type)
    return pa.table(columns, schema=shape)


def _constant(value: object, count: int, kind: pa.DataType) -> pa.Array:
    return pa.array([value] * count, kind)
