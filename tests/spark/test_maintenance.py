"""Maintenance: what readers and later runs need stays as it was, the rest goes, and nothing is done twice."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import psycopg2
import pytest
import yaml
from deltalake import DeltaTable

from lakehouse.changes.place import place_of
from lakehouse.engine.compact import compaction
from lakehouse.errors import LakehouseError, LeaseHeld, StateError
from lakehouse.maintenance.kept import Kept
from lakehouse.maintenance.run import maintain, maintenance, surveys
from lakehouse.maintenance.survey import survey
from lakehouse.publish.store import kept

SCHEMA = "id string, n int, at timestamp"
DAY = datetime(2018, 2, 17, tzinfo=UTC)
TOTALS = "SELECT id, sum(n) AS n FROM thing GROUP BY id"
NOW = {"slaProperties": [{"property": "retention", "value": 0, "unit": "d"}]}
KEPT = 2


@pytest.fixture
def shop(house, build, monkeypatch):
    """A Silver table and a Gold table, both without any retention; four small files pay, two publications are kept."""
    monkeypatch.setattr("lakehouse.maintenance.survey.SMALL_FILES", 4)
    columns = ["id string key", "n int", "at timestamp required"]
    thing = build.contract(columns, source="shop.thing", watermark="at", latest_by=["at"])
    block = {"kind": "incremental", "rebuild_by": "id", "inputs": {"thing": {"column": "id"}}}
    total = build.contract(["id string key", "n bigint"], **block)
    made = house({"silver.thing": thing | NOW, "gold.total": (total | NOW, TOTALS)})
    head = made.pipeline / "pipeline.yaml"
    head.write_text(yaml.safe_dump(yaml.safe_load(head.read_text()) | {"keep_publications": KEPT}))
    return made


def bring(house, number: int) -> None:
    """One batch: a new key, and a new value of the key before it."""
    at = DAY + timedelta(minutes=number)
    rows = [(f"k{number}", number, at, "upsert"), (f"k{number - 1}", 100 + number, at, "upsert")]
    house.bring("thing", SCHEMA, rows)


def expected(batches: int) -> dict[str, int]:
    """What the newest rows are after so many batches, from 1 on: each overwrites the key before its own."""
    return {f"k{number}": 101 + number if number < batches else number for number in range(batches + 1)}


def new_id() -> str:
    return f"maintain-{uuid.uuid4().hex}"


def care(house):
    with compaction(house.settings, house.catalog, house.spark) as compact:
        return {each.table: each for each in maintain(house.settings, house.catalog, new_id(), compact)}


def read(house, layer: str, table: str, version: int) -> dict[str, int]:
    """Read a version by another engine than the one that wrote it."""
    connection = duckdb.connect()
    connection.register("rows", DeltaTable(house.lake.uri(layer, table), version=version).scan())
    return dict(connection.execute("SELECT id, n FROM rows").fetchall())


def publish(house, batches: range) -> dict[int, dict[str, int]]:
    """Publish after each batch; return the versions of each publication by the number of its batch."""
    found = {}
    for number in batches:
        bring(house, number)
        house.ok("silver", "gold", publish=True)
        found[number] = kept(house.settings, "shop", 1)[0].tables
    return found


def test_kept_publications_stay_readable_and_all_else_goes(shop):
    published = publish(shop, range(1, 6))
    planned = {table.name: found for table, found in surveys(shop.settings, shop.catalog)}
    before = shop.versions()
    assert planned["shop.silver.thing"].pays
    assert planned["shop.bronze.thing"].small == planned["shop.bronze.thing"].files >= 5
    assert shop.versions() == before
    done = care(shop)
    assert {name for name, each in done.items() if each.before.pays} >= {"shop.silver.thing", "shop.bronze.thing"}
    assert done["shop.silver.thing"].after.files == 1
    assert [each.number for each in kept(shop.settings, "shop", 99)] == [5, 4]
    for number in (4, 5):
        assert read(shop, "silver", "thing", published[number]["shop.silver.thing"]) == expected(number)
        assert read(shop, "gold", "total", published[number]["shop.gold.total"]) == expected(number)
    shop.delta("silver", "thing").create_checkpoint()
    published |= publish(shop, range(6, 8))
    done = care(shop)
    assert done["shop.silver.thing"].before.freed > 0
    for number in (6, 7):
        assert read(shop, "silver", "thing", published[number]["shop.silver.thing"]) == expected(number)
        assert read(shop, "gold", "total", published[number]["shop.gold.total"]) == expected(number)
    with pytest.raises(Exception, match=r"No such file|not found|No files in log"):
        read(shop, "silver", "thing", published[5]["shop.silver.thing"])
    log = Path(shop.lake.uri("silver", "thing")) / "_delta_log"
    assert min(int(path.name[:20]) for path in log.glob("*.json")) == published[5]["shop.silver.thing"] + 1
    publish(shop, range(8, 9))
    assert dict(shop.rows("gold", "total", "id, n")) == expected(8)


def test_a_table_made_anew_has_not_the_versions_that_were_published_of_the_one_before(shop):
    publish(shop, range(1, 4))
    shutil.rmtree(shop.lake.uri("silver", "thing"))
    publish(shop, range(4, 5))
    assert care(shop)["shop.silver.thing"].error is None
    assert dict(shop.rows("silver", "thing", "id, n")) == expected(4)


def test_a_run_after_it_finds_nothing_new_and_the_next_changes_come_through(shop):
    for number in range(1, 6):
        bring(shop, number)
        shop.ok("silver", "gold")
    care(shop)
    before = shop.versions()
    assert {result.status for result in shop.ok("silver", "gold").values()} == {"SKIPPED"}
    assert shop.versions() == before
    bring(shop, 6)
    results = shop.ok("silver", "gold")
    assert (results["silver.thing"].ledger.inserted, results["silver.thing"].ledger.updated) == (1, 1)
    assert results["gold.total"].ledger.rows_in == 2
    assert dict(shop.rows("gold", "total", "id, n")) == expected(6)
    assert not any(each.before.pays for each in care(shop).values())


def test_changes_that_a_table_has_still_to_take_in_are_kept(shop):
    bring(shop, 1)
    shop.ok("silver", "gold")
    for number in range(2, 7):
        bring(shop, number)
        shop.ok("silver")
    done = care(shop)
    assert done["shop.silver.thing"].before.pays
    shop.ok("gold")
    assert dict(shop.rows("gold", "total", "id, n")) == expected(6)
    assert done["shop.silver.thing"].before.first == 0


def test_a_file_that_no_commit_names_goes_when_it_is_a_day_old(shop):
    bring(shop, 1)
    shop.ok("silver", "gold")
    uri = shop.lake.uri("silver", "thing")
    young, old = (Path(uri) / f"part-{name}.parquet" for name in ("young", "old"))
    for path, age in ((young, timedelta(hours=23)), (old, timedelta(hours=25))):
        path.write_bytes(b"never committed")
        os.utime(path, (time.time() - age.total_seconds(),) * 2)
    found = survey(place_of(shop.settings, uri), 0, Kept("t", uri, timedelta(days=7)), datetime.now(UTC))
    assert found.obsolete == (old.name,)


def test_a_table_that_cannot_be_read_keeps_no_other_from_care_and_the_audit_says_so(shop, audit_url):
    for number in range(1, 5):
        bring(shop, number)
        shop.ok("silver", "gold")
    broken = Path(shop.lake.uri("gold", "total"))
    next(broken.glob("*.parquet")).unlink()
    run_id = new_id()
    with (
        compaction(shop.settings, shop.catalog, shop.spark) as compact,
        pytest.raises(LakehouseError, match="gold/shop/total"),
    ):
        maintain(shop.settings, shop.catalog, run_id, compact)
    with closing(psycopg2.connect(audit_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT table_name, status FROM audit.run_logs WHERE run_id = %s", (run_id,))
        rows = dict(cursor.fetchall())
        cursor.execute("SELECT status FROM audit.runs WHERE run_id = %s", (run_id,))
        assert cursor.fetchall() == [("FAILED",)]
    assert rows["shop.gold.total"] == "FAILED"
    assert rows["shop.silver.thing"] == "SUCCESS"


def test_it_waits_for_no_run_and_no_run_for_it(shop):
    with (
        maintenance(shop.settings, shop.catalog, new_id(), 1, 0),
        pytest.raises(LeaseHeld, match="held"),
    ):
        shop.ok("silver", "gold")


def test_a_table_that_was_put_back_is_left_for_the_next_run_to_see(shop):
    for number in range(1, 6):
        bring(shop, number)
        shop.ok("silver", "gold", publish=True)
    shop.delta("bronze", "thing").restore(2)
    before = shop.versions()["bronze/shop/thing"]
    with pytest.raises(StateError, match="put back to an older version"):
        care(shop)
    assert shop.versions()["bronze/shop/thing"] == before
    with pytest.raises(StateError, match="put back to an older version"):
        shop.ok("silver")
