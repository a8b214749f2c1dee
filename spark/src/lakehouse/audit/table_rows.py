"""Rows of `audit.run_logs` with their rules' counts and drift."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from psycopg2.extras import execute_values

from lakehouse.audit import values
from lakehouse.audit.database import Cursor
from lakehouse.audit.process import Process
from lakehouse.audit.result import CheckResult, Drift, TableResult

_LONGEST_NAME = 200
# A finished row stays: what is begun again under the same attempt has nothing to say of what is done already.
_START = """
INSERT INTO audit.run_logs AS log (run_id, attempt, layer, table_name, status, host, pid, process_start)
VALUES (%(run_id)s, %(attempt)s, %(layer)s, %(table)s, 'RUNNING', %(host)s, %(pid)s, %(process_start)s)
ON CONFLICT (run_id, attempt, layer, table_name) DO UPDATE
SET status = 'RUNNING', started_at = clock_timestamp(), ended_at = NULL, error = NULL,
    host = excluded.host, pid = excluded.pid, process_start = excluded.process_start
WHERE log.status <> 'SUCCESS'
"""

_REPLACE = """
UPDATE audit.run_logs
SET status = 'FAILED', ended_at = clock_timestamp(), error = 'replaced by attempt ' || %(attempt)s
WHERE run_id = %(run_id)s AND layer = %(layer)s AND table_name = %(table)s
  AND attempt < %(attempt)s AND status = 'RUNNING'
"""

_FAIL = """
INSERT INTO audit.run_logs (run_id, attempt, layer, table_name, status, ended_at, error, host, pid, process_start)
VALUES (%(run_id)s, %(attempt)s, %(layer)s, %(table)s, 'FAILED', clock_timestamp(), %(error)s,
        %(host)s, %(pid)s, %(process_start)s)
ON CONFLICT (run_id, attempt, layer, table_name) DO UPDATE
SET status = 'FAILED', ended_at = excluded.ended_at, error = excluded.error
"""

_FIGURES = (
    *("status", "input_rows", "inserted", "updated", "unchanged", "stale", "duplicate", "quarantined", "deleted"),
    *("output_rows", "versions_read", "version_written", "phases", "contract_version", "window_from", "window_to"),
    "note",
)
_FINISH = f"""
INSERT INTO audit.run_logs AS log
    (run_id, attempt, layer, table_name, host, pid, process_start, started_at, ended_at, {", ".join(_FIGURES)})
VALUES (%(run_id)s, %(attempt)s, %(layer)s, %(table)s, %(host)s, %(pid)s, %(process_start)s,
        coalesce(%(ended_at)s, clock_timestamp()) - make_interval(secs => %(seconds)s),
        coalesce(%(ended_at)s, clock_timestamp()), {", ".join(f"%({name})s" for name in _FIGURES)})
ON CONFLICT (run_id, attempt, layer, table_name) DO UPDATE
SET error = NULL, ended_at = excluded.ended_at, {", ".join(f"{name} = excluded.{name}" for name in _FIGURES)}
WHERE NOT (log.status = 'SUCCESS' AND excluded.status = 'SKIPPED')
RETURNING 1
"""

_RECORDED = """
SELECT EXISTS (
    SELECT FROM audit.run_logs
    WHERE table_name = %s AND version_written = %s AND status = 'SUCCESS' AND run_id = %s
)
"""

# An attempt that only goes on with the last parts of a run has no rows of the tables that it judges.
_CHECK = """
INSERT INTO audit.quality_results
    (run_id, attempt, layer, table_name, rule, column_name, severity, passed, failed, value)
SELECT run_id, attempt, layer, table_name, %(check)s, '', %(severity)s,
       %(passed)s::int, (NOT %(passed)s)::int, %(value)s
