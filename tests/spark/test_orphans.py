"""Rows that were rejected because their parents were not there: they come when their parents do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lakehouse.errors import StateError

DAY = datetime(2018, 3, 1, tzinfo=UTC)
ORDERS, ITEMS = (
    "id string, state string, at timestamp",
    "id string, order_id string, product_id int, n int, at timestamp",
)
BY_DRIVER = pytest.mark.parametrize("loaded", [2_000_000], indirect=True, ids=["driver"])
FED = {"watermark": "at", "latest_by": ["at"], "quarantine_limit": "100%"}


def at(minute: int) -> datetime:
    return DAY + timedelta(minutes=minute)


def contracts(build, **block):
    known = build.rule("state_known", "state <> 'odd'")
    orders = build.contract(
        ["id string key", "state string", "at timestamp required"], [known], source="shop.orders", **FED
    )
    products = build.contract(["id int key", "at timestamp required"], source="shop.products", **FED)
    columns = [
        "id string key", "order_id string -> orders.id", "product_id int -> products.id", "n int",
        "at timestamp required",
    ]  # fmt: skip
    said = FED | {"source": "shop.items", "orphans": {"order_id": "error", "product_id": "error"}} | block
    items = build.contract(columns, [build.rule("n_positive", "n > 0")], **said)
    return {"silver.orders": orders, "silver.products": products, "silver.items": items}


@pytest.fixture(scope="module", params=[2_000_000, pytest.param(0, marks=pytest.mark.daily)], ids=["driver", "spark"])
def loaded(request, module_house, build):
    """Order o1 is odd, and so are its items orphans; i3 has no product either, i4 is wrong in itself."""
    made = module_house(contracts(build, history=True), small_batch_rows=request.param)
    made.bring("orders", ORDERS, [("o1", "odd", at(1), "upsert"), ("o2", "sent", at(1), "upsert")])
    made.bring("products", "id int, at timestamp", [(1, at(1), "upsert")])
    rows = [("i1", "o1", 1, 1), ("i2", "o2", 1, 2), ("i3", "o1", 7, 3), ("i4", "o1", 1, -4)]
    made.bring("items", ITEMS, [(*row, at(1), "upsert") for row in rows])
    made.ok("silver")
    assert items(made) == [("i2", 2)]
    return made


@pytest.fixture
def shop(loaded, tmp_path):
    return loaded.copy(tmp_path / "copy")


def items(shop, table="items"):
    return shop.rows("silver", table, "id, n")


def held(shop):
    return shop.rows("quarantine", "items", "key, status")


def test_a_parent_that_was_never_loaded_is_named_with_the_remedy(house, build):
    shop = house(contracts(build))
    shop.bring("products", "id int, at timestamp", [(1, at(1), "upsert")])
    shop.bring("items", ITEMS, [("i1", "o1", 1, 1, at(1), "upsert")])
    shop.ok("silver", tables=["products"])
    with pytest.raises(StateError, match=r"it reads orders, never loaded so far\..*--tables orders,items"):
        shop.ok("silver", tables=["items"])
    shop.bring("orders", ORDERS, [("o1", "sent", at(1), "upsert")])
    shop.ok("silver", tables=["orders", "items"])
    assert items(shop) == [("i1", 1)]


def test_they_come_with_their_parents_and_with_nothing_else(shop):
    assert shop.ok("silver")["silver.items"].status == "SKIPPED"
    shop.bring("orders", ORDERS, [("o1", "sent", at(2), "upsert")])
    result = shop.ok("silver")["silver.items"]
    assert (result.ledger.rows_in, result.ledger.inserted, result.ledger.quarantined) == (1, 1, 0)
    assert result.note == "1 held rows judged again: their parents have come"
    assert items(shop) == items(shop, "items_history") == [("i1", 1), ("i2", 2)]
    assert held(shop) == [("i1", "released"), ("i3", "quarantined"), ("i4", "quarantined")]


@BY_DRIVER
def test_they_come_beside_new_rows_once_the_last_parent_is_there(shop):
    shop.bring("orders", ORDERS, [("o1", "sent", at(2), "upsert")])
    shop.ok("silver")
    before = shop.versions()
    assert shop.ok("silver")["silver.items"].status == "SKIPPED"
    assert shop.versions() == before
    shop.bring("products", "id int, at timestamp", [(7, at(2), "upsert")])
    shop.bring("items", ITEMS, [("i5", "o2", 7, 5, at(2), "upsert"), ("i6", "gone", 1, 6, at(2), "upsert")])
    ledger = shop.ok("silver")["silver.items"].ledger
    assert (ledger.rows_in, ledger.inserted, ledger.quarantined) == (3, 2, 1)
    assert items(shop) == items(shop, "items_history") == [("i1", 1), ("i2", 2), ("i3", 3), ("i5", 5)]


@BY_DRIVER
def test_what_came_newer_meanwhile_stands(shop):
    shop.bring("orders", ORDERS, [("o1", "sent", at(2), "upsert")])
    shop.bring("items", ITEMS, [("i1", "o2", 1, 10, at(3), "upsert")])
    ledger = shop.ok("silver")["silver.items"].ledger
    assert (ledger.rows_in, ledger.inserted, ledger.duplicate) == (2, 1, 1)
    assert items(shop) == [("i1", 10), ("i2", 2)]
    assert held(shop)[0] == ("i1", "released")


@BY_DRIVER
def test_a_run_that_ended_before_it_released_them_brings_them_once(shop, monkeypatch):
    shop.bring("orders", ORDERS, [("o1", "sent", at(2), "upsert")])
    shop.ok("silver", tables=["orders"])
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr("lakehouse.engine.silver_small.release", lambda *_: 1 / 0)
        shop.ok("silver", tables=["items"])
    assert items(shop) == [("i1", 1), ("i2", 2)]
    assert held(shop)[0] == ("i1", "quarantined")
    result = shop.ok("silver")["silver.items"]
    assert (result.ledger.rows_in, result.ledger.unchanged) == (1, 1)
    assert items(shop) == items(shop, "items_history") == [("i1", 1), ("i2", 2)]
    assert held(shop)[0] == ("i1", "released")


@BY_DRIVER
def test_a_replay_is_not_ended_by_rows_that_stay_rejected(shop, build):
    lenient = contracts(build, history=True, quarantine_limit="10%")["silver.items"]
    lenient["quality"] = []
    shop.write("silver.items", lenient, "1.1.0")
    shop.bring("orders", ORDERS, [("o1", "sent", at(2), "upsert")])
    ledger = shop.ok("silver", replay=True)["silver.items"].ledger
    assert (ledger.rows_in, ledger.inserted, ledger.quarantined) == (3, 2, 1)
    assert held(shop) == [("i1", "released"), ("i3", "quarantined"), ("i4", "released")]
