"""The stored alerts as their sender sees them: which is due, what became of it, how long the channel is closed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lakehouse.audit.alerts import Severity
from lakehouse.audit.database import Cursor

CHANNEL = "discord"
# So many new messages a minute; what fails beyond that is told together, in one message for ten minutes.
NEW_A_MINUTE = 5
GROUP_MINUTES = 10
# Seconds that a channel is left alone after it failed once, twice, …
BACK_OFF = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)

_LOCK = 4_703_919_738_795_935_662  # One sender at a time; the audit's migrations take the number before it.
_COLUMNS = "alert_id, kind, revision, severity, pipeline, run_id, title, body, occurrences, message_id, sent_digest"
# An alert that a run is touching now is not due before that is done; the sender waits for no run. Where the minute is
# full, good news waits: told in a group, a run that fails later would be an edit, and an edit rings for nobody.
_DUE = f"""
SELECT {_COLUMNS}, created_at FROM audit.alerts
WHERE status = 'PENDING' AND (message_id IS NOT NULL OR kind = 'group' OR severity <> 'info' OR NOT %s)
ORDER BY message_id IS NOT NULL DESC, created_at, alert_id LIMIT 1
FOR UPDATE SKIP LOCKED
"""
# Seconds until one more new message may be sent; none where it may be now.
_FULL = f"""
SELECT extract(epoch FROM first_sent_at + interval '1 minute' - clock_timestamp())::float FROM audit.alerts
WHERE first_sent_at > clock_timestamp() - interval '1 minute'
ORDER BY first_sent_at DESC OFFSET {NEW_A_MINUTE - 1} LIMIT 1
"""
_GROUP = """
WITH open AS (
    SELECT alert_id FROM audit.alerts
    WHERE kind = 'group' AND created_at > clock_timestamp() - make_interval(mins => %s)
    ORDER BY created_at DESC LIMIT 1
), made AS (
    INSERT INTO audit.alerts (dedupe_key, severity, pipeline, title, kind)
    SELECT 'group/' || clock_timestamp(), 'error', '', 'alerts told together', 'group'
    WHERE NOT EXISTS (SELECT FROM open) RETURNING alert_id
)
SELECT alert_id FROM open UNION ALL SELECT alert_id FROM made
"""
_JOIN = """
UPDATE audit.alerts SET status = 'GROUPED', grouped_into = %(group)s, next_attempt_at = NULL
WHERE alert_id IN (
    SELECT alert_id FROM audit.alerts
    WHERE status = 'PENDING' AND message_id IS NULL AND kind <> 'group' AND severity <> 'info' FOR UPDATE SKIP LOCKED
)
"""
_TOUCH = """
UPDATE audit.alerts SET revision = revision + 1, occurrences = occurrences + %(joined)s, status = 'PENDING',
    next_attempt_at = clock_timestamp(), last_seen_at = clock_timestamp() WHERE alert_id = %(group)s
"""
_DROP_IF_EMPTY = """
DELETE FROM audit.alerts AS stands WHERE alert_id = %(group)s
  AND NOT EXISTS (SELECT FROM audit.alerts WHERE grouped_into = stands.alert_id)
"""
_SENT = """
UPDATE audit.alerts SET message_id = %(message_id)s, sent_digest = %(digest)s, sent_revision = %(revision)s,
    sent_at = clock_timestamp(), first_sent_at = coalesce(first_sent_at, clock_timestamp()),
    attempts = attempts + 1, last_error = NULL,
    status = CASE WHEN revision = %(revision)s THEN 'SENT' ELSE 'PENDING' END,
    next_attempt_at = CASE WHEN revision = %(revision)s THEN NULL ELSE clock_timestamp() END
WHERE alert_id = %(alert_id)s
"""
_FAILED = """
UPDATE audit.alerts SET attempts = attempts + 1, last_error = %s,
    status = CASE WHEN %s THEN 'GIVEN_UP' ELSE status END,
    next_attempt_at = CASE WHEN %s THEN NULL ELSE next_attempt_at END
WHERE alert_id = %s
"""
_FORGET = "UPDATE audit.alerts SET message_id = NULL, sent_digest = '', first_sent_at = NULL WHERE alert_id = %s"
_CLOSED = """
SELECT greatest(0, extract(epoch FROM closed_until - clock_timestamp()))::float, limited, failures
FROM audit.alert_channels WHERE channel = %s AND closed_until > clock_timestamp()
"""
_FAILURES = "SELECT failures FROM audit.alert_channels WHERE channel = %s"
_CLOSE = """
INSERT INTO audit.alert_channels (channel, failures, limited, closed_until, last_error)
VALUES (%(channel)s, %(failures)s, %(limited)s, clock_timestamp() + make_interval(secs => %(seconds)s), %(error)s)
ON CONFLICT (channel) DO UPDATE SET failures = excluded.failures, limited = excluded.limited,
    closed_until = excluded.closed_until, last_error = excluded.last_error
