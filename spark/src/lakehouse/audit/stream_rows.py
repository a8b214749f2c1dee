"""Rows of `audit.stream_sends` and `audit.stream_batches`: what was sent, what became of micro-batches."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from lakehouse.audit import values
from lakehouse.audit.database import Cursor
from lakehouse.audit.history import BATCHES, LEDGER, Row, rows
from lakehouse.audit.result import Ledger
from lakehouse.errors import StateError


@dataclass(frozen=True)
class Sends:
    """What was sent to a partition: offsets from `first_offset` up to `next_offset`, which is not in it.

    There may be more offsets than acknowledged messages: those of other producers, and of answers that were lost.
    """

    partition: int
    first_offset: int
    next_offset: int
    acknowledged: int = 0
    refused: int = 0

    def __add__(self, later: Sends) -> Sends:
        """Return both as one, where a later attempt sent to the same partition."""
        return Sends(
            self.partition,
            min(self.first_offset, later.first_offset),
            max(self.next_offset, later.next_offset),
            self.acknowledged + later.acknowledged,
            self.refused + later.refused,
        )


@dataclass(frozen=True)
class OffsetRange:
    """Messages of a partition from an offset up to another, which is not in it."""

    partition: int
    first: int
    end: int


@dataclass(frozen=True)
class StreamBatch:
    """One finished micro-batch; times are aware, latencies in milliseconds, and None where nothing was written."""

    batch: int
    table: str
    started_at: datetime
    ended_at: datetime
    offsets: Sequence[OffsetRange]
    ledger: Ledger
    version_events: int | None = None
    version_written: int | None = None
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    latency_max_ms: float | None = None


_BEGAN = """
INSERT INTO audit.stream_sends AS sends (run_id, topic, topic_id, partition, first_offset, next_offset)
VALUES (%(run_id)s, %(topic)s, %(topic_id)s, %(partition)s, %(first)s, %(first)s)
ON CONFLICT (run_id, topic, partition) DO UPDATE SET
    topic_id = excluded.topic_id, finished_at = NULL, error = NULL,
    first_offset = CASE WHEN sends.topic_id = excluded.topic_id THEN sends.first_offset ELSE excluded.first_offset END,
    next_offset = CASE WHEN sends.topic_id = excluded.topic_id THEN sends.next_offset ELSE excluded.next_offset END,
    acknowledged = CASE WHEN sends.topic_id = excluded.topic_id THEN sends.acknowledged ELSE 0 END,
    refused = CASE WHEN sends.topic_id = excluded.topic_id THEN sends.refused ELSE 0 END
RETURNING partition, first_offset, next_offset, acknowledged, refused
"""
_FINISHED = """
UPDATE audit.stream_sends
SET next_offset = %s, acknowledged = %s, refused = %s, error = %s, finished_at = clock_timestamp()
WHERE (run_id, topic, partition) = (%s, %s, %s)
RETURNING 1
"""
_MOVED = """
UPDATE audit.stream_sends SET next_offset = %s, acknowledged = %s, refused = %s
WHERE (run_id, topic, partition) = (%s, %s, %s) AND finished_at IS NULL
"""
_SENDS = "SELECT * FROM audit.stream_sends WHERE run_id = %s ORDER BY topic, partition"
_FIGURES = (
    *("table_name", "started_at", "ended_at", "offsets", "received", *LEDGER),
    *("version_events", "version_written", "latency_p50_ms", "latency_p95_ms", "latency_max_ms"),
)
_BATCH = f"""
INSERT INTO audit.stream_batches AS was (run_id, attempt, batch, {", ".join(_FIGURES)})
VALUES (%(run_id)s, %(attempt)s, %(batch)s, {", ".join(f"%({name})s" for name in _FIGURES)})
ON CONFLICT (run_id, attempt, batch) DO UPDATE
SET {", ".join(f"{name} = coalesce(excluded.{name}, was.{name})" for name in _FIGURES)}
"""
_SINCE = "SELECT * FROM audit.stream_batches WHERE table_name = %s AND ended_at >= %s ORDER BY started_at"
_NEWEST = f"{BATCHES} WHERE table_name = %s ORDER BY started_at DESC LIMIT %s"
_BATCHES = "SELECT * FROM audit.stream_batches WHERE run_id = %s ORDER BY attempt, batch"


def sends_began(cursor: Cursor, run_id: str, topic: str, topic_id: str, firsts: Mapping[int, int]) -> list[Sends]:
    """Write that a run begins to send, by the end of each partition now; return what it had sent there before.

    That is nothing, unless an earlier attempt of the run sent to the same topic; a topic made anew begins anew.
    """
    earlier = []
    for partition, first in firsts.items():
        row = {"run_id": run_id, "topic": topic, "topic_id": topic_id, "partition": partition, "first": first}
        cursor.execute(_BEGAN, row)
        earlier += [Sends(*found) for found in cursor.fetchall()]
    return earlier


def sends_finished(
    cursor: Cursor, run_id: str, topic: str, sends: Iterable[Sends], error: str | None, secrets: Iterable[str]
) -> None:
    """Write all that a run has sent, and why it ended early if it did; StateError where it never began."""
    told = None if error is None else values.text(error, secrets)
    for each in sends:
        figures = [each.next_offset, each.acknowledged, each.refused, told]
        cursor.execute(_FINISHED, [*figures, run_id, topic, each.partition])
        if cursor.fetchone() is None:
            raise StateError(f"run {run_id} never began to send to partition {each.partition}.", where=topic)


def sends_moved(cursor: Cursor, run_id: str, topic: str, sends: Iterable[Sends]) -> None:
    """Write how far a run that still sends has come."""
    for each in sends:
        figures = [each.next_offset, each.acknowledged, each.refused]
        cursor.execute(_MOVED, [*figures, run_id, topic, each.partition])


def sends_of(cursor: Cursor, run_id: str) -> list[Row]:
    """Return a run's rows of audit.stream_sends by topic and partition; none where it sends nothing."""
    return rows(cursor, _SENDS, [run_id])


def write_batch(cursor: Cursor, run_id: str, attempt: int, batch: StreamBatch) -> None:
    """Write what became of a micro-batch; raises LedgerUnbalanced and writes nothing if it must.

    Written again from its commit it keeps what that does not say: how long its events waited.
    """
    batch.ledger.check(batch.table)
    ledger = vars(batch.ledger)
    cursor.execute(
        _BATCH,
        {
            **{name: ledger[name] for name in LEDGER},
            **vars(batch),
            "run_id": run_id,
            "attempt": attempt,
            "table_name": batch.table,
            "received": ledger["rows_in"],
            "offsets": json.dumps([{"partition": r.partition, "from": r.first, "to": r.end} for r in batch.offsets]),
        },
    )


def batches_since(cursor: Cursor, table: str, moment: datetime) -> list[Row]:
    """Return the rows of audit.stream_batches of a table that ended after a moment, in the order of their beginning."""
    return rows(cursor, _SINCE, [table, moment])


def newest_batches(cursor: Cursor, table: str, limit: int) -> list[Row]:
    """Return the newest micro-batches of a table, of whatever run, newest first, each with its seconds."""
    return rows(cursor, _NEWEST, [table, limit])


def batches_of(cursor: Cursor, run_id: str) -> list[Row]:
    """Return a run's rows of audit.stream_batches in their order."""
    return rows(cursor, _BATCHES, [run_id])
