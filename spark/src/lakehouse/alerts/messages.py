"""What is told of each kind of alert."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lakehouse.alerts.embed import Embed, Grid, bare, code
from lakehouse.alerts.facts import read_run
from lakehouse.alerts.outbox import Stored
from lakehouse.alerts.run_message import run_message
from lakehouse.alerts.scrub import scrub
from lakehouse.audit.database import Cursor
from lakehouse.settings import Settings

_NOTES = {"error": ("failed", "🔴"), "warning": ("warning", "🟠"), "info": ("running", "🔵")}
_MOST_LINES = 12
# A grouped run counts as it stands now: what recovered meanwhile is no failure any more.
_MEMBERS = """
SELECT coalesce(nullif(alerts.pipeline, ''), '-') AS pipeline,
       coalesce(newest.status, upper(alerts.severity)) AS status, count(*)
FROM audit.alerts AS alerts
LEFT JOIN LATERAL (
    SELECT status FROM audit.runs WHERE run_id = alerts.run_id AND alerts.kind = 'run' ORDER BY attempt DESC LIMIT 1
) AS newest ON true
WHERE grouped_into = %s GROUP BY 1, 2 ORDER BY count(*) DESC, 1, 2
"""
_FAILURES = """
SELECT body, count(*), min(title) FROM audit.alerts WHERE grouped_into = %s AND severity = 'error'
GROUP BY body ORDER BY count(*) DESC, min(created_at) LIMIT %s
"""


def message(cursor: Cursor, alert: Stored, settings: Settings, secrets: Sequence[str]) -> Embed:
    """Return the message of an alert as things stand now."""
    if alert.kind == "group":
        return _group(cursor, alert, secrets)
    run = read_run(cursor, alert.run_id) if alert.kind == "run" and alert.run_id else None
    return run_message(run, settings, secrets) if run else _note(alert, secrets)


def _note(alert: Stored, secrets: Sequence[str]) -> Embed:
    colour, sign = _NOTES[alert.severity]
    seen = f"\nSeen {alert.occurrences:,} times." if alert.occurrences > 1 else ""
    return Embed(
        title=f"{sign} {scrub(alert.title, secrets)}",
        colour=colour,
        description=bare(scrub(alert.body, secrets)) + seen,
        footer="lakehouse alerts show",
    )


def _group(cursor: Cursor, alert: Stored, secrets: Sequence[str]) -> Embed:
    cursor.execute(_MEMBERS, [alert.alert_id])
    rows: list[tuple[Any, ...]] = cursor.fetchall()
    grid = Grid(["pipeline", "status", "alerts"], [[name, status, f"{count:,}"] for name, status, count in rows])
    total = sum(count for _, _, count in rows)
    failed = sum(count for _, status, count in rows if status in ("FAILED", "ERROR"))
    cursor.execute(_FAILURES, [alert.alert_id, _MOST_LINES])
    causes = [f"{count:,} x {bare(scrub(body or title, secrets))}" for body, count, title in cursor.fetchall()]
    while len("\n".join(causes)) > 1000 and len(causes) > 1:
        causes.pop()
    return Embed(
        title=f"{'🔴' if failed else '🟠'} {total:,} alerts at once, {failed:,} of failures",
        colour="failed" if failed else "warning",
        description=code(grid.text()),
        fields=[("Causes", "\n".join(causes))] if causes else [],
        footer="too many to tell one by one: lakehouse alerts show",
    )


def trial_message(settings: Settings) -> Embed:
    """Return the message of `lakehouse alerts test`."""
    told = "on, from its start" if settings.discord_success else "off: a run is told of from its failure on"
    return Embed("🔵 A test of the alerts", "running", f"Messages of runs that go well are {told}.", footer="lakehouse")
