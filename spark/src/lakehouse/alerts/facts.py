"""What the audit database says of a run, as its message needs it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lakehouse.audit.alerts import failed_before
from lakehouse.audit.database import Cursor


@dataclass(frozen=True)
class LayerFacts:
    """One layer: tables by how they stand now, rows over all attempts (each commit is counted once)."""

    layer: str
    tables: int
    failed: int
    running: int
    rows_in: int
    rows_out: int
    quarantined: int


@dataclass(frozen=True)
class RunFacts:
    """A run by its newest attempt, its failed tables as (table, error), what rules rejected as (table, rule, column,
    rows), drift as (table, column, kind, action). Lists end one after LONGEST_LIST.
    """

    run_id: str
    attempt: int
    pipeline: str
    trigger: str
    status: str
    began_at: datetime
    ended_at: datetime | None
    seconds: float
    error: str
    link: str
    layers: list[LayerFacts]
    failed_tables: list[tuple[Any, ...]]
    rules: list[tuple[Any, ...]]
    drift: list[tuple[Any, ...]]
    publication: int | None
    failed_before: str | None

    @property
    def is_recovery(self) -> bool:
        """Whether a failure of this run, or of the one before it, is over."""
        return self.status == "SUCCESS" and self.failed_before is not None


LONGEST_LIST = 50
_RUN = """
SELECT newest.attempt, newest.pipeline, newest.trigger, newest.status, began.at, newest.ended_at,
       extract(epoch FROM coalesce(newest.ended_at, clock_timestamp()) - began.at)::float,
       coalesce(newest.error, ''), newest.link
FROM audit.runs AS newest,
     LATERAL (SELECT min(started_at) AS at FROM audit.runs WHERE run_id = newest.run_id) AS began
WHERE newest.run_id = %s ORDER BY newest.attempt DESC LIMIT 1
"""
_LAYERS = """
WITH logs AS (
    SELECT *, row_number() OVER (PARTITION BY layer, table_name ORDER BY attempt DESC) = 1 AS is_newest
    FROM audit.run_logs WHERE run_id = %s
)
SELECT layer, count(*) FILTER (WHERE is_newest), count(*) FILTER (WHERE is_newest AND status = 'FAILED'),
       count(*) FILTER (WHERE is_newest AND status = 'RUNNING'),
       sum(input_rows)::bigint, sum(output_rows)::bigint, sum(quarantined)::bigint
FROM logs GROUP BY layer ORDER BY array_position(ARRAY['bronze', 'silver', 'gold'], layer), layer
"""
_FAILED_TABLES = """
SELECT table_name, error FROM (
    SELECT DISTINCT ON (layer, table_name) table_name, status, error, ended_at
    FROM audit.run_logs WHERE run_id = %s ORDER BY layer, table_name, attempt DESC
) AS newest
WHERE status = 'FAILED' ORDER BY ended_at, table_name LIMIT %s
"""
_RULES = """
SELECT table_name, rule, column_name, sum(failed)::bigint AS rows FROM audit.quality_results
WHERE run_id = %s AND failed > 0 AND severity = 'error' AND value IS NULL
GROUP BY table_name, rule, column_name ORDER BY rows DESC, table_name, rule, column_name LIMIT %s
"""
_DRIFT = """
SELECT DISTINCT table_name, column_name, kind, action FROM audit.drift
WHERE run_id = %s ORDER BY table_name, column_name, kind LIMIT %s
"""
_PUBLICATION = "SELECT max(number) FROM audit.publications WHERE run_id = %s"


def read_run(cursor: Cursor, run_id: str) -> RunFacts | None:
    """Return what is known of a run, or None for one that the database does not know."""
    cursor.execute(_RUN, [run_id])
    row = cursor.fetchone()
    if row is None:
        return None
    attempt, pipeline, trigger, status, began_at, ended_at, seconds, error, link = row
    return RunFacts(
        run_id=run_id,
        attempt=attempt,
        pipeline=pipeline,
        trigger=trigger,
        status=status,
        began_at=began_at,
        ended_at=ended_at,
        seconds=seconds,
        error=error,
        link=link,
        layers=[LayerFacts(*each) for each in _rows(cursor, _LAYERS, [run_id])],
        failed_tables=_rows(cursor, _FAILED_TABLES, [run_id, LONGEST_LIST + 1]),
        rules=_rows(cursor, _RULES, [run_id, LONGEST_LIST + 1]),
        drift=_rows(cursor, _DRIFT, [run_id, LONGEST_LIST + 1]),
        publication=_value(cursor, _PUBLICATION, [run_id]),
        failed_before=failed_before(cursor, run_id, attempt),
    )


def _rows(cursor: Cursor, query: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
    cursor.execute(query, parameters)
    return cursor.fetchall()


def _value(cursor: Cursor, query: str, parameters: list[Any]) -> Any:
    """Return the one value that a query finds, None when it finds none."""
    cursor.execute(query, parameters)
    (value,) = cursor.fetchone() or (None,)
    return value
