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
VERSIONS = "_versions"
# What makes a version of a member another one, in the order in which the oracle says it.
TRACKED = {
    "dim_customers": "said(customer_zip_code_prefix, customer_city, customer_state)",
    "dim_sellers": "said(seller_zip_code_prefix, seller_city, seller_state)",
    "dim_products": (
        "said(said(product_category_name, product_category_name_english, product_weight_g), "
        "said(product_length_cm, product_height_cm, product_width_cm), NULL)"
    ),
}


def compare(oracle: ModuleType, expected: duckdb.DuckDBPyConnection, table: Callable[[str], DeltaTable]) -> None:
    """Fail at the first Gold table that differs from what the oracle makes of the source it has taken."""
    oracle.build_gold(expected)
    for name, key in oracle.GOLD.items():
        whose = name.removesuffix(VERSIONS)
        actual = resolved(table, name) if whose == name else versions(oracle, table, whose)
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
            if dimension in TRACKED:
                since = f"CASE WHEN fact.{surrogate} <> -1 THEN {dimension}.valid_from END"
                select.append(f"{since} AS known_{natural}_since")
            joins.append(f"LEFT JOIN {dimension} ON {dimension}.{surrogate} = fact.{surrogate}")
    return con.sql(f"SELECT {', '.join(select)} FROM fact {' '.join(joins)}").to_arrow_table()


def versions(oracle: ModuleType, table: Callable[[str], DeltaTable], name: str) -> Any:
    """Return all versions of an SCD2 dimension as the oracle has them."""
    con = oracle.connect()
    con.register("members", table(name).scan())
    surrogate, key = next((surrogate, key) for surrogate, (other, key) in MEMBERS.items() if other == name)
    following = f"lead(valid_from) OVER (PARTITION BY {key} ORDER BY valid_from)"
    return con.sql(
        f"SELECT {key}, {TRACKED[name]} AS said, valid_from, "
        f"CASE WHEN {following} IS NULL AND valid_to IS NOT NULL THEN {oracle.GONE} ELSE valid_to END AS valid_to "
        f"FROM members WHERE {surrogate} <> -1"
    ).to_arrow_table()
