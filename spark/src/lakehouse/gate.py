"""The quality gate: table-level checks of every table that differs from the published one, before it is published."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import duckdb
import sqlglot
from deltalake import DeltaTable
from sqlglot import exp

from lakehouse.audit.result import CheckResult
from lakehouse.errors import GateFailed
from lakehouse.lake import Lake
from lakehouse.lake.tables import reading
from lakehouse.publish.manifest import Manifest
from lakehouse.specs import Check, Layer, Table

_UNIQUE_KEY = "key_unique"


def checks_of(table: Table, *, published: bool) -> list[Check]:
    """Return the contract's checks; a Gold table that was never published is also checked for a unique key.

    Every commit of it has refused a key with several rows; this is told of the first publication.
    """
    checks = list(table.checks)
    if table.layer is Layer.GOLD and not published:
        key = ", ".join(f"`{name}`" for name in table.key)
        checks.append(Check(_UNIQUE_KEY, f"count(*) - count(DISTINCT {key})", "value = 0", "error"))
    return checks


def run_checks(table: Table, delta: DeltaTable, rows: int | None, checks: Iterable[Check]) -> Iterator[CheckResult]:
    """Run checks on a table's newest version with DuckDB; one that looks at no column reads none.

    `rows`: how many the table has, by its log; None where that is not known.
    """
    connection = duckdb.connect(config={"threads": "2"})
    for check in checks:
        query = sqlglot.transpile(f"SELECT {check.expression} AS value FROM rows", read="spark", write="duckdb")[0]
        names = _columns(query, table)
        if names or rows is None:
            connection.register("rows", delta.scan(columns=names or [table.key[0]]))
        else:
            query = f"WITH rows AS (SELECT * FROM range({rows})) {query}"
        # Fetched to the end: a connection with a result half read takes no other work.
        ((value,),) = connection.execute(query).fetchall()
        ((passed,),) = connection.execute(f"SELECT {check.predicate} FROM (SELECT ? AS value)", [value]).fetchall()
        found = bool(passed)
        yield CheckResult(table.full_name, delta.version(), check.name, check.severity, float(value or 0), found)


def _columns(query: str, table: Table) -> list[str]:
    named = {column.name for column in sqlglot.parse_one(query, dialect="duckdb").find_all(exp.Column)}
    return [name for name in table.column_names if name in named]


def judge_tables(lake: Lake, tables: Iterable[Table], current: Manifest | None) -> list[CheckResult]:
    """Check each table whose version is not the published one."""
    from lakehouse.changes.files import rows_by_log  # not before: they bring numpy, and a DAG file is parsed without
    from lakehouse.changes.place import place_of

    results: list[CheckResult] = []
    for table in tables:
        delta = lake.open(lake.of(table))
        published = current.tables.get(table.full_name) if current else None
        if delta is None or delta.version() == published:
            continue
        with reading(lake.of(table)):
            rows = rows_by_log(place_of(lake.settings, lake.of(table)), delta.version())
            results += run_checks(table, delta, rows, checks_of(table, published=published is not None))
    return results


def need_passed(results: Iterable[CheckResult]) -> None:
    """Raise GateFailed naming every check of severity error that failed."""
    failed = [each for each in results if not each.passed and each.severity == "error"]
    if failed:
        told = "; ".join(f"{each.table}: {each.check} is {each.value:g}" for each in failed)
        raise GateFailed(
            f"{told}.", remedy="readers still see the publication before; correct the table, then run again."
        )
