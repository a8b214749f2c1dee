"""A plan says what the run after it does, and writes nothing."""

from __future__ import annotations

import pytest

from lakehouse.engine.context import Options
from lakehouse.engine.plan import plan_run
from lakehouse.specs import Layer

pytestmark = pytest.mark.postgres
COLUMNS = ["order_id string key", "amount int", "updated_at timestamp required"]
BY_KEY = {"kind": "incremental", "rebuild_by": "order_id", "inputs": {"orders": {"column": "order_id"}}}


def planned(house, **options):
    """Plan every layer; the lake's versions must not have moved."""
    before = house.versions()
    plans = plan_run(house.settings, house.catalog, list(Layer), [], Options(**options))
    assert house.versions() == before
    return {plan.table.removeprefix("shop."): plan for plan in plans}


def test_the_rows_of_a_plan_are_those_that_the_run_takes_in(house, build, database, ask):
    orders = build.contract(
        COLUMNS, source="shop.orders", watermark="updated_at", latest_by=["updated_at"], deletes="key-scan"
    )
    total = build.contract(["order_id string key", "amount int"], **BY_KEY)
    lake = house({"silver.orders": orders, "gold.total": (total, "SELECT order_id, amount FROM orders")}, database)
    ask("CREATE SCHEMA shop")
    ask("CREATE TABLE shop.orders (order_id text, amount int, updated_at timestamptz DEFAULT now())")
    ask("INSERT INTO shop.orders SELECT 'o' || n, n FROM generate_series(1, 9) AS n")
    plans = planned(lake)
    assert [plans[name].rows for name in ("bronze.orders", "silver.orders", "gold.total")] == [9, 9, 9]
    results = lake.ok()
    assert results["silver.orders"].ledger.rows_in == 9
    ask("UPDATE shop.orders SET amount = 0, updated_at = now() WHERE order_id IN ('o1', 'o2')")
    ask("DELETE FROM shop.orders WHERE order_id = 'o3'")
    plans = planned(lake)
    assert (plans["bronze.orders"].rows, plans["bronze.orders"].deletes) == (3, 1)
    assert (plans["silver.orders"].rows, plans["silver.orders"].files) == (3, 1)
    assert plans["silver.orders"].seconds is not None
    results = lake.ok()
    assert results["bronze.orders"].ledger.rows_in == 3
    assert results["silver.orders"].ledger.rows_in == 3
    assert [plan.rows for plan in planned(lake).values()] == [0, 0, 0]
    again = planned(lake, full_refresh=True)
    assert again["bronze.orders"].rows == 8
    assert again["gold.total"].note == "made from orders"
