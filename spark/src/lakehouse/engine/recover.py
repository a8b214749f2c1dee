"""Audit rows that a crash kept from being written, made up from what the tables' own commits say."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from lakehouse.audit.log import Audit
from lakehouse.audit.result import Ledger
from lakehouse.audit.stream_rows import OffsetRange, StreamBatch
from lakehouse.lake import Lake
from lakehouse.lake.notes import Note, last_note


def record_lost(audit: Audit, lake: Lake, uri: str, table: str, found_by: str) -> Note | None:
    """Write the SUCCESS row of a table's newest commit where the audit has none; return its note then.

    A commit by the driver carries the whole ledger. One by Spark knows what it wrote, not what it left out:
    unchanged, stale and rejected rows of that run stay unknown, and the row says so.
    """
    note = last_note(lake, uri)
    if note is None or audit.is_recorded(table, note.version, note.run_id):
        return None
    written = note.inserted + note.updated + note.deleted
    ledger = note.result.ledger
    known = ledger.rows_in >= max(written, 1) and ledger.rows_in == ledger.accounted
    made_up = Ledger(rows_in=written, inserted=note.inserted, updated=note.updated, deleted=note.deleted)
    result = replace(
        note.result.with_ledger(ledger if known else made_up),
        version_written=note.version,
        note="" if known else "from the commit alone: rows that were not written are not counted",
    )
    batch = None if note.batch is None else _micro_batch(note, note.batch)
    audit.record_found(note.run_id, note.attempt, result, note.committed_at, found_by, batch)
    return note


def _micro_batch(note: Note, told: dict[str, Any]) -> StreamBatch:
    """Return a stream's micro-batch from its commit; how long its events waited is not known any more."""
    began = datetime.fromisoformat(told["started_at"])
    return StreamBatch(
        batch=told["batch"],
        table=note.result.table,
        started_at=began,
        # A clock may go back.
        ended_at=max(began, note.committed_at),
        offsets=[OffsetRange(*each) for each in told["offsets"]],
        ledger=Ledger(**told["ledger"]),
        version_events=told["version_events"],
        version_written=note.version,
    )
