"""Reads the run log back as plain dicts: names to text, numbers, instants (UTC) and what jsonb holds."""

from __future__ import annotations

from typing import Any

from lakehouse.audit.database import Cursor
from lakehouse.errors import ParameterError, did_you_mean

Row = dict[str, Any]
LEDGER = ("inserted", "updated", "unchanged", "stale", "duplicate", "quarantined", "deleted")
# Micro-batches of a run that are shown; their sum is of all.
NEWEST_BATCHES = 50
BATCHES = """
SELECT attempt, batch, table_name, started_at, ended_at, extract(epoch FROM ended_at - started_at)::float AS seconds,
       received, inserted, updated, unchanged, stale, duplicate, quarantined, deleted, version_events, version_written,
       latency_p50_ms, latency_p95_ms, latency_max_ms, offsets, run_id
FROM audit.stream_batches"""

_RUNS = """
SELECT runs.run_id, runs.attempt, runs.pipeline, runs.trigger, runs.status, runs.started_at, runs.ended_at,
       round(extract(epoch FROM coalesce(runs.ended_at, clock_timestamp()) - runs.started_at), 1)::float AS seconds,
       runs.error,
       count(logs.*) AS tables,
       count(logs.*) FILTER (WHERE logs.status = 'FAILED') AS tables_failed,
       coalesce(sum(logs.input_rows), 0)::bigint AS input_rows,
       coalesce(sum(logs.output_rows), 0)::bigint AS output_rows,
       coalesce(sum(logs.quarantined), 0)::bigint AS quarantined
FROM (
    SELECT * FROM audit.runs WHERE pipeline = coalesce(%s, pipeline) ORDER BY started_at DESC LIMIT %s
) AS runs
LEFT JOIN audit.run_logs AS logs USING (run_id, attempt)
GROUP BY runs.run_id, runs.attempt, runs.pipeline, runs.trigger, runs.status, runs.started_at, runs.ended_at, runs.error
ORDER BY runs.started_at DESC
"""

_PARTS = {
    "attempts": "SELECT * FROM audit.runs WHERE run_id = %s ORDER BY attempt",
    "tables": """
        SELECT *, round(extract(epoch FROM coalesce(ended_at, clock_timestamp()) - started_at), 1)::float AS seconds
        FROM audit.run_logs WHERE run_id = %s ORDER BY attempt, started_at, table_name""",
    "rules_failed": """
        SELECT run_id, attempt, layer, table_name, rule, column_name, severity, passed, failed
        FROM audit.quality_results WHERE run_id = %s AND failed > 0 AND value IS NULL
        ORDER BY table_name, failed DESC, rule""",
    "checks_failed": """
        SELECT run_id, attempt, layer, table_name, rule AS check, severity, value
        FROM audit.quality_results WHERE run_id = %s AND failed > 0 AND value IS NOT NULL
        ORDER BY table_name, rule""",
    "drift": "SELECT * FROM audit.drift WHERE run_id = %s ORDER BY table_name, column_name",
    "publications": "SELECT * FROM audit.publications WHERE run_id = %s ORDER BY number",
    "sends": """
        SELECT run_id, topic, topic_id, partition, first_offset, next_offset, acknowledged, refused, finished_at, error
        FROM audit.stream_sends WHERE run_id IN (
            SELECT %s UNION SELECT params ->> 'producer' FROM audit.runs WHERE run_id = %s
        ) ORDER BY run_id, topic, partition""",
    "batches_summed": f"""
        SELECT count(*) AS batches, {", ".join(f"sum({name})::bigint AS {name}" for name in ("received", *LEDGER))},
               sum(extract(epoch FROM ended_at - started_at))::float AS seconds,
               max(latency_p50_ms) AS latency_p50_ms, max(latency_p95_ms) AS latency_p95_ms,
               max(latency_max_ms) AS latency_max_ms
        FROM audit.stream_batches WHERE run_id = %s HAVING count(*) > 0""",
    "batches": f"{BATCHES} WHERE run_id = %s ORDER BY attempt DESC, batch DESC LIMIT {NEWEST_BATCHES}",
}

_USUAL = """
SELECT table_name, percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds)::float AS seconds
FROM (
    SELECT table_name, extract(epoch FROM ended_at - started_at) AS seconds,
           row_number() OVER (PARTITION BY table_name ORDER BY started_at DESC) AS newest
    FROM audit.run_logs
    WHERE status = 'SUCCESS' AND layer <> 'maintenance' AND starts_with(table_name, %s || '.')
) AS worked
WHERE newest <= 10 GROUP BY table_name
"""


def usual_seconds(cursor: Cursor, pipeline: str) -> dict[str, float]:
    """Return the median seconds of each table's last ten runs that had work, by its name."""
    return {row["table_name"]: round(row["seconds"], 1) for row in rows(cursor, _USUAL, [pipeline])}


def runs(cursor: Cursor, limit: int, pipeline: str | None) -> list[Row]:
    """Return the newest attempts of runs, newest first, with the sums of their tables."""
    return rows(cursor, _RUNS, [pipeline, limit])


def show(cursor: Cursor, run_id: str) -> dict[str, list[Row]]:
    """Return all that is known of a run by part; raises ParameterError for an unknown one.

    A stream's run has what its producer handed over (`sends`), its newest micro-batches, newest first (`batches`), and
    the sum of all of them, their latencies being the worst (`batches_summed`); no other run has any of these.
    """
    parts = {name: rows(cursor, query, [run_id] * query.count("%s")) for name, query in _PARTS.items()}
    if not parts["attempts"] and parts["sends"]:
        raise ParameterError(
            f'"{run_id}" is a run of a producer: it sent to {parts["sends"][0]["topic"]}.',
            remedy=f"`lakehouse stream reconcile {run_id}` shows what it sent beside what was taken in.",
        )
    if not parts["attempts"]:
        known = [row["run_id"] for row in runs(cursor, 50, None)]
        raise ParameterError(
            f'no run is called "{run_id}".{did_you_mean(run_id, known)}', remedy="`lakehouse runs` lists the newest."
        )
    return parts


def rows(cursor: Cursor, query: str, parameters: list[Any]) -> list[Row]:
    """Return what a query finds, columns by name."""
    cursor.execute(query, parameters)
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
