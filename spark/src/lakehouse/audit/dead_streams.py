"""Ends streams' runs that say RUNNING although nobody holds the stream: a continuous one has no next run to find it."""

from __future__ import annotations

from lakehouse.audit.database import Cursor
from lakehouse.audit.lease import hold
from lakehouse.audit.log import Audit
from lakehouse.errors import LeaseHeld
from lakehouse.specs.model import STREAM

FINDER = "the API server"
# A run has its row a moment before it holds its stream.
_AT_WORK = f"""
SELECT DISTINCT pipeline FROM audit.runs
WHERE status = 'RUNNING' AND host <> '' AND position('{STREAM}' IN pipeline) > 0
  AND started_at < clock_timestamp() - interval '1 minute'
"""


def end_dead_streams(url: str, secrets: tuple[str, ...] = ()) -> list[str]:
    """Set FAILED, with an alert, what says RUNNING of streams that nobody holds; return the runs' ids.

    Raises AuditUnavailable.
    """
    with Audit(url, secrets) as audit:
        return [run for stream in audit.transact(_at_work) for run in _end(audit, url, stream)]


def _at_work(cursor: Cursor) -> list[str]:
    cursor.execute(_AT_WORK)
    return [str(stream) for (stream,) in cursor.fetchall()]


def _end(audit: Audit, url: str, stream: str) -> list[str]:
    try:
        with hold(url, [stream], FINDER, 1):
            return [each.run_id for each in audit.repair(FINDER, 1, [stream]) if each.name == stream]
    except LeaseHeld:
        return []
