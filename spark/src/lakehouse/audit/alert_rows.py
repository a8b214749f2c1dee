"""Reads stored alerts back as plain dicts."""

from __future__ import annotations

from lakehouse.audit.database import Cursor
from lakehouse.audit.history import Row, rows

_ALERTS = """
SELECT alert_id, created_at, severity, status, kind, pipeline, run_id, table_name, title, body, occurrences, attempts,
       first_sent_at, sent_at, message_id, grouped_into, last_error
FROM audit.alerts WHERE status = 'PENDING' OR NOT %s ORDER BY created_at DESC, alert_id DESC LIMIT %s
"""


def alerts(cursor: Cursor, limit: int, *, pending: bool) -> list[Row]:
    """Return the newest alerts, newest first; with `pending` only those that are still to be sent."""
    return rows(cursor, _ALERTS, [pending, limit])
