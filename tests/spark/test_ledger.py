"""A row that is lost on the way, by whatever mistake of ours, is missed: no figure of the ledger is a remainder."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from lakehouse.engine import bronze, delta, silver_large, silver_small
from lakehouse.errors import LedgerUnbalanced

SCHEMA = "id string, n int, at timestamp"
DAY = datetime(2018, 1, 1, tzinfo=UTC)
ROWS = [("a", 1), ("b", 2), ("b", 3), ("c", 4), ("d", -1)]


@pytest.fixture
def shop(house, build, database):
    columns = ["id string key", "n int", "at timestamp required"]
    block = {"source": "shop.thing", "watermark": "at", "latest_by": ["at"], "quarantine_limit": "100%"}
    contract = build.contract(columns, [build.rule("positive", "n > 0")], **block)

    def make(small, bring=True):
        lake = house({"silver.thing": contract}, database, small_batch_rows=small)
        if bring:
            lake.bring("thing", SCHEMA, [(*row, DAY, "upsert") for row in ROWS])
        return lake

    return make


def losing(monkeypatch, module, name, lose):
    """Have a function of a module give what `lose` leaves of it."""
    whole = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *given, **named: lose(whole(*given, **named)))


def lost_by_the_judge(found):
    return found[0].slice(1), found[1]


def lost_by_the_decision(decision):
    return replace(decision, inserted=decision.inserted.slice(1))


@pytest.mark.parametrize(("name", "lose"), [("_judged", lost_by_the_judge), ("decide", lost_by_the_decision)])
def test_a_row_that_the_driver_loses_fails_the_run_before_its_commit(shop, monkeypatch, name, lose):
    lake = shop(2_000_000)
    losing(monkeypatch, silver_small, name, lose)
    with pytest.raises(LedgerUnbalanced):
        lake.ok("silver")
    assert lake.lake.open(lake.lake.uri("silver", "thing")) is None
    monkeypatch.undo()
    ledger = lake.ok("silver")["silver.thing"].ledger
    assert (ledger.rows_in, ledger.inserted, ledger.duplicate, ledger.quarantined) == (5, 3, 1, 1)


@pytest.mark.parametrize("first", [True, False])
def test_a_row_that_spark_loses_fails_the_run(shop, monkeypatch, first):
    lake = shop(0)
    if not first:
        assert lake.ok("silver")["silver.thing"].ledger.inserted == 3
        lake.bring("thing", SCHEMA, [(f"new {key}", n, DAY, "upsert") for key, n in ROWS])
    losing(monkeypatch, silver_large, "with_hash", lambda rows: rows.where("id NOT LIKE '%a'"))
    with pytest.raises(LedgerUnbalanced):
        lake.ok("silver")


def test_a_row_that_is_lost_on_its_way_into_bronze_fails_the_run(shop, monkeypatch, ask):
    ask("CREATE SCHEMA shop")
    ask("CREATE TABLE shop.thing (id text, n int, at timestamptz DEFAULT now())")
    ask("INSERT INTO shop.thing SELECT 'a' || n, n FROM generate_series(1, 3) AS n")
    lake, append = shop(0, bring=False), delta.append
    monkeypatch.setattr(
        bronze.delta, "append", lambda rows, *given, **named: append(rows.where("id <> 'a1'"), *given, **named)
    )
    with pytest.raises(LedgerUnbalanced, match="rows in 3 is not inserted 2"):
        lake.ok("bronze")
