"""SQL over Arrow tables on the driver, by DuckDB."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import pyarrow as pa


def query(sql: str, **tables: pa.Table) -> pa.Table:
    """Return the rows of a query that names its tables; no row order but the query's own."""
    with duckdb.connect(config={"threads": "2"}) as connection:
        for name, table in tables.items():
            connection.register(name, table)
        return connection.sql(sql).to_arrow_table()


def quote(name: str) -> str:
    """Return a name as DuckDB takes it literally."""
    return '"' + name.replace('"', '""') + '"'


def same(left: str, right: str, key: Sequence[str]) -> str:
    """Return the predicate that two rows have one key, NULL being a value like others."""
    return " AND ".join(f"{left}.{quote(name)} IS NOT DISTINCT FROM {right}.{quote(name)}" for name in key)


def numbered(rows: pa.Table, columns: Sequence[str], number: str) -> pa.Table:
    """Return only these columns, and each row's number."""
    index = pa.array(range(rows.num_rows), pa.int64())
    return rows.select(list(dict.fromkeys(columns))).append_column(number, index)
