"""A run that is run again under its own id: after a crash nothing comes twice, cleared it commits what is new."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lakehouse.errors import StateError

DAY = [datetime(2018, 5, day, tzinfo=UTC) for day in range(1, 10)]
MAY = {"window_from": DAY[0], "window_to": DAY[1]}
THINGS = "id string, amount int, at timestamp"
BY_SPARK = pytest.param(0, marks=pytest.mark.daily)
AFTER_SILVER = pytest.param("engine.silver_large.release", marks=pytest.mark.daily)
NEW_ROWS = pytest.param(True, marks=pytest.mark.daily)
BOTH_ROADS = pytest.mark.parametrize("small", [2_000_000, BY_SPARK], ids=["driver", "spark"])


def crash(monkeypatch, lake, where, *layers, **asked):
    """Run until `where` is called, as a killed process would."""
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(f"lakehouse.{where}", lambda *_, **__: 1 / 0)
        lake.ok(*layers, **asked)


@pytest.fixture
def orders(house, build, database, ask):
    """A source with one order, and a lake that has it; `late` brings another one into May's window."""
    ask("CREATE SCHEMA shop")
    ask("CREATE TABLE shop.orders (id text, updated_at timestamptz DEFAULT now())")
    ask("INSERT INTO shop.orders VALUES ('o1')")
    block = {"source": "shop.orders", "watermark": "updated_at", "latest_by": ["updated_at"]}
    columns = ["id string key", "updated_at timestamp required"]

    def make(small):
        lake = house({"silver.orders": build.contract(columns, **block)}, database, small_batch_rows=small)
        lake.ok("bronze", "silver")
        return lake

    return make


def late(ask, *names):
    for name in names:
        ask("INSERT INTO shop.orders VALUES (%s, '2018-05-01T12:00Z')", name)


def ids(lake, layer):
    return [row[0] for row in lake.rows(layer, "orders", "id")]


@pytest.mark.postgres
@BOTH_ROADS
@pytest.mark.parametrize(
    "more", [["late"], pytest.param(["late", "later"], marks=pytest.mark.daily)], ids=["as many", "more"]
)
def test_a_cleared_window_brings_what_came_late(orders, ask, small, more):
    lake = orders(small)
    late(ask, "old")
    assert lake.ok("bronze", "silver", attempt=(f"may-{small}-{len(more)}", 1), **MAY)["bronze.orders"].status
    late(ask, *more)
    result = lake.ok("bronze", "silver", attempt=(f"may-{small}-{len(more)}", 2), **MAY)["bronze.orders"]
    assert (result.status, result.ledger.inserted, result.ledger.duplicate) == ("SUCCESS", len(more), 1)
    assert ids(lake, "bronze") == ids(lake, "silver") == [*more, "o1", "old"]


@pytest.mark.postgres
@BOTH_ROADS
def test_a_window_whose_attempt_died_after_its_commit_comes_once(orders, ask, monkeypatch, small):
    lake, run_id = orders(small), f"dead-{small}"
    late(ask, "old")
    crash(monkeypatch, lake, "audit.log.Audit.table_finished", "bronze", attempt=(run_id, 1), **MAY)
    committed = lake.versions()["bronze/shop/orders"]
    assert ids(lake, "bronze") == ["o1", "old"]
    assert lake.ok("bronze", attempt=(run_id, 2), **MAY)["bronze.orders"].status == "SKIPPED"
    assert lake.versions()["bronze/shop/orders"] == committed
    late(ask, "late")
    assert lake.ok("bronze", attempt=(run_id, 3), **MAY)["bronze.orders"].ledger.inserted == 1
    assert ids(lake, "bronze") == ["late", "o1", "old"]


@pytest.mark.postgres
def test_a_commit_that_delta_leaves_out_is_never_taken_for_made(orders):
    """The newest commit has rows too, but it is another one."""
    lake = orders(0)
    uri = lake.lake.uri("bronze", "orders")
    number = lake.lake.state(uri, "bronze:orders").number
    with pytest.raises(StateError, match="left out or overtaken"):
        lake.lake.appended(uri, "bronze:orders", number, "the note of another commit")


def things(build, least=0, **block):
    said = {"source": "shop.thing", "watermark": "at", "latest_by": ["at"], "quarantine_limit": "100%", "history": True}
    columns = ["id string key", "amount int", "at timestamp required"]
    return build.contract(columns, [build.rule("enough", f"amount >= {least}")], **said | block)


@pytest.fixture
def held(house, build):
    """Two rows held, -1 and -2, and one taken."""

    def make(small):
        lake = house({"silver.thing": things(build)}, small_batch_rows=small)
        lake.bring(
            "thing", THINGS, [("a", 0, DAY[0], "upsert"), ("b", -1, DAY[0], "upsert"), ("c", -2, DAY[0], "upsert")]
        )
        lake.ok("silver")
        return lake

    return make


def taken(lake, table="thing"):
    return lake.rows("silver", table, "id, amount")


def statuses(lake, table="thing"):
    return lake.rows("quarantine", table, "key, status")


