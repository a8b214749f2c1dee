"""The tombstones that a Silver table has taken in: of its source, and of its stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from lakehouse.changes.decide import DELETE
from lakehouse.changes.files import FILE, ROW
from lakehouse.engine.context import Context
from lakehouse.engine.deletes import newest_delete
from lakehouse.engine.progress import batch_application, stream_application
from lakehouse.errors import StateError
from lakehouse.lake.tables import reading
from lakehouse.specs import Silver, Table
from lakehouse.streaming.rows import Occasion, as_rows


@dataclass(frozen=True)
class Marks:
    """Tombstones of one table; `newest`: a moment (microseconds since 1970) that none of them is stamped after."""

    newest: int
    rows: Callable[[], pa.Table]


def tombstones_taken_in(table: Table, block: Silver, context: Context) -> Iterator[Marks]:
    """Yield the tombstones in Bronze and among the stream's events, up to the versions that Silver has consumed.

    Their `rows` have the form of Bronze rows; nothing is read of them before that is called.
    """
    lake = context.lake
    yield from _marks(context, lake.bronze(table), batch_application(table), lake.of(table), block.watermark)
    yield from stream_tombstones(table, block, context)


def stream_tombstones(table: Table, block: Silver, context: Context) -> Iterator[Marks]:
    """Yield those of the stream alone."""
    lake, stream = context.lake, block.stream
    if stream is None or stream.tombstones == "ignore":
        return
    occasion = Occasion(context.run_id, context.started)

    def shaped(read: Callable[[], pa.Table]) -> pa.Table:
        return as_rows(read(), table, stream, block.watermark, occasion).rows

    for marks in _marks(context, lake.events(table), stream_application(table), lake.of(table), "timestamp"):
        # A tombstone is stamped with the end of its millisecond.
        yield Marks(marks.newest + 999, partial(shaped, marks.rows))


def _marks(context: Context, uri: str, application: str, silver: str, stamp: str) -> Iterator[Marks]:
    state = context.lake.state(silver, application)
    version = -1 if state is None or state.number is None else state.number
    held = context.lake.open(uri) if version >= 0 else None
    if held is None:
        return
    with reading(uri):
        held.load_as_version(version)
        newest = newest_delete(held, stamp)
    if newest is not None:
        yield Marks(newest, partial(_read, context, uri, version))


def _read(context: Context, uri: str, version: int) -> pa.Table:
    held = context.snapshot(uri, version)
    if held is None:
        raise StateError("the table is not as this platform writes it.", where=uri)
    return held.read(among={"_op": pa.array([DELETE])}).drop_columns([FILE, ROW])
