"""The outbox of alerts: stored in the transaction of what they tell of, sent later by another program."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from lakehouse.audit import values
from lakehouse.audit.database import Cursor, Database

_STORE = """
INSERT INTO audit.alerts AS stored (dedupe_key, severity, pipeline, run_id, table_name, title, body)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (dedupe_key) DO UPDATE SET occurrences = stored.occurrences + 1, last_seen_at = clock_timestamp()
RETURNING alert_id
"""


@dataclass(frozen=True)
class Alert:
    """What a person should hear of; alerts with one `dedupe_key` are one alert that is counted."""

    dedupe_key: str
    severity: Literal["error", "warning", "info"]
    pipeline: str
    title: str
    body: str = ""
    run_id: str | None = None
    table: str | None = None


def store_alert(database: Database, alert: Alert) -> int:
    """Store an alert and return its id, the earlier one's when its key is known; raises AuditUnavailable."""
    return database.transact(lambda cursor: insert_alert(cursor, alert, database.secrets))


def insert_alert(cursor: Cursor, alert: Alert, secrets: Iterable[str]) -> int:
    """Store an alert within the caller's transaction and return its id."""
    first = [alert.dedupe_key, alert.severity, alert.pipeline, alert.run_id, alert.table]
    cursor.execute(_STORE, [*first, values.text(alert.title, secrets), values.text(alert.body, secrets)])
    (alert_id,) = cursor.fetchone() or (0,)
    return int(alert_id)