"""
_OPEN = """
UPDATE audit.alert_channels SET failures = 0, limited = false, closed_until = NULL, last_error = ''
WHERE channel = %s AND (failures > 0 OR closed_until IS NOT NULL)
"""


@dataclass(frozen=True)
class Stored:
    """An alert that is due: what is to be told at `revision`, and the message that is edited if there is one."""

    alert_id: int
    kind: str
    revision: int
    severity: Severity
    pipeline: str
    run_id: str | None
    title: str
    body: str
    occurrences: int
    message_id: str | None
    sent_digest: str
    created_at: datetime


@dataclass(frozen=True)
class Closed:
    """A channel to which nothing is sent for `seconds`, because it asked for that (`limited`) or has failed."""

    seconds: float
    limited: bool
    failures: int


def try_lock(cursor: Cursor) -> bool:
    """Become the one sender until the session ends or `unlock`; False when another one is at work."""
    cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
    return cursor.fetchone() == (True,)


def unlock(cursor: Cursor) -> None:
    """Let another sender in."""
    cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


def next_due(cursor: Cursor) -> Stored | None:
    """Return what is to be sent now, edits before new messages.

    When new ones are too many, what failed is grouped first, and the rest waits.
    """
    is_full = full_for(cursor) is not None
    due = _due(cursor, is_full)
    if due is None or due.message_id is not None or due.kind == "group" or not is_full:
        return due
    _gather(cursor)
    return _due(cursor, is_full)


def full_for(cursor: Cursor) -> float | None:
    """Return for how many seconds no new message of good news is sent; None where one may be sent now."""
    cursor.execute(_FULL)
    row = cursor.fetchone()
    return float(row[0]) if row else None


def _due(cursor: Cursor, is_full: bool) -> Stored | None:
    cursor.execute(_DUE, [is_full])
    row = cursor.fetchone()
    return Stored(*row) if row else None


def _gather(cursor: Cursor) -> None:
    cursor.execute(_GROUP, [GROUP_MINUTES])
    (group,) = cursor.fetchone() or (0,)
    cursor.execute(_JOIN, {"group": group})
    cursor.execute(_TOUCH if cursor.rowcount else _DROP_IF_EMPTY, {"joined": cursor.rowcount, "group": group})


def mark_sent(cursor: Cursor, alert: Stored, message_id: str, digest: str) -> None:
    """Write that an alert was told as it stood at its revision; what has changed since is due at once."""
    told = {"message_id": message_id or None, "digest": digest, "revision": alert.revision, "alert_id": alert.alert_id}
    cursor.execute(_SENT, told)


def mark_failed(cursor: Cursor, alert: Stored, error: str, *, for_good: bool = False) -> None:
    """Write why an alert could not be told; it stays due unless that is for good."""
    cursor.execute(_FAILED, [error, for_good, for_good, alert.alert_id])


def forget_message(cursor: Cursor, alert: Stored) -> None:
    """Forget a message that somebody has removed: what is told next is a new one."""
    cursor.execute(_FORGET, [alert.alert_id])


def closed(cursor: Cursor) -> Closed | None:
    """Return how long the channel is closed, or None while it is open."""
    cursor.execute(_CLOSED, [CHANNEL])
    row = cursor.fetchone()
    return Closed(*row) if row else None


def close_channel(cursor: Cursor, error: str, pause: float | None = None) -> float:
    """Close the channel for the pause that it asks for, else for the next back-off; return the seconds."""
    cursor.execute(_FAILURES, [CHANNEL])
    (before,) = cursor.fetchone() or (0,)
    seconds = BACK_OFF[min(before, len(BACK_OFF) - 1)] if pause is None else pause
    failures = before + 1 if pause is None else before
    told = {"channel": CHANNEL, "failures": failures, "limited": pause is not None, "seconds": seconds, "error": error}
    cursor.execute(_CLOSE, told)
    return seconds


def open_channel(cursor: Cursor) -> None:
    """Write that the channel works."""
    cursor.execute(_OPEN, [CHANNEL])
