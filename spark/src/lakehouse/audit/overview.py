"""Runs as people list them: one row a run, whatever its attempts, with rejects, drift and publication."""

from __future__ import annotations

from urllib.parse import quote

from lakehouse.audit.database import Cursor
from lakehouse.audit.history import Row, rows
from lakehouse.audit.link import page_of

_RUNS = """
SELECT newest.run_id, newest.attempt, newest.pipeline, newest.trigger, newest.status, newest.error,
       began.at AS started_at, newest.ended_at,
       extract(epoch FROM coalesce(newest.ended_at, clock_timestamp()) - began.at)::float AS seconds,
       logs.*, drift.drift, published.publication
FROM (
    SELECT * FROM audit.runs
    WHERE pipeline = coalesce(%s, pipeline) AND NOT EXISTS (
        SELECT FROM audit.runs AS later WHERE later.run_id = runs.run_id AND later.attempt > runs.attempt
    )
    ORDER BY started_at DESC LIMIT %s
) AS newest
CROSS JOIN LATERAL (SELECT min(started_at) AS at FROM audit.runs WHERE run_id = newest.run_id) AS began
CROSS JOIN LATERAL (
    SELECT count(DISTINCT (layer, table_name)) AS tables,
           count(DISTINCT table_name) FILTER (WHERE version_written IS NOT NULL) AS tables_written,
           coalesce(sum(input_rows), 0)::bigint AS input_rows,
           coalesce(sum(output_rows), 0)::bigint AS output_rows,
           coalesce(sum(quarantined), 0)::bigint AS quarantined
    FROM audit.run_logs WHERE run_id = newest.run_id
) AS logs
CROSS JOIN LATERAL (
    SELECT count(DISTINCT (table_name, column_name, kind)) AS drift FROM audit.drift WHERE run_id = newest.run_id
) AS drift
CROSS JOIN LATERAL (
    SELECT max(number) AS publication FROM audit.publications
    WHERE pipeline = newest.pipeline AND run_id = newest.run_id
) AS published
ORDER BY newest.started_at DESC
"""

_OF_LINK = """
SELECT run_id FROM audit.runs WHERE link LIKE '/dags/%%' AND right(link, length(%(end)s)) = %(end)s
ORDER BY started_at DESC LIMIT 1
"""


def overview(cursor: Cursor, limit: int, pipeline: str | None) -> list[Row]:
    """Return the newest runs, newest first: the newest attempt's end, time from the first one's start, sums over all.

    `seconds` of a run at work count up to now; `publication` is None for a run that published nothing.
    """
    return rows(cursor, _RUNS, [pipeline, limit])


def run_of(cursor: Cursor, dag_run_id: str, dag_id: str | None) -> str | None:
    """Return the id of the newest run that Airflow started as this DAG run (of any DAG, if none is named), or None."""
    end = page_of(dag_id, dag_run_id) if dag_id else f"/runs/{quote(dag_run_id, safe='')}"
    cursor.execute(_OF_LINK, {"end": end})
    found = cursor.fetchone()
    return str(found[0]) if found else None
