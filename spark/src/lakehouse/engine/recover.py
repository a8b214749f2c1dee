"""Audit rows that a crash kept from being written, made up from what the tables' own commits say."""

from __future__ import annotations

from dataclasses import replace

from lakehouse.audit.log import Audit
from lakehouse.audit.result import Ledger
from lakehouse.lake import Lake
from lakehouse.lake.notes import last_note


def record_lost(audit: Audit, lake: Lake, uri: str, table: str, found_by: str) -> bool:
    """Write the SUCCESS row of a table's newest commit where the audit has none; return whether one was missing.

    A commit by the driver carries the whole ledger. One by Spark knows what it wrote, not what it left out:
    unchanged, stale and rejected rows of that run stay unknown, and the row says so.
    """
    note = last_note(lake, uri)
    if note is None or note.run_id == found_by or audit.is_recorded(table, note.version):
        return False
    written = note.inserted + note.updated + note.deleted
    known = note.result.ledger.rows_in >= written > 0
    made_up = Ledger(rows_in=written, inserted=note.inserted, updated=note.updated, deleted=note.deleted)
    result = replace(
        note.result.with_ledger(note.result.ledger if known else made_up),
        rows_out=written,
        version_written=note.version,
        note="" if known else "from the commit alone: rows that were not written are not counted",
    )
    audit.record_found(note.run_id, note.attempt, result, note.committed_at, found_by)
    return True