FROM audit.run_logs WHERE run_id = %(run_id)s AND table_name = %(table)s ORDER BY attempt DESC LIMIT 1
ON CONFLICT (run_id, attempt, layer, table_name, rule, column_name) DO UPDATE
SET severity = excluded.severity, passed = excluded.passed, failed = excluded.failed, value = excluded.value
"""

_LOST_RUN = """
INSERT INTO audit.runs (run_id, attempt, pipeline, trigger, status, started_at, ended_at, host, pid, process_start)
VALUES (%s, %s, %s, 'found', 'UNKNOWN', %s, %s, '', 0, '')
ON CONFLICT DO NOTHING
"""


def key(run_id: str, attempt: int, layer: str, table: str) -> dict[str, Any]:
    """Return the parameters that name a row, with the process that writes it."""
    process = Process.this()
    writer = {"host": process.host, "pid": process.pid, "process_start": process.start}
    return {"run_id": run_id, "attempt": attempt, "layer": layer, "table": table, **writer}


def start(cursor: Cursor, row: dict[str, Any]) -> None:
    """Write that work on a table began; an earlier attempt still RUNNING is ended as replaced."""
    cursor.execute(_REPLACE, row)
    cursor.execute(_START, row)


def fail(cursor: Cursor, row: dict[str, Any], error: str, secrets: Iterable[str]) -> None:
    """Write that work on a table failed, and why."""
    cursor.execute(_FAIL, {**row, "error": values.text(error, secrets)})


def finish(
    cursor: Cursor, row: dict[str, Any], result: TableResult, secrets: Iterable[str], ended_at: datetime | None = None
) -> None:
    """Write a table's result with its rules and drift; a SKIPPED result never replaces a SUCCESS of its attempt."""
    cursor.execute(_FINISH, {**row, **_figures(result, secrets), "ended_at": ended_at})
    if cursor.fetchone() is not None:
        _rewrite_details(cursor, row, result, secrets)


def add_checks(cursor: Cursor, run_id: str, checks: Iterable[CheckResult]) -> None:
    """Write what checks found, beside the newest row of each table in the run."""
    for check in checks:
        cursor.execute(_CHECK, {**vars(check), "run_id": run_id})


def is_recorded(cursor: Cursor, table: str, version: int, run_id: str) -> bool:
    """Tell whether a SUCCESS row of a run says that it wrote this version of a table."""
    cursor.execute(_RECORDED, [table, version, run_id])
    return cursor.fetchone() == (True,)


def add_lost_run(cursor: Cursor, run_id: str, attempt: int, pipeline: str, committed_at: datetime) -> None:
    """Write a run of status UNKNOWN when the database does not know it."""
    cursor.execute(_LOST_RUN, [run_id, attempt, pipeline, committed_at, committed_at])


def _figures(result: TableResult, secrets: Iterable[str]) -> dict[str, Any]:
    ledger = result.ledger
    return {
        **vars(ledger),
        "input_rows": ledger.rows_in,
        "output_rows": result.rows_out,
        "status": result.status,
        "versions_read": values.document(result.versions_read, secrets),
        "version_written": result.version_written,
        "phases": values.document(result.phases, secrets),
        "seconds": sum(result.phases.values()),
        "contract_version": result.contract_version,
        "window_from": result.window_from,
        "window_to": result.window_to,
        "note": values.text(result.note, secrets),
    }


def _rewrite_details(cursor: Cursor, row: dict[str, Any], result: TableResult, secrets: Iterable[str]) -> None:
    owner = [row[name] for name in ("run_id", "attempt", "layer", "table")]
    rules = [(*owner, each.rule, each.column, each.severity, each.passed, each.failed) for each in result.rules]
    # A name of any length may come from outside; an index takes no row beyond some 2,700 bytes.
    named = {(each.column[:_LONGEST_NAME], each.kind): each for each in result.drift}
    drift = [(*owner, *name, *_drift_texts(each, secrets)) for name, each in named.items()]
    for table, details in (("quality_results", rules), ("drift", drift)):
        cursor.execute(
            f"DELETE FROM audit.{table} WHERE (run_id, attempt, layer, table_name) = (%s, %s, %s, %s)", owner
        )
        if details:
            execute_values(cursor, f"INSERT INTO audit.{table} VALUES %s", details)


def _drift_texts(drift: Drift, secrets: Iterable[str]) -> list[str]:
    return [values.text(told, secrets) for told in (drift.before, drift.after, drift.action)]
