"""The tombstones that a Silver table has taken in: of its source, and of its stream."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa

from lakehouse.changes.decide import DELETE
from lakehouse.changes.files import FILE, ROW
from lakehouse.changes.log import Action
from lakehouse.engine.context import Context
from lakehouse.engine.deletes import newest_delete
from lakehouse.engine.progress import batch_application, stream_application
from lakehouse.errors import StateError
from lakehouse.lake.tables import reading
from lakehouse.specs import Silver, Table
from lakehouse.specs.model import Stream
from lakehouse.streaming.rows import Occasion, as_rows


@dataclass(frozen=True)
class Marks:
    """Tombstones of one table; `newest`: a moment (microseconds since 1970) that none of them is stamped after.

    `rows` gives those that may name a row of the given ones, or all of them.
    """

    newest: int
    rows: Callable[[pa.Table | None], pa.Table]


def tombstones_taken_in(table: Table, block: Silver, context: Context) -> Iterator[Marks]:
    """Yield the tombstones in Bronze and among the stream's events, up to the versions that Silver has consumed.

    Their `rows` have the form of Bronze rows; nothing is read of them before that is called.
    """
    lake = context.lake
    bronze = lake.bronze(table)

    def all_of(version: int, _: pa.Table | None) -> pa.Table:
        return _read(context, bronze, version, {})

    for newest, version in _newest(context, bronze, batch_application(table), lake.of(table), block.watermark):
        yield Marks(newest, partial(all_of, version))
    yield from stream_tombstones(table, block, context)


def stream_tombstones(table: Table, block: Silver, context: Context) -> Iterator[Marks]:
    """Yield those of the stream alone."""
    lake, stream, events = context.lake, block.stream, context.lake.events(table)
    if stream is None or stream.tombstones == "ignore":
        return
    occasion = Occasion(context.run_id, context.started)

    def shaped(version: int, rows: pa.Table | None) -> pa.Table:
        found = _read(context, events, version, _message_keys(rows, stream))
        return as_rows(found, table, stream, block.watermark, occasion).rows

    for newest, version in _newest(context, events, stream_application(table), lake.of(table), "timestamp"):
        # A tombstone is stamped with the end of its millisecond.
        yield Marks(newest + 999, partial(shaped, version))


def _message_keys(rows: pa.Table | None, stream: Stream) -> dict[str, pa.Array]:
    """Return the message keys of rows, where a column says them as they were written."""
    if rows is None or not pa.types.is_string(rows.schema.field(stream.key).type):
        return {}
    return {"key": rows.column(stream.key).unique().cast(pa.binary())}


def _newest(context: Context, uri: str, application: str, silver: str, stamp: str) -> Iterator[tuple[int, int]]:
    """Yield the moment that no tombstone is stamped after, and the version consumed; nothing where there is none."""
    state = context.lake.state(silver, application)
    version = -1 if state is None or state.number is None else state.number
    held = context.lake.open(uri) if version >= 0 else None
    if held is None:
        return
    with reading(uri):
        held.load_as_version(version)
        newest = newest_delete(held, stamp)
    if newest is not None:
        yield newest, version


def _read(context: Context, uri: str, version: int, among: Mapping[str, pa.Array]) -> pa.Table:
    held = context.snapshot(uri, version)
    if held is None:
        raise StateError("the table is not as this platform writes it.", where=uri)
    held = replace(held, files=tuple(filter(_may_hold_tombstones, held.files)))
    return held.read(among={"_op": pa.array([DELETE]), **among}).drop_columns([FILE, ROW])


def _may_hold_tombstones(add: Action) -> bool:
    """Whether a file's statistics leave room for one; most files have none, and nothing is read of them."""
    least = json.loads(add["stats"]).get("minValues", {}).get("_op")
    return least is None or str(least) <= DELETE
