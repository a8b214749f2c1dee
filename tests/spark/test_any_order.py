"""The same changes in any order, split and repetition end in the same tables: Silver, quarantine, ledger, dimension.

Each lake is one order of arrival of the same thousands of small histories, run by the engine batch by batch.
"""

from __future__ import annotations

import random
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pytest

KEYS = 1_000
SCHEMA = "id string, at timestamp, tie int, value string, number int"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# What is rejected again is seen again: only that is written.
QUARANTINE = {"quarantine/shop/thing"}
# Batches of each lake, and whether the driver may do what is small or Spark does it all.
LAKES = ((3, {}), (2, {"small_batch_rows": 0}))


def contracts(build):
    columns = ["id string key", "at timestamp required", "tie int", "value string", "number int"]
    rule = build.rule("not_negative", "number IS NULL OR number >= 0")
    silver = build.contract(
        columns, [rule], source="shop.thing", watermark="at", latest_by=["at", "tie"], deletes="key-scan",
        quarantine_limit="100%", history=True,
    )  # fmt: skip
    dim = build.contract(
        ["thing_key bigint key", "id string required", "value string", "number int",
         "valid_from timestamp required", "valid_to timestamp", "is_current boolean required"],
        kind="scd2", changes_of="thing", key=["id"], sequence_by=["at", "tie"], surrogate="thing_key",
    )  # fmt: skip
    return {"silver.thing": silver, "gold.dim_thing": (dim, "SELECT id, value, number, at, tie, _deleted FROM thing")}


def changes(models):
    """Histories with deletes, returns and invalid versions; no two different changes of a key share a place."""
    model, made, chance = models("latest_model"), models("histories"), random.Random(7)
    rows = []
    for key in range(KEYS):
        for at in chance.sample(made.MOMENTS, chance.randint(1, 5)):
            if chance.random() < 0.2:
                rows.append(model.Row(f"k{key}", at, None, deleted=True))
            else:
                value, number = chance.choice(("x", "y", "", None)), chance.choice((-1, 0, 1, None))
                rows.append(model.Row(f"k{key}", at, chance.randrange(2), value, number))
    return rows


def brought(row):
    at = EPOCH + timedelta(microseconds=row.at)
    return row.key, at, row.tie, row.value, row.number, "delete" if row.deleted else "upsert"


@pytest.fixture(scope="module")
def lakes(module_house, build, models):
    """Lakes with their models, every batch of every arrival run; ledgers are compared on the way."""
    made = []
    rows = changes(models)
    for seed, (batches, settings) in enumerate(LAKES):
        house, silver = module_house(contracts(build), **settings), models("latest_model").Silver()
        for batch in models("histories").arrivals(random.Random(seed), rows, batches):
            house.bring("thing", SCHEMA, map(brought, batch))
            results = house.ok("silver", "gold")
            ledger = asdict(results["silver.thing"].ledger)
            made.append((house, silver, ledger, silver.take(batch)))
    return made


def test_every_batch_has_the_ledger_of_the_model(lakes):
    for _, _, ledger, expected in lakes:
        assert ledger == {name: expected[name] for name in ledger}
        assert ledger["rows_in"] == sum(count for name, count in ledger.items() if name != "rows_in")


def test_every_order_ends_in_the_same_silver_table_and_quarantine(lakes):
    for house, silver in ends(lakes):
        found = house.rows("silver", "thing", 'id, epoch_us("at"), tie, value, number')
        assert differences(found, map(shown, silver.table)) == []
        held = sorted(key for (key,) in house.rows("quarantine", "thing", "key"))
        assert held == sorted(row.key for row in silver.quarantine)


def test_every_order_ends_in_the_same_dimension(lakes, models):
    scd2 = models("scd2_model")
    tables = []
    for house, _ in ends(lakes):
        columns = "id, epoch_us(valid_from), epoch_us(valid_to), is_current, value, number, thing_key"
        tables.append([row for row in house.rows("gold", "dim_thing", columns) if row[-1] != -1])
    histories = {}
    for row in changes(models):
        if row.valid:
            change = scd2.Change(row.at, -1 if row.tie is None else row.tie, (row.value, row.number), None, row.deleted)
            histories.setdefault(row.key, []).append(change)
    expected = []
    for key, history in histories.items():
        (table,) = scd2.admissible(history, scd2.Rules())
        expected += [(key, v.begin, v.end, v.end is None, *v.tracked, scd2.surrogate(key, v.begin)) for v in table]
    for table in tables:
        assert differences(table, expected) == []


def test_judging_all_of_bronze_again_writes_nothing(lakes):
    house, silver = next(iter(ends(lakes)))
    before, versions = house.rows("silver", "thing"), house.versions()
    history = len(house.rows("silver", "thing_history", "id"))
    results = house.ok("silver", "gold", full_refresh=True)
    ledger = results["silver.thing"].ledger
    assert (ledger.inserted, ledger.updated, ledger.deleted) == (0, 0, 0)
    assert ledger.unchanged == len(silver.table)
    assert house.rows("silver", "thing") == before
    assert len(house.rows("silver", "thing_history", "id")) == history
    assert results["gold.dim_thing"].ledger.unchanged == results["gold.dim_thing"].ledger.rows_in
    assert {name for name in versions if versions[name] != house.versions()[name]} <= QUARANTINE


def ends(lakes):
    return {id(house): (house, silver) for house, silver, _, _ in lakes}.values()


def shown(row):
    return row.key, row.at, row.tie, row.value, row.number


def differences(found, expected):
    """Rows of one side only, a few of them: what a person wants to see."""
    one, other = set(found), set(expected)
    assert len(found) == len(one), "a row stands twice"
    told = [("engine", row) for row in one - other] + [("model", row) for row in other - one]
    return sorted(told, key=lambda each: (each[1][0], str(each)))[:8]
