"""A contract that gets other columns: its table is made anew from Bronze, and so is what is made from it."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lakehouse.engine import silver_small
from lakehouse.errors import StateError

# Where both roads are the same, for the table is made anew.
BY_DRIVER = pytest.mark.parametrize("loaded", [2_000_000], indirect=True, ids=["driver"])
SCHEMA = "id string, n int, m int, at timestamp"
DAY = datetime(2018, 2, 17, tzinfo=UTC)
BY_KEY = {"kind": "incremental", "rebuild_by": "id", "inputs": {"thing": {"column": "id"}}}
VERSIONS = {"kind": "scd2", "changes_of": "thing", "key": ["id"], "sequence_by": ["at"], "deletes": "close",
            "surrogate": "thing_key"}  # fmt: skip


def thing(build, *columns):
    return build.contract(
        ["id string key", *columns, "at timestamp required"],
        source="shop.thing",
        watermark="at",
        latest_by=["at"],
        history=True,
    )


def dim(build, column: str):
    columns = ["thing_key bigint key", "id string", f"{column} int", "valid_from timestamp", "valid_to timestamp",
               "is_current boolean"]  # fmt: skip
    return build.contract(columns, **VERSIONS), f"SELECT id, {column}, at, _deleted FROM thing"


def at(minute: int) -> datetime:
    return DAY + timedelta(minutes=minute)


@pytest.fixture(scope="module", params=[2_000_000, pytest.param(0, marks=pytest.mark.daily)], ids=["driver", "spark"])
def loaded(request, module_house, build):
    total = build.contract(["id string key", "n bigint"], **BY_KEY)
    made = module_house(
        {
            "silver.thing": thing(build, "n int"),
            "gold.total": (total, "SELECT id, CAST(n AS BIGINT) AS n FROM thing"),
            "gold.dim_thing": dim(build, "n"),
        },
        small_batch_rows=request.param,
    )
    made.bring("thing", SCHEMA, [("a", 1, 10, at(1), "upsert"), ("b", 2, 20, at(1), "upsert")])
    made.bring("thing", SCHEMA, [("a", 3, 30, at(2), "upsert"), ("b", 2, 20, at(2), "delete")])
    made.bring("thing", SCHEMA, [("c", -5, 50, at(2), "upsert")])
    made.ok("silver", "gold")
    return made


@pytest.fixture
def shop(loaded, tmp_path):
    return loaded.copy(tmp_path / "copy")


def test_columns_come_and_go_with_the_contract(shop, build):
    shop.write("silver.thing", thing(build, "m smallint"), "2.0.0")
    total = build.contract(["id string key", "m bigint"], **BY_KEY)
    shop.write("gold.total", (total, "SELECT id, CAST(m AS BIGINT) AS m FROM thing"), "2.0.0")
    shop.write("gold.dim_thing", dim(build, "m"), "2.0.0")
    results = shop.ok("silver", "gold")
    assert results["silver.thing"].note == "its columns changed: made anew from Bronze"
    ledger = results["silver.thing"].ledger
    assert (ledger.rows_in, ledger.inserted, ledger.stale + ledger.duplicate) == (5, 2, 3)
    assert shop.rows("silver", "thing", "id, m") == [("a", 30), ("c", 50)]
    assert shop.rows("gold", "total", "id, m") == [("a", 30), ("c", 50)]
    assert shop.rows("gold", "dim_thing", "id, m, is_current", "id NULLS FIRST, m")[1:] == [
        ("a", 10, False), ("a", 30, True), ("b", 20, False), ("c", 50, True),
    ]  # fmt: skip
    assert "n" not in [field.name for field in shop.delta("gold", "total").schema().fields]
    assert {result.status for result in shop.ok("silver", "gold").values()} == {"SKIPPED"}
    shop.bring("thing", SCHEMA, [("a", 9, 90, at(3), "upsert")])
    assert shop.ok("silver", "gold")["gold.total"].ledger.updated == 1
    assert shop.rows("gold", "total", "id, m") == [("a", 90), ("c", 50)]


@BY_DRIVER
def test_a_table_whose_input_got_other_columns_is_computed_from_all_of_it(shop, build):
    shop.write("silver.thing", thing(build, "n int", "m int"), "1.1.0")
    assert shop.ok("silver", "gold")["gold.total"].ledger.unchanged == 2
    shop.bring("thing", SCHEMA, [("c", 6, 60, at(3), "upsert")])
    shop.ok("silver", "gold")
    assert shop.rows("silver", "thing", "id, n, m") == [("a", 3, 30), ("c", 6, 60)]
    assert shop.rows("gold", "total", "id, n") == [("a", 3), ("c", 6)]


@BY_DRIVER
def test_a_contract_that_gets_another_key_makes_its_table_anew_also_after_maintenance(shop, build):
    """By the id alone "a" is one row; by the id and its moment it is two, and so back again."""
    wider = thing(build, "n int", "m int")
    by_both = build.contract(["id string key", "n int", "m int", "at timestamp key"], **wider["block"])
    shop.write("silver.thing", wider, "2.0.0")
    shop.ok("silver")
    shop.delta("silver", "thing").optimize.compact()
    for version, said, rows in (
        ("3.0.0", by_both, [("a", 1), ("a", 3), ("b", 2), ("c", -5)]),
        ("4.0.0", wider, [("a", 3), ("c", -5)]),
    ):
        shop.write("silver.thing", said, version)
        assert shop.ok("silver")["silver.thing"].note == "its key changed: made anew from Bronze"
        assert shop.rows("silver", "thing", "id, n") == rows
        assert shop.ok("silver")["silver.thing"].status == "SKIPPED"


def versions_of(shop, name: str):
    return shop.rows("gold", name, "id, n, valid_from, is_current", "id NULLS FIRST, valid_from")[1:]


@BY_DRIVER
def test_a_history_that_was_lost_is_made_anew_and_so_are_the_versions_of_members(shop):
    expected, history = versions_of(shop, "dim_thing"), shop.rows("silver", "thing_history", "id, n, _deleted")
    shutil.rmtree(shop.lake.uri("silver", "thing_history"))
    shop.bring("thing", SCHEMA, [("c", 6, 50, at(3), "upsert")])
    result = shop.ok("silver", "gold")["silver.thing"]
    assert result.note == "its history lacks changes: made anew from Bronze"
    assert shop.rows("silver", "thing_history", "id, n, _deleted") == sorted([*history, ("c", 6, False)])
    assert versions_of(shop, "dim_thing") == [*expected[:-1], (*expected[-1][:3], False), ("c", 6, at(3), True)]
    assert {each.status for each in shop.ok("silver", "gold").values()} == {"SKIPPED"}


def test_a_history_that_is_asked_for_later_begins_with_the_first_change(house, build):
    with_history, plain = thing(build, "n int"), thing(build, "n int")
    plain["block"]["history"] = False
    made = house({"silver.thing": plain})
    made.bring("thing", SCHEMA, [("a", 1, 10, at(1), "upsert")])
    made.ok("silver")
    for version, said in enumerate((with_history, plain, with_history), start=2):
        made.write("silver.thing", said, f"{version}.0.0")
        made.bring("thing", SCHEMA, [("a", version, 10, at(version), "upsert")])
        made.ok("silver")
    assert made.rows("silver", "thing_history", "id, n") == [("a", 1), ("a", 2), ("a", 3), ("a", 4)]


def test_changes_of_an_attempt_that_ended_are_in_the_history_once(shop, monkeypatch):
    before = shop.rows("silver", "thing_history", "id, n, _deleted")
    shop.bring("thing", SCHEMA, [("c", 7, 50, at(3), "upsert")])
    road = "silver_small.commit_change" if shop.settings.small_batch_rows else "silver_large._merge"
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        if shop.settings.small_batch_rows:
            commit = silver_small.commit_change
            patch.setattr(
                f"lakehouse.engine.{road}",
                lambda held, *rest: commit(held, *rest) if "history" in held.place.uri else 1 / 0,
            )
        else:
            patch.setattr(f"lakehouse.engine.{road}", lambda *_: 1 / 0)
        shop.ok("silver")
    shop.bring("thing", SCHEMA, [("d", 8, 50, at(4), "upsert")])
    shop.ok("silver")
    assert shop.rows("silver", "thing_history", "id, n, _deleted") == sorted(
        [*before, ("c", 7, False), ("d", 8, False)]
    )


@BY_DRIVER
def test_a_bronze_table_that_was_made_anew_is_no_table_without_changes(shop):
    shutil.rmtree(shop.lake.uri("bronze", "thing"))
    shop.bring("thing", SCHEMA, [("z", 1, 1, at(5), "upsert")])
    for _ in range(3):
        shop.bring("thing", SCHEMA, [("y", 1, 1, at(5), "upsert")])
    with pytest.raises(StateError, match="after Silver's newest commit") as caught:
        shop.ok("silver")
    for place in (shop.lake.uri("silver", "thing"), shop.lake.uri("silver", "thing_history")):
        assert place in str(caught.value)
        shutil.rmtree(place)
    shop.ok("silver")
    assert shop.rows("silver", "thing", "id") == [("y",), ("z",)]


def forget(shop, *tables: str) -> None:
    """Move tables away, as the error of a damaged log tells people to."""
    for table in tables:
        shutil.rmtree(shop.lake.uri("silver", table))


def dim_rows(shop):
    return shop.rows("gold", "dim_thing", "id, n, is_current", "id NULLS FIRST, valid_from")[1:]


@pytest.mark.parametrize("runs_before", [pytest.param(0, marks=pytest.mark.daily), 3])
@BY_DRIVER
def test_a_silver_table_that_was_made_anew_is_read_whole(shop, runs_before):
    for minute in range(3, 3 + runs_before):
        shop.bring("thing", SCHEMA, [("c", minute, 0, at(minute), "upsert")])
        shop.ok("silver", "gold")
    shop.bring("thing", SCHEMA, [("a", 7, 70, at(8), "upsert"), ("c", 8, 80, at(8), "delete")])
    forget(shop, "thing", "thing_history")
    shop.ok("silver", "gold")
    assert shop.delta("silver", "thing").version() == 0
    assert shop.rows("gold", "total", "id, n") == [("a", 7)]
    assert ("a", 7, True) in dim_rows(shop)
    shop.bring("thing", SCHEMA, [("a", 9, 90, at(9), "upsert"), ("d", 4, 40, at(9), "upsert")])
    assert shop.ok("silver", "gold")["gold.total"].ledger.rows_in == 2
    assert shop.rows("gold", "total", "id, n") == [("a", 9), ("d", 4)]
    incremental = dim_rows(shop)
    shop.ok("silver", "gold", full_refresh=True)
    assert (dim_rows(shop), len(incremental) >= 7) == (incremental, True)
    assert {result.status for result in shop.ok("silver", "gold").values()} == {"SKIPPED"}


@BY_DRIVER
def test_progress_without_ids_of_inputs_still_counts_and_is_checked_by_versions(shop):
    shop.bring("thing", SCHEMA, [("c", 3, 0, at(3), "upsert")])
    shop.ok("silver", "gold")
    for path in Path(shop.settings.table_uri("ops")).rglob("inputs/*/*.json"):
        record = json.loads(path.read_text())
        del record["ids"]
        path.write_text(json.dumps(record))
    assert {result.status for result in shop.ok("silver", "gold").values()} == {"SKIPPED"}
    shop.bring("thing", SCHEMA, [("a", 7, 70, at(8), "upsert")])
    forget(shop, "thing", "thing_history")
    shop.ok("silver", "gold")
    assert shop.rows("gold", "total", "id, n") == [("a", 7), ("c", 3)]
