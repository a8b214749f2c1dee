"""Rows of `audit.runs`: begin, end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from lakehouse.audit import values
from lakehouse.audit.alerts import Alert, insert_alert
from lakehouse.audit.database import Cursor
from lakehouse.audit.process import Process
from lakehouse.errors import StateError

RunStatus = Literal["SUCCESS", "FAILED", "SKIPPED"]

_START = """
INSERT INTO audit.runs (run_id, attempt, pipeline, trigger, params, status, host, pid, process_start)
VALUES (%s, %s, %s, %s, %s, 'RUNNING', %s, %s, %s)
ON CONFLICT (run_id, attempt) DO UPDATE SET status = 'RUNNING', ended_at = NULL, error = NULL,
    host = excluded.host, pid = excluded.pid, process_start = excluded.process_start
"""

_FINISH = """
UPDATE audit.runs SET status = %s, error = %s, ended_at = clock_timestamp()
WHERE run_id = %s AND attempt = %s
RETURNING pipeline
"""


def start(cursor: Cursor, run_id: str, pipeline: str, attempt: int, trigger: str, params: str) -> None:
    """Write that a run with `params` (JSON) began in this process, or goes on in it under the same attempt."""
    process = Process.this()
    cursor.execute(_START, [run_id, attempt, pipeline, trigger, params, process.host, process.pid, process.start])


def finish(
    cursor: Cursor, run_id: str, attempt: int, status: RunStatus, error: str | None, secrets: Iterable[str]
) -> None:
    """Write how a run ended; a failure's alert is stored with it. Raises StateError for a run that never began."""
    reason = values.text(error or "no reason was given", secrets) if status == "FAILED" else None
    cursor.execute(_FINISH, [status, reason, run_id, attempt])
    row = cursor.fetchone()
    if row is None:
        raise StateError(f"run {run_id}, attempt {attempt} is not in audit.runs: it cannot be ended.")
    if reason is not None:
        insert_alert(cursor, failed_run(row[0], run_id, attempt, reason), secrets)


def failed_run(pipeline: str, run_id: str, attempt: int, reason: str) -> Alert:
    """Return the one alert of a failed attempt."""
    title = f"{pipeline}: run {run_id} failed (attempt {attempt})"
    return Alert(f"run-failed/{run_id}/{attempt}", "error", pipeline, title, reason, run_id)