@BOTH_ROADS
@pytest.mark.parametrize("fresh", [False, NEW_ROWS], ids=["nothing new", "new rows"])
def test_a_cleared_replay_releases_what_passes_since(held, build, small, fresh):
    lake, run_id = held(small), f"replay-{small}-{fresh}"
    lake.write("silver.thing", things(build, -1), "1.1.0")
    assert lake.ok("silver", replay=True, attempt=(run_id, 1))["silver.thing"].ledger.inserted == 1
    lake.write("silver.thing", things(build, -2), "1.2.0")
    if fresh:
        lake.bring("thing", THINGS, [("d", 4, DAY[1], "upsert")])
    new = [("d", 4)] if fresh else []
    assert lake.ok("silver", replay=True, attempt=(run_id, 2))["silver.thing"].ledger.inserted == 1 + len(new)
    assert taken(lake) == taken(lake, "thing_history") == [("a", 0), ("b", -1), ("c", -2), *new]
    assert statuses(lake) == [("b", "released"), ("c", "released")]


@BOTH_ROADS
@pytest.mark.parametrize("where", [AFTER_SILVER, "audit.log.Audit.table_finished"])
def test_a_replay_whose_attempt_died_after_a_commit_takes_each_row_once(held, build, monkeypatch, small, where):
    lake, run_id = held(small), f"{where}-{small}"
    lake.write("silver.thing", things(build, -1), "1.1.0")
    crash(monkeypatch, lake, where, "silver", replay=True, attempt=(run_id, 1))
    committed = lake.versions()["silver/shop/thing"]
    lake.ok("silver", replay=True, attempt=(run_id, 2))
    assert lake.versions()["silver/shop/thing"] == committed
    assert taken(lake) == taken(lake, "thing_history") == [("a", 0), ("b", -1)]
    assert statuses(lake) == [("b", "released"), ("c", "quarantined")]


@BOTH_ROADS
def test_a_cleared_full_refresh_makes_the_table_anew_each_time_that_it_must(held, build, small):
    lake, run_id = held(small), f"refresh-{small}"
    for version, least in (("1.1.0", -2), ("1.2.0", -1), ("1.3.0", 0)):
        lake.write("silver.thing", things(build, least), version)
        lake.ok("silver", full_refresh=True, attempt=(run_id, 3 + least))
    assert taken(lake) == taken(lake, "thing_history") == [("a", 0)]


ITEMS = "id string, order_id string, at timestamp"


@pytest.fixture
def orphans(house, build):
    """Items i1 and i2 are held: their orders o1 and o2 are not there."""
    fed = {"watermark": "at", "latest_by": ["at"], "quarantine_limit": "100%"}
    parents = build.contract(["id string key", "at timestamp required"], source="shop.orders", **fed)
    columns = ["id string key", "order_id string -> orders.id", "at timestamp required"]
    said = fed | {"source": "shop.items", "orphans": {"order_id": "error"}, "history": True}

    def make(small):
        tables = {"silver.orders": parents, "silver.items": build.contract(columns, **said)}
        lake = house(tables, small_batch_rows=small)
        bring_parents(lake, "o0")
        bring_items(lake, 0, 1, 2)
        lake.ok("silver")
        return lake

    return make


def bring_parents(lake, *names):
    lake.bring("orders", "id string, at timestamp", [(name, DAY[0], "upsert") for name in names])


def bring_items(lake, *numbers):
    lake.bring("items", ITEMS, [(f"i{number}", f"o{number}", DAY[0], "upsert") for number in numbers])


def items(lake, table="items"):
    return [row[0] for row in lake.rows("silver", table, "id")]


@BOTH_ROADS
@pytest.mark.parametrize("fresh", [False, True], ids=["nothing new", "new rows"])
def test_a_cleared_run_takes_in_held_rows_whose_parents_have_come_since(orphans, small, fresh):
    lake, run_id = orphans(small), f"orphans-{small}-{fresh}"
    for number in (1, 2):
        bring_parents(lake, f"o{number}", f"o{number + 4}")
        if fresh:
            bring_items(lake, number + 4)
        lake.ok("silver", attempt=(run_id, number))
    more = ["i5", "i6"] if fresh else []
    assert items(lake) == items(lake, "items_history") == ["i0", "i1", "i2", *more]
    assert statuses(lake, "items") == [("i1", "released"), ("i2", "released")]


@BOTH_ROADS
@pytest.mark.parametrize("fresh", [False, NEW_ROWS], ids=["nothing new", "new rows"])
def test_held_rows_come_once_though_the_attempt_died_before_it_released_them(orphans, monkeypatch, small, fresh):
    lake, run_id = orphans(small), f"unreleased-{small}-{fresh}"
    bring_parents(lake, "o1", "o5")
    if fresh:
        bring_items(lake, 5)
    lake.ok("silver", tables=["orders"])
    where = "engine.silver_small.release" if small else "engine.silver_large.release"
    crash(monkeypatch, lake, where, "silver", tables=["items"], attempt=(run_id, 1))
    assert statuses(lake, "items")[0] == ("i1", "quarantined")
    lake.ok("silver", attempt=(run_id, 2))
    assert items(lake) == items(lake, "items_history") == ["i0", "i1", *(["i5"] if fresh else [])]
    assert statuses(lake, "items") == [("i1", "released"), ("i2", "quarantined")]
