"""What becomes of the newest valid row of each key, beside the row that the table holds: Silver's semantics in DuckDB.

The same as lakehouse.engine.latest and .deletes in Spark; tests hold both against one model in plain Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.changes.query import numbered, query, quote, same
from lakehouse.changes.write import Change

DELETE = "delete"


@dataclass(frozen=True)
class Decision:
    """Rows of a batch by what becomes of them; `before` and `deleted` are the held rows, `before` beside `updated`."""

    inserted: pa.Table
    updated: pa.Table
    before: pa.Table
    deleted: pa.Table
    unchanged: int
    stale: int

    @property
    def change(self) -> Change:
        """Return what is to be committed."""
        return Change(self.inserted, self.updated, self.before, self.deleted)


def newest(rows: pa.Table, key: Sequence[str], latest_by: Sequence[str]) -> pa.Table:
    """Return the newest row of each key; of one moment and one ingestion a tombstone stands after an upsert."""
    order = [f"{quote(name)} DESC NULLS LAST" for name in latest_by]
    order += ["_ingested_at DESC NULLS LAST", f"(_op = '{DELETE}') DESC", "_hash DESC NULLS LAST"]
    partition = ", ".join(quote(name) for name in key)
    found = query(
        f"SELECT _n FROM rows QUALIFY row_number() OVER (PARTITION BY {partition} ORDER BY {', '.join(order)}) = 1 "
        "ORDER BY _n",
        rows=numbered(rows, [*key, *latest_by, "_ingested_at", "_op", "_hash"], "_n"),
    )
    return rows.take(found.column("_n"))


def decide(latest: pa.Table, held: pa.Table, key: Sequence[str], latest_by: Sequence[str]) -> Decision:
    """Compare the newest row of each key with the row that the table holds of it, if any."""
    order = [*latest_by, "_ingested_at", "_hash"]
    found = query(
        f"""
        SELECT n._n, h._h, CASE
            WHEN h._h IS NULL AND n._op = '{DELETE}' THEN 'stale'
            WHEN h._h IS NULL THEN 'insert'
            WHEN n._op = '{DELETE}' AND {_newer(order)} THEN 'delete'
            WHEN n._op = '{DELETE}' THEN 'stale'
            WHEN n._hash = h._hash THEN 'unchanged'
            WHEN {_newer(order)} THEN 'update'
            ELSE 'stale' END AS action
        FROM latest AS n LEFT JOIN held AS h ON {same("n", "h", key)}
        ORDER BY n._n
        """,
        latest=numbered(latest, [*key, *order, "_op"], "_n"),
        held=numbered(held, [*key, *order], "_h"),
    )
    return split(found, latest, held)


def split(found: pa.Table, rows: pa.Table, held: pa.Table) -> Decision:
    """Return rows by their action; `found` has `_n` (row), `_h` (held row) and `action`."""

    def of(action: str) -> pa.Table:
        return found.filter(pc.equal(found.column("action"), action))

    updates = of("update")
    return Decision(
        inserted=rows.take(of("insert").column("_n")),
        updated=rows.take(updates.column("_n")),
        before=held.take(updates.column("_h")),
        deleted=held.take(of("delete").column("_h")),
        unchanged=of("unchanged").num_rows,
        stale=of("stale").num_rows,
    )


def without_outlived(decision: Decision, marks: pa.Table, key: Sequence[str], latest_by: Sequence[str]) -> Decision:
    """Return the decision with every insert that is older than a tombstone of its key counted as stale.

    `marks`: tombstones with the key, `latest_by` and `_ingested_at`.
    """
    order = [*latest_by, "_ingested_at"]
    found = query(
        f"SELECT n._n FROM rows AS n WHERE NOT EXISTS (SELECT 1 FROM marks AS h WHERE {same('n', 'h', key)} "
        f"AND {_newer(order, 'h', 'n')}) ORDER BY n._n",
        rows=numbered(decision.inserted, [*key, *order], "_n"),
        marks=marks.select([*key, *dict.fromkeys(order)]),
    )
    kept = decision.inserted.take(found.column("_n"))
    outlived = decision.inserted.num_rows - kept.num_rows
    return replace(decision, inserted=kept, stale=decision.stale + outlived)


def _newer(order: Sequence[str], left: str = "n", right: str = "h") -> str:
    """Return the predicate that `left` comes after `right`, column by column; NULL comes before every value."""
    cases = []
    for name in order:
        mine, theirs = f"{left}.{quote(name)}", f"{right}.{quote(name)}"
        after = f"{mine} IS NOT NULL AND ({theirs} IS NULL OR {mine} > {theirs})"
        cases.append(f"WHEN {mine} IS DISTINCT FROM {theirs} THEN {after}")
    return f"(CASE {' '.join(cases)} ELSE FALSE END)"
