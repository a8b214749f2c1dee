"""Gold as a platform wrote it beside Gold as the oracle computes it."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import duckdb
from deltalake import DeltaTable

MEMBERS = {
    "customer_key": ("dim_customers", "customer_unique_id"),
    "product_key": ("dim_products", "product_id"),
    "seller_key": ("dim_sellers", "seller_id"),
    "location_key": ("dim_location", "zip_code_prefix"),
}


def compare(oracle: ModuleType, expected: duckdb.DuckDBPyConnection, table: Callable[[str], DeltaTable]) -> None:
    """Fail at the first Gold table that differs from what the oracle makes of the source it has taken."""
    oracle.build_gold(expected)
    for name, key in oracle.GOLD.items():
        actual = resolved(table, name)
        columns = {row[0] for row in expected.execute(f"DESCRIBE gold.{name}").fetchall()} - set(key)
        assert columns <= set(actual.column_names)
        assert oracle.difference(expected, name, actual, columns) == [], name


def resolved(table: Callable[[str], DeltaTable], name: str) -> Any:
    """Return a Gold table as the oracle has it: current members, and members in place of their surrogates."""
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    con.register("fact", table(name).scan())
    columns = [row[0] for row in con.execute("DESCRIBE fact").fetchall()]
    if name.startswith("dim_"):
        surrogate = next(column for column in columns if column.endswith("_key"))
        current = "AND is_current" if "is_current" in columns else ""
        return con.sql(f"FROM fact WHERE {surrogate} <> -1 {current}").to_arrow_table()
    select, joins = ["fact.*"], []
    for surrogate, (dimension, natural) in MEMBERS.items():
        if surrogate in columns:
            con.register(dimension, table(dimension).scan())
            select.append(f"CASE WHEN fact.{surrogate} <> -1 THEN {dimension}.{natural} END AS known_{natural}")
            joins.append(f"LEFT JOIN {dimension} ON {dimension}.{surrogate} = fact.{surrogate}")
    return con.sql(f"SELECT {', '.join(select)} FROM fact {' '.join(joins)}").to_arrow_table()
