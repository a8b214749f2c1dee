"""Rows of `audit.runs`: begin, wait for the next part, end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from lakehouse.audit import values
from lakehouse.audit.alerts import failed_before, insert_alert, is_followed, run_alert
from lakehouse.audit.database import Cursor
from lakehouse.audit.link import TRIGGER
from lakehouse.audit.process import Process
from lakehouse.errors import StateError

RunStatus = Literal["SUCCESS", "FAILED", "SKIPPED"]
# A task that is tried again begins within so many seconds, by the DAGs' own delays.
_TO_COME_SECONDS = 600


@dataclass(frozen=True)
class AtWork:
    """A run that says RUNNING: who began it, its page at its scheduler, the seconds since the last sign of it, and its
    process; none between two parts.
    """

    run_id: str
    attempt: int
    trigger: str
    link: str
    started_at: datetime
    silent_seconds: float
    process: Process

    @property
    def dag_run(self) -> str:
        """Return the page of the DAG run whose tasks are the run's parts; "" of a run that is one process."""
        return self.link if self.trigger == TRIGGER else ""

    def has_tasks_to_come(self) -> bool:
        """Tell whether it is a scheduler's that may go on: its process is here, or the last sign of it is not old."""
        if self.process.host == Process.this().host:
            return bool(self.dag_run) and self.lives_here()
        return bool(self.dag_run) and self.silent_seconds < _TO_COME_SECONDS

    def lives_here(self) -> bool:
        """Tell whether its process is at work on this machine."""
        return self.process.host == Process.this().host and not self.process.is_gone()

    def __str__(self) -> str:
        """Say which run it is and since when."""
        return f"run {self.run_id} (by {self.trigger}) since {self.started_at:%Y-%m-%d %H:%M:%S} UTC"


_START = """
INSERT INTO audit.runs (run_id, attempt, pipeline, trigger, params, status, host, pid, process_start, link)
VALUES (%s, %s, %s, %s, %s, 'RUNNING', %s, %s, %s, %s)
ON CONFLICT (run_id, attempt) DO UPDATE SET status = 'RUNNING', ended_at = NULL, error = NULL,
    host = excluded.host, pid = excluded.pid, process_start = excluded.process_start
"""

# Between two parts no process works on a run: its row names none, and no repair takes it for abandoned.
_WAIT = """
UPDATE audit.runs SET host = '', pid = 0, process_start = ''
WHERE run_id = %s AND attempt = %s AND status = 'RUNNING'
RETURNING pipeline
"""
_NEWEST = """
SELECT attempt, status = 'RUNNING' AND (host = '' OR (host, pid, process_start) = (%s, %s, %s))
FROM audit.runs WHERE run_id = %s ORDER BY attempt DESC LIMIT 1
"""
_REPLACE = """
UPDATE audit.runs SET status = 'FAILED', ended_at = clock_timestamp(), error = 'replaced by attempt ' || %(attempt)s
WHERE run_id = %(run_id)s AND attempt < %(attempt)s AND status = 'RUNNING'
"""
_AT_WORK = """
SELECT run_id, attempt, trigger, link, started_at, extract(epoch FROM clock_timestamp() - greatest(started_at, (
    SELECT max(greatest(of_table.started_at, of_table.ended_at)) FROM audit.run_logs AS of_table
    WHERE (of_table.run_id, of_table.attempt) = (runs.run_id, runs.attempt)
)))::float8, host, pid, process_start
FROM audit.runs WHERE pipeline = %s AND run_id <> %s AND status = 'RUNNING' ORDER BY started_at
"""
_KNOWN = "SELECT EXISTS (SELECT FROM audit.runs WHERE run_id = %s)"
# Whoever ends an attempt that failed has seen its work on tables end.
_END_TABLES = """
UPDATE audit.run_logs SET status = 'FAILED', ended_at = clock_timestamp(), error = %s
WHERE run_id = %s AND attempt = %s AND status = 'RUNNING'
"""
# Who runs a pipeline in parts runs it once at a time: another run of it that waits is one whose next part never came.
_FORGOTTEN = """
SELECT run_id, attempt FROM audit.runs
WHERE pipeline = %s AND trigger = %s AND run_id <> %s AND status = 'RUNNING' AND host = ''
"""
_STILL_RUNNING = "SELECT run_id, attempt FROM audit.runs WHERE run_id = %s AND status = 'RUNNING'"
_STILL_WAITING = f"{_STILL_RUNNING} AND host = ''"

# A failure that was told stands: a part that did not hear of it may end well.
_FINISH = """
UPDATE audit.runs SET status = %(status)s, error = %(error)s, ended_at = clock_timestamp()
WHERE run_id = %(run_id)s AND attempt = %(attempt)s AND NOT (status = 'FAILED' AND %(status)s = 'SUCCESS')
RETURNING pipeline
"""


