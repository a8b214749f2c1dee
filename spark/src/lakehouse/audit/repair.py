"""Ends the rows that say RUNNING although nobody works on them any more."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from lakehouse.audit.alerts import insert_alert, run_alert
from lakehouse.audit.database import Cursor
from lakehouse.audit.process import Process

_RUNNING = """
SELECT run_id, attempt, '' AS layer, pipeline AS name, pipeline, host, pid, process_start
FROM audit.runs WHERE status = 'RUNNING'
UNION ALL
SELECT run_id, attempt, layer, table_name, pipeline, run_logs.host, run_logs.pid, run_logs.process_start
FROM audit.run_logs JOIN audit.runs USING (run_id, attempt) WHERE run_logs.status = 'RUNNING'
ORDER BY run_id, attempt, layer, name
"""

# The process is compared again: the row may have gone on in another one since it was read.
_END_RUN = """
UPDATE audit.runs SET status = 'FAILED', ended_at = clock_timestamp(), error = %s
WHERE run_id = %s AND attempt = %s AND status = 'RUNNING' AND (host, pid, process_start) = (%s, %s, %s)
"""
_END_TABLE = """
UPDATE audit.run_logs SET status = 'FAILED', ended_at = clock_timestamp(), error = %s
WHERE run_id = %s AND attempt = %s AND layer = %s AND table_name = %s
  AND status = 'RUNNING' AND (host, pid, process_start) = (%s, %s, %s)
"""


@dataclass(frozen=True)
class Abandoned:
    """A RUNNING row of a process that is gone: of a whole run when `layer` is empty, else of a table called `name`."""

    run_id: str
    attempt: int
    layer: str
    name: str
    pipeline: str
    process: Process


def repair(cursor: Cursor, run_id: str, attempt: int, held: Collection[str], secrets: Iterable[str]) -> list[Abandoned]:
    """Set abandoned rows FAILED on behalf of a run, and return them.

    A row is abandoned when its process is gone from this machine, or when it is of a table or pipeline in `held`:
    those whose lease the calling run holds, so that nobody else can be at work on them, on whatever machine.
    """
    cursor.execute(_RUNNING)
    rows = [
        Abandoned(run, number, layer, name, pipeline, Process(host, pid, start))
        for run, number, layer, name, pipeline, host, pid, start in cursor.fetchall()
    ]
    others = [row for row in rows if (row.run_id, row.attempt) != (run_id, attempt)]
    at_work = [row for row in others if row.process.host]  # a run between two parts has no process to be gone
    gone = [row for row in at_work if row.name in held or row.process.is_gone()]
    return [row for row in gone if _end(cursor, row, run_id, secrets)]


def _end(cursor: Cursor, row: Abandoned, found_by: str, secrets: Iterable[str]) -> bool:
    reason = f"the process ended without a word (found by run {found_by})"
    process = (row.process.host, row.process.pid, row.process.start)
    if row.layer:
        cursor.execute(_END_TABLE, [reason, row.run_id, row.attempt, row.layer, row.name, *process])
    else:
        cursor.execute(_END_RUN, [reason, row.run_id, row.attempt, *process])
    ended = cursor.rowcount == 1
    if ended and not row.layer:
        insert_alert(cursor, run_alert(row.pipeline, row.run_id, row.attempt, "failed", "error", reason), secrets)
    return ended
