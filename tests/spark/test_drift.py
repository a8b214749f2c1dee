"""A source whose columns change: what is taken without loss, and what stops the run with the column's name."""

from __future__ import annotations

import pytest

from lakehouse.errors import SchemaChanged, SourceError, SourceUnavailable

pytestmark = pytest.mark.postgres
COLUMNS = ["id int key", "amount decimal(12,2)", "name string", "updated_at timestamp required"]


@pytest.fixture
def shop(house, build, database, ask):
    ask("CREATE SCHEMA shop")
    ask("CREATE TABLE shop.t (id int, amount numeric(12,2), name varchar(9), updated_at timestamptz DEFAULT now())")
    ask("INSERT INTO shop.t VALUES (1, 1.50, 'one')")

    def make(**block):
        said = {"source": "shop.t", "watermark": "updated_at", "latest_by": ["updated_at"], "quarantine_limit": "100%"}
        made = house({"silver.t": build.contract(COLUMNS, **said | block)}, database)
        made.ok("bronze", "silver")
        return made

    return make


def test_an_added_column_comes_with_its_first_values(shop, ask):
    house = shop()
    ask("ALTER TABLE shop.t ADD colour text")
    ask("INSERT INTO shop.t VALUES (2, 2, 'two', now(), 'red')")
    (drift,) = house.ok("bronze", "silver")["bronze.t"].drift
    assert (drift.column, drift.kind, drift.after, drift.action) == ("colour", "added", "string", "evolve")
    assert house.rows("bronze", "t", "id, colour") == [(1, None), (2, "red")]
    assert house.rows("silver", "t", "id") == [(1,), (2,)]
    assert house.ok("bronze")["bronze.t"].drift == []


def test_a_widened_column_keeps_every_value_old_and_new(shop, ask, build):
    house = shop()
    ask("ALTER TABLE shop.t ALTER id TYPE bigint, ALTER amount TYPE numeric(14,2)")
    ask("INSERT INTO shop.t VALUES (5000000000, 999999999999.99, 'big'), (2, 2.25, 'two')")
    results = house.ok("bronze", "silver")
    kinds = sorted((each.column, each.kind, each.before, each.after) for each in results["bronze.t"].drift)
    assert kinds == [("amount", "widened", "decimal(12,2)", "decimal(14,2)"), ("id", "widened", "int", "bigint")]
    expected = [(1, "1.50"), (2, "2.25"), (5_000_000_000, "999999999999.99")]
    bronze = house.spark.read.format("delta").load(house.lake.uri("bronze", "t"))
    assert [tuple(row) for row in bronze.selectExpr("id", "string(amount)").orderBy("amount").collect()] == expected
    # The contract still says int: what does not fit is quarantined, neither wrapped nor made NULL.
    assert house.rows("silver", "t", "id, amount::VARCHAR") == expected[:2]
    ((reasons,),) = house.rows("quarantine", "t", "[r.rule FOR r IN reasons]")
    assert {"id_type", "amount_type"} <= set(reasons)
    ask("INSERT INTO shop.t VALUES (3, 3, 'three')")
    assert house.ok("bronze", "silver")["silver.t"].ledger.inserted == 1
    assert house.ok("bronze", full_refresh=True)["bronze.t"].ledger.inserted == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("ALTER TABLE shop.t ALTER amount TYPE numeric(10,2)", r"amount changed \(decimal\(12,2\) → decimal\(10,2\)\)"),
        ("ALTER TABLE shop.t ALTER id TYPE smallint", r"id changed \(int → smallint\)"),
        ("ALTER TABLE shop.t ALTER id TYPE text", r"id changed \(int → string\)"),
        ("ALTER TABLE shop.t RENAME name TO names", "lacks name.*names"),
        ("ALTER TABLE shop.t DROP amount", "lacks amount"),
    ],
)  # fmt: skip
def test_what_would_lose_stops_with_the_name_of_the_column(shop, ask, change, told):
    house = shop()
    before = house.versions()
    ask(change)
    ask("INSERT INTO shop.t (id) VALUES (2)")
    error = house.run("bronze", "silver").failures["shop.bronze.t"]
    assert isinstance(error, SchemaChanged)
    with pytest.raises(SchemaChanged, match=told):
        raise error
    assert house.versions() == before


def test_a_dropped_column_that_the_contract_does_not_name_stops_too(shop, ask):
    ask("ALTER TABLE shop.t ADD spare text")
    house = shop()
    ask("ALTER TABLE shop.t DROP spare")
    with pytest.raises(SchemaChanged, match="spare removed"):
        house.ok("bronze")


def test_freeze_takes_no_change_at_all(shop, ask):
    house = shop(schema_change="freeze")
    ask("ALTER TABLE shop.t ADD colour text")
    with pytest.raises(SchemaChanged, match=r"colour added.*nothing \(schema_change: freeze\)"):
        house.ok("bronze")


def test_a_vanished_table_is_named_with_those_that_are_there(shop, ask):
    house = shop()
    before = house.versions()
    ask("ALTER TABLE shop.t RENAME TO s")
    with pytest.raises(SourceError, match=r"no table shop\.t.*Allowed: s"):
        house.ok("bronze")
    assert house.versions() == before


def test_a_wrong_password_and_a_source_that_is_away_say_so_without_the_secret(house, build, database):
    said = {"source": "shop.t", "watermark": "updated_at", "latest_by": ["updated_at"]}
    user, _, address = database.partition("@")
    wrong = f"{user.rpartition(':')[0]}:canary-password@{address}"
    with pytest.raises(SourceError, match="password authentication failed") as refused:
        house({"silver.t": build.contract(COLUMNS, **said)}, wrong).ok("bronze")
    away = "postgresql://u:canary-password@127.0.0.1:1/none"
    with pytest.raises(SourceUnavailable) as absent:
        house({"silver.t": build.contract(COLUMNS, **said)}, away).ok("bronze")
    assert absent.value.heals
    assert "canary" not in str(refused.value) + str(absent.value)
