"""One micro-batch of a stream: events kept in Bronze as they came, then taken into Silver by its contract."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from lakehouse.audit.result import Drift, TableResult
from lakehouse.changes.definition import new_table
from lakehouse.changes.feed import CHANGE_TYPE, changed_rows
from lakehouse.changes.files import Snapshot
from lakehouse.changes.log import transactions
from lakehouse.changes.write import Change, commit_change
from lakehouse.engine.context import Context
from lakehouse.engine.failures import translated
from lakehouse.engine.progress import Progress, find_stream_progress
from lakehouse.engine.silver_small import Batch, run_small
from lakehouse.errors import Overtaken, StateError
from lakehouse.specs import Layer, Silver, Table
from lakehouse.streaming.events import EVENTS, Event, Origin, as_table, mark, taken_in
from lakehouse.streaming.rows import Occasion, as_rows

# Events of one Silver commit, and their bytes: more wait for the next one.
MOST_EVENTS, MOST_BYTES = 50_000, 64 << 20
# Unknown fields that a micro-batch, and a run, tell of: a producer that makes names up must not make commits grow.
MOST_DRIFT = 100


@dataclass(frozen=True)
class Pending:
    """Events that Silver has not taken in, as many as one commit takes; `version` of the events is their last."""

    progress: Progress
    events: pa.Table
    version: int

    @property
    def ranges(self) -> dict[int, tuple[int, int]]:
        """Return the offsets of each partition, from one up to another that is not in it."""
        found: dict[int, tuple[int, int]] = {}
        partitions, offsets = (self.events.column(name).to_numpy() for name in ("partition", "offset"))
        for number in np.unique(partitions):
            mine = offsets[partitions == number]
            found[int(number)] = (int(mine.min()), int(mine.max()) + 1)
        return found

    def latencies(self, visible: datetime) -> tuple[float, float, float]:
        """Return median, 95th percentile and greatest milliseconds from Kafka's timestamps to `visible`."""
        sent = self.events.column("timestamp").cast(pa.int64()).to_numpy()
        p50, p95, most = np.percentile((visible.timestamp() * 1e6 - sent) / 1000, [50, 95, 100])
        return float(p50), float(p95), float(most)


def positions(context: Context, table: Table) -> dict[str, dict[int, int]]:
    """Return the next offset of each partition by topic id, as the commits of the events say; none before the first."""
    events = context.snapshot(context.lake.events(table))
    return {} if events is None else taken_in(transactions(events.place, events.version))


def keep_events(
    table: Table, context: Context, events: Sequence[Event], origin: Origin, began: Mapping[int, int],
    offsets: Mapping[int, int],
) -> int:  # fmt: skip
    """Append events as they came, in one commit with the offsets that are next; return the version.

    `began`: the offsets that the commits named when the events were read from there on. Raises Overtaken where they
    name others now: a commit that was given up for lost, or one of a fenced attempt, has come in between.
    """
    uri = context.lake.events(table)
    held = context.snapshot(uri)
    if held is None:
        if context.lake.open(uri) is not None:
            raise StateError("the table of events is not as this platform writes it.", where=uri)
        held = new_table(context.settings, uri, EVENTS)
    _need_unmoved(held, origin.topic_id, began, offsets)
    rows = as_table(events, origin, _after(held.newest("_ingested_at")))
    numbers = {mark(origin.topic_id, partition): offset for partition, offset in offsets.items()}
    name = f"{table.pipeline}.{Layer.BRONZE}.{table.name}_events"
    result = TableResult(name, Layer.BRONZE, "SUCCESS", contract_version=table.version)
    commit = context.commit(f"events:{origin.topic_id}", sum(offsets.values()), result)
    return commit_change(held, Change.appending(rows, held), replace(commit, beside=numbers))


def _need_unmoved(held: Snapshot, topic_id: str, began: Mapping[int, int], offsets: Mapping[int, int]) -> None:
    def named(partition: int) -> int | None:
        return None if held.table is None else held.table.transaction_version(mark(topic_id, partition))

    moved = [partition for partition in offsets if named(partition) != began.get(partition)]
    if moved:
        raise Overtaken(
            f"its commits name other offsets of partition {', '.join(map(str, sorted(moved)))} than when these events "
            "were read: another commit came in between.",
            where=held.place.uri,
            remedy="run again; the next run goes on where the commits say.",
        )


def _after(newest: datetime | None) -> datetime:
    """Return now, or the moment after the newest event: the clock of a machine may go back."""
    now = datetime.now(UTC)
    return now if newest is None else max(now, newest + timedelta(milliseconds=2))


def pending(table: Table, context: Context) -> Pending | None:
    """Return what Silver has not taken in of its stream's events, in whole versions; None where there is nothing."""
    progress = find_stream_progress(table, context)
    if progress is None or progress.consumed == progress.bronze.version:
        return None
    held = context.snapshot(context.lake.events(table), progress.bronze.version)
    if held is None:
        raise StateError("the table of events is not as this platform writes it.", where=context.lake.events(table))
    parts, rows, size, version = [EVENTS.empty_table()], 0, 0, progress.consumed
    while version < progress.bronze.version and rows < MOST_EVENTS and size < MOST_BYTES:
        version += 1
        # However large: what was kept has to be taken in.
        found = changed_rows(held.place, held.schema, version, version, most_bytes=math.inf)
        parts.append(found.drop_columns([CHANGE_TYPE]).cast(EVENTS))
        rows, size = rows + parts[-1].num_rows, size + parts[-1].nbytes
    return Pending(progress, pa.concat_tables(parts), version) if rows else None


def take_in(table: Table, block: Silver, context: Context, found: Pending) -> TableResult:
    """Take events into Silver by its contract, in one commit; what is rejected goes to the quarantine."""
    _, stream = table.need_stream()
    with context.phase("parse"):
        rows = as_rows(found.events, table, stream, block.watermark, Occasion(context.run_id, context.started))
    silver = context.snapshot(found.progress.uri)
    if silver is None:
        raise StateError("the table is not as this platform writes it.", where=found.progress.uri,
                         remedy="run with full_refresh for this table.")  # fmt: skip
    batch = Batch(rows.rows, silver, rows.dead, rows.failed, rows.ignored)
    progress = replace(found.progress, bronze=replace(found.progress.bronze, version=found.version))
    # A stream goes on, whatever comes: what is rejected is counted, and told.
    unlimited = block.model_copy(update={"quarantine_limit": 1.0})
    with translated(table.full_name):
        result = run_small(table, unlimited, context, progress, batch)
    return replace(result, drift=_drift(rows.unknown))


def _drift(unknown: Counter[str]) -> list[Drift]:
    return [Drift(name, "added", "", "json", "rescued") for name in sorted(unknown)[:MOST_DRIFT]]