def start(cursor: Cursor, run_id: str, pipeline: str, attempt: int, trigger: str, params: str, link: str = "") -> None:
    """Write that a run with `params` (JSON) began in this process, or goes on in it under the same attempt."""
    process = Process.this()
    row = [run_id, attempt, pipeline, trigger, params, process.host, process.pid, process.start, link]
    cursor.execute(_START, row)
    tell_progress(cursor, run_id, pipeline, attempt)


def tell_progress(cursor: Cursor, run_id: str, pipeline: str, attempt: int) -> None:
    """Have the message of a run edited, where it has one: the run began, or went a step further."""
    if is_followed(cursor, run_id):
        follow(cursor, run_id, pipeline, attempt)


def follow(cursor: Cursor, run_id: str, pipeline: str, attempt: int) -> None:
    """Store the alert of a run that is at work; from now on its message tells what becomes of it."""
    insert_alert(cursor, run_alert(pipeline, run_id, attempt, "is running"), ())


def begin_part(
    cursor: Cursor, run_id: str, pipeline: str, trigger: str, params: str, secrets: Iterable[str], link: str = ""
) -> int:
    """Go on with the attempt that waits for its next part, or begin another, in this process; return its number.

    An attempt of this run that still says RUNNING is ended as replaced, a forgotten run of the pipeline as failed.
    """
    process = Process.this()
    cursor.execute(_NEWEST, [process.host, process.pid, process.start, run_id])
    newest, goes_on = cursor.fetchone() or (0, False)
    attempt = int(newest) if goes_on else int(newest) + 1
    cursor.execute(_REPLACE, {"run_id": run_id, "attempt": attempt})
    cursor.execute(_FORGOTTEN, [pipeline, trigger, run_id])
    for other, number in cursor.fetchall():
        finish(cursor, other, number, "FAILED", f"its next part never came (found by run {run_id})", secrets)
    start(cursor, run_id, pipeline, attempt, trigger, params, link)
    return attempt


def at_work(cursor: Cursor, pipeline: str, run_id: str) -> list[AtWork]:
    """Return the other runs of a pipeline that say RUNNING, the longest first."""
    cursor.execute(_AT_WORK, [pipeline, run_id])
    return [
        AtWork(run, attempt, trigger, link, since, silent, Process(*process))
        for run, attempt, trigger, link, since, silent, *process in cursor.fetchall()
    ]


def is_known(cursor: Cursor, run_id: str) -> bool:
    """Tell whether a run has begun, ever."""
    cursor.execute(_KNOWN, [run_id])
    return cursor.fetchone() == (True,)


def end_part(cursor: Cursor, run_id: str, attempt: int) -> None:
    """Leave an attempt RUNNING, with no process at work on it, for its next part."""
    cursor.execute(_WAIT, [run_id, attempt])
    for (pipeline,) in cursor.fetchall():
        tell_progress(cursor, run_id, pipeline, attempt)


def fail(cursor: Cursor, run_id: str, error: str, secrets: Iterable[str]) -> bool:
    """End every attempt of a run that still says RUNNING; tell whether there was one."""
    return _fail(cursor, _STILL_RUNNING, run_id, error, secrets)


def fail_waiting(cursor: Cursor, run_id: str, error: str, secrets: Iterable[str]) -> bool:
    """End an attempt of a run that waits for its next part; a part at work ends by itself. Tell whether it waited."""
    return _fail(cursor, _STILL_WAITING, run_id, error, secrets)


def _fail(cursor: Cursor, which: str, run_id: str, error: str, secrets: Iterable[str]) -> bool:
    cursor.execute(which, [run_id])
    found = cursor.fetchall()
    for _, attempt in found:
        finish(cursor, run_id, attempt, "FAILED", error, secrets)
    return bool(found)


def finish(
    cursor: Cursor, run_id: str, attempt: int, status: RunStatus, error: str | None, secrets: Iterable[str]
) -> None:
    """Write how a run ended, and its alert: a failure's always, another end's where people were told of the run or of
    a failure before it. One that failed stays FAILED. Raises StateError for a run that never began.
    """
    reason = values.text(error or "no reason was given", secrets) if status == "FAILED" else None
    cursor.execute(_FINISH, {"status": status, "error": reason, "run_id": run_id, "attempt": attempt})
    row = cursor.fetchone()
    if row is None and is_known(cursor, run_id):
        return
    if row is None:
        raise StateError(f"run {run_id}, attempt {attempt} is not in audit.runs: it cannot be ended.")
    if reason is not None:
        cursor.execute(_END_TABLES, [reason, run_id, attempt])
        insert_alert(cursor, run_alert(row[0], run_id, attempt, "failed", "error", reason), secrets)
    elif is_followed(cursor, run_id) or failed_before(cursor, run_id, attempt) is not None:
        insert_alert(cursor, run_alert(row[0], run_id, attempt, "succeeded"), secrets)
