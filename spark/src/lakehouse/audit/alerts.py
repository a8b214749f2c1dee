"""The outbox of alerts: stored in the transaction of what they tell of, sent afterwards (`lakehouse.alerts`).

A run has one alert. It is touched whenever something of the run changes, so that its message is edited.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from lakehouse.audit import values
from lakehouse.audit.database import Cursor, Database

Severity = Literal["error", "warning", "info"]

# What is known already and stands in a group's message stays there: the group's message is edited instead.
_STORE = """
WITH alert AS (
    INSERT INTO audit.alerts AS stored (dedupe_key, severity, pipeline, run_id, table_name, title, body, kind)
    VALUES (%(key)s, %(severity)s, %(pipeline)s, %(run_id)s, %(table)s, %(title)s, %(body)s, %(kind)s)
    ON CONFLICT (dedupe_key) DO UPDATE SET
        occurrences = stored.occurrences + 1, last_seen_at = clock_timestamp(), revision = stored.revision + 1,
        severity = excluded.severity, title = excluded.title, body = excluded.body,
        status = CASE WHEN stored.status = 'GROUPED' THEN 'GROUPED' ELSE 'PENDING' END,
        next_attempt_at = CASE WHEN stored.status = 'GROUPED' THEN NULL
            ELSE coalesce(stored.next_attempt_at, clock_timestamp()) END
    RETURNING alert_id, grouped_into
), grouped AS (
    UPDATE audit.alerts SET revision = revision + 1, status = 'PENDING', last_seen_at = clock_timestamp(),
        next_attempt_at = coalesce(next_attempt_at, clock_timestamp())
    WHERE alert_id = (SELECT grouped_into FROM alert)
)
SELECT alert_id FROM alert
"""
_IS_FOLLOWED = "SELECT EXISTS (SELECT FROM audit.alerts WHERE dedupe_key = %s)"
# A run of some tables, layers or dates, and one that only says what it would do, repair nothing.
_WHOLE = """(
    coalesce({run}.params -> 'tables', 'null') IN ('null', '[]')
    AND coalesce({run}.params -> 'dry_run', 'null') IN ('null', 'false')
    AND concat({run}.params ->> 'window_from', {run}.params ->> 'window_to', {run}.params ->> 'backfill') = ''
    AND coalesce({run}.params -> 'layers' @> '["bronze", "silver", "gold"]', true)
)"""
# One run of a pipeline is at work at a time: what failed within another's time was refused, and broke nothing.
_REFUSED = """(
    earlier.run_id <> this.run_id AND EXISTS (
        SELECT FROM audit.runs AS beside
        WHERE beside.pipeline = earlier.pipeline AND beside.run_id <> earlier.run_id
          AND beside.started_at < earlier.started_at AND coalesce(beside.ended_at, 'infinity') > earlier.ended_at
    )
)"""
_FAILED_BEFORE = f"""
SELECT CASE WHEN earlier.status = 'FAILED' THEN earlier.run_id END
FROM audit.runs AS this JOIN audit.runs AS earlier ON earlier.pipeline = this.pipeline
WHERE this.run_id = %s AND this.attempt = %s
  AND (earlier.trigger = 'maintenance') = (this.trigger = 'maintenance')
  AND (earlier.run_id = this.run_id AND earlier.attempt < this.attempt
    OR earlier.run_id <> this.run_id AND earlier.started_at < this.started_at AND {_WHOLE.format(run="this")})
  AND (earlier.status = 'FAILED' AND NOT {_REFUSED} OR earlier.status = 'SUCCESS' AND {_WHOLE.format(run="earlier")})
ORDER BY earlier.started_at DESC LIMIT 1
"""


@dataclass(frozen=True)
class Alert:
    """What a person should hear of; alerts with one `dedupe_key` are one alert that is counted."""

    dedupe_key: str
    severity: Severity
    pipeline: str
    title: str
    body: str = ""
    run_id: str | None = None
    table: str | None = None
    kind: Literal["run", "note"] = "note"


def store_alert(database: Database, alert: Alert) -> int:
    """Store an alert and return its id, the earlier one's when its key is known; raises AuditUnavailable."""
    return database.transact(lambda cursor: insert_alert(cursor, alert, database.secrets))


def insert_alert(cursor: Cursor, alert: Alert, secrets: Iterable[str]) -> int:
    """Store an alert within the caller's transaction and return its id."""
    told = vars(alert) | {"key": alert.dedupe_key}
    told |= {name: values.text(told[name], secrets) for name in ("title", "body")}
    cursor.execute(_STORE, told)
    (alert_id,) = cursor.fetchone() or (0,)
    return int(alert_id)


def run_alert(
    pipeline: str, run_id: str, attempt: int, state: str, severity: Severity = "info", body: str = ""
) -> Alert:
    """Return the one alert of a run as it stands after one of its attempts reached a state, such as "failed"."""
    title = f"{pipeline}: run {run_id} {state} (attempt {attempt})"
    return Alert(_key(run_id), severity, pipeline, title, body, run_id, kind="run")


def is_followed(cursor: Cursor, run_id: str) -> bool:
    """Tell whether a run has an alert, so that whatever becomes of the run is told."""
    cursor.execute(_IS_FOLLOWED, [_key(run_id)])
    return cursor.fetchone() == (True,)


def failed_before(cursor: Cursor, run_id: str, attempt: int) -> str | None:
    """Return the failed run whose failure is over when this attempt succeeds: the one before it, or the run itself."""
    cursor.execute(_FAILED_BEFORE, [run_id, attempt])
    failed: tuple[str | None] = cursor.fetchone() or (None,)
    return failed[0]


def _key(run_id: str) -> str:
    return f"run/{run_id}"
