"""What must be written to make a table's rows equal to those it should have: Gold's comparison in DuckDB."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from lakehouse.changes.decide import Decision, split
from lakehouse.changes.query import numbered, query, quote, same


def differences(desired: pa.Table, held: pa.Table, key: Sequence[str]) -> Decision:
    """Compare rows by key and `_hash`; held rows that are not desired are deleted."""
    found = query(
        f"""
        SELECT n._n, h._h, CASE
            WHEN n._n IS NULL THEN 'delete'
            WHEN h._h IS NULL THEN 'insert'
            WHEN n._hash = h._hash THEN 'unchanged'
            ELSE 'update' END AS action
        FROM desired AS n FULL OUTER JOIN held AS h ON {same("n", "h", key)}
        ORDER BY n._n, h._h
        """,
        desired=numbered(desired, [*key, "_hash"], "_n"),
        held=numbered(held, [*key, "_hash"], "_h"),
    )
    return split(found, desired, held)


def repeated_keys(rows: pa.Table, key: Sequence[str]) -> pa.Table:
    """Return the keys that stand on more than one row, and on how many (`n`)."""
    names = ", ".join(quote(name) for name in key)
    statement = f"SELECT {names}, count(*) AS n FROM rows GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL"
    return query(statement, rows=rows.select(list(key)))
