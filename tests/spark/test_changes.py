"""Commits that the driver makes are Delta: Spark and deltalake read them, and Spark writes on top of them."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import functions as F  # noqa: N812

from lakehouse.changes.compact import compact
from lakehouse.changes.definition import new_table
from lakehouse.changes.feed import CHANGE_TYPE, NotReadable, changed_rows
from lakehouse.changes.files import FILE, ROW, is_plain, snapshot
from lakehouse.changes.write import Change, Commit, commit_change
from lakehouse.engine import delta
from lakehouse.errors import StateError
from lakehouse.lake import Lake

SCHEMA = pa.schema(
    [
        ("id", pa.string()), ("n", pa.int32()), ("tiny", pa.int8()), ("price", pa.decimal128(12, 2)),
        ("at", pa.timestamp("us", "UTC")), ("wall", pa.timestamp("us")), ("day", pa.date32()), ("ok", pa.bool_()),
        ("reasons", pa.list_(pa.struct([("rule", pa.string()), ("value", pa.string())]))),
        ("origin", pa.struct([("source", pa.string()), ("at", pa.timestamp("us", "UTC"))])),
    ]
)  # fmt: skip


def made(number: int, n: int | None) -> dict[str, object]:
    """A row whose text columns are long, empty, NULL, and beyond the basic plane."""
    at = datetime(1900 + number % 300, 1, 2, 3, 4, 5, 678901, UTC)
    text = ["x" * 40 + str(number), "", f"\U0010ffff{number}", 'São\n"Paulo"'][number % 4]
    return {
        "id": f"k{number}", "n": n, "tiny": number % 100, "price": Decimal(number) / 100, "at": at,
        "wall": at.replace(tzinfo=None), "day": at.date(), "ok": None if number % 3 else True,
        "reasons": [{"rule": text, "value": None}] if number % 2 else [], "origin": {"source": text, "at": at},
    }  # fmt: skip


def arrow(rows: list[dict[str, object]]) -> pa.Table:
    return pa.Table.from_pylist(rows, SCHEMA)


@pytest.fixture
def place(house, build):
    """Settings, a lake and the address of a table that is not there yet."""
    lake = house({"silver.thing": build.contract(["id string key", "at timestamp required"], source="shop.thing",
                                                 watermark="at", latest_by=["at"])})  # fmt: skip
    return lake.settings, lake.lake, lake.lake.uri("silver", "made")


def opened(settings, lake: Lake, uri: str):
    table = lake.open(uri)
    assert table is not None
    assert is_plain(table)
    return snapshot(settings, table, uri)


def test_random_changes_are_what_every_reader_finds(place, spark):
    settings, lake, uri = place
    chance = random.Random(3)
    rows = {number: made(number, 0) for number in range(300)}
    none = new_table(settings, uri, SCHEMA)
    commit_change(none, Change.appending(arrow(list(rows.values())), none), Commit("app", 0))
    for round_ in range(1, 13):
        now = opened(settings, lake, uri)
        touched = chance.sample(sorted(rows), 60)
        updated, deleted = touched[:40], touched[40:]
        held = now.read(among={"id": pa.array([f"k{number}" for number in touched])}).to_pylist()
        places = {row["id"]: row for row in held}
        before = pa.Table.from_pylist([places[f"k{number}"] for number in updated], now.none().schema)
        gone = pa.Table.from_pylist([places[f"k{number}"] for number in deleted], now.none().schema)
        fresh = {1000 * round_ + number: made(1000 * round_ + number, round_) for number in range(20)}
        after = {number: made(number, round_) for number in updated}
        change = Change(arrow(list(fresh.values())), arrow(list(after.values())), before, gone)
        assert commit_change(now, change, Commit("app", round_, "{}")) == round_
        rows = {**rows, **after, **fresh}
        for number in deleted:
            del rows[number]
        feed = changed_rows(now.place, now.schema, round_, round_).column(CHANGE_TYPE).to_pylist()
        assert {kind: feed.count(kind) for kind in set(feed)} == {
            "insert": 20, "update_preimage": 40, "update_postimage": 40, "delete": 20,
        }  # fmt: skip
        if round_ == 6:
            lake.open(uri).create_checkpoint()
    expected = sorted((row["id"], row["n"]) for row in rows.values())
    by_driver = opened(settings, lake, uri).read().drop_columns([FILE, ROW]).to_pylist()
    assert sorted((row["id"], row["n"]) for row in by_driver) == expected
    assert {row["id"]: row for row in by_driver} == {row["id"]: row for row in arrow(list(rows.values())).to_pylist()}
    by_spark = delta.read(spark, uri).toArrow().to_pylist()
    assert {row["id"]: row for row in by_spark} == {row["id"]: row for row in by_driver}
    by_deltalake = pa.table(lake.open(uri).scan(columns=["id", "n"])).to_pylist()
    assert sorted((row["id"], row["n"]) for row in by_deltalake) == expected
    feed = delta.read_changes(spark, uri, 3, 9).groupBy("_change_type").count().collect()
    assert {row[0]: row[1] for row in feed} == {
        "insert": 140,
        "update_preimage": 280,
        "update_postimage": 280,
        "delete": 140,
    }
    assert lake.open(uri).transaction_version("app") == 12


AWKWARD = pa.schema([("n", pa.int32()), ("text", pa.string()), ("big", pa.decimal128(38, 2)), ("real", pa.float64()),
                     ("at", pa.timestamp("us", "UTC"))])  # fmt: skip
LAST = datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)
VALUES = [
    ("x" * 32, Decimal("9999999999999999.99"), 0.5, datetime(1, 1, 1, tzinfo=UTC)),
    ("x" * 33, Decimal("-123456789012345678901234567890123456.78"), float("nan"), LAST),
    ("\U0010ffff" * 40, Decimal("0.01"), float("inf"), datetime(1969, 12, 31, 23, 59, 59, 999999, UTC)),
    ("", Decimal(0), -0.0, datetime(2018, 2, 17, 1, 2, 3, 999, UTC)),
    ("x" * 31 + "\U0001f600" * 4, Decimal("123456789012345.67"), -1e308, datetime(2018, 2, 17, tzinfo=UTC)),
]


def test_spark_skips_no_file_that_holds_what_it_looks_for(place, spark):
    """Each file holds two rows, NULL beside the value or NaN beside a number; Spark finds each by each column."""
    settings, lake, uri = place
    now = new_table(settings, uri, AWKWARD)
    for n, values in enumerate(VALUES):
        beside = (None, None, 1.0, None)
        rows = [dict(zip(AWKWARD.names, row, strict=True)) for row in ((n, *values), (n + 100, *beside))]
        commit_change(now, Change.appending(pa.Table.from_pylist(rows, AWKWARD), now), Commit("app", n))
        now = opened(settings, lake, uri)
    table = delta.read(spark, uri)
    for n, values in enumerate(VALUES):
        for name, value in zip(AWKWARD.names[1:], values, strict=True):
            sought = F.lit(str(value)).cast(dict(table.dtypes)[name])
            found = [row["n"] for row in table.where(table[name] == sought).select("n").collect()]
            assert n in found, (name, value, found)


def test_spark_merges_on_top_and_the_driver_on_top_of_that(place, spark):
    settings, lake, uri = place
    none = new_table(settings, uri, SCHEMA)
    commit_change(none, Change.appending(arrow([made(n, 0) for n in range(50)]), none), Commit("app", 0))
    now = opened(settings, lake, uri)
    gone = now.read(among={"id": pa.array(["k1", "k2"])})
    commit_change(now, Change(now.none(), now.none(), now.none(), gone), Commit("app", 1))
    spark.sql(f"DELETE FROM delta.`{uri}` WHERE id = 'k3'")
    spark.sql(f"UPDATE delta.`{uri}` SET n = 9 WHERE id = 'k4'")
    now = opened(settings, lake, uri)
    before = now.read(among={"id": pa.array(["k4", "k5"])})
    again = before.drop_columns([FILE, ROW]).set_column(1, "n", pa.array([7, 7], pa.int32()))
    commit_change(now, Change(now.none(), again, before, now.none()), Commit("app", 4))
    expected = sorted((f"k{n}", 7 if n in (4, 5) else 0) for n in range(50) if n not in (1, 2, 3))
    assert sorted(map(tuple, delta.read(spark, uri).select("id", "n").collect())) == expected
    assert sorted((row["id"], row["n"]) for row in opened(settings, lake, uri).read().to_pylist()) == expected
    with pytest.raises(NotReadable, match="without change files"):
        changed_rows(now.place, now.schema, 2, 2)


def test_a_commit_on_an_old_snapshot_is_refused_with_nothing_written(place, spark):
    settings, lake, uri = place
    none = new_table(settings, uri, SCHEMA)
    commit_change(none, Change.appending(arrow([made(1, 0)]), none), Commit("app", 0))
    old = opened(settings, lake, uri)
    spark.sql(f"DELETE FROM delta.`{uri}` WHERE id = 'k1'")
    with pytest.raises(StateError, match="another writer has made version 1"):
        commit_change(old, Change.appending(arrow([made(2, 0)]), old), Commit("app", 1))
    assert opened(settings, lake, uri).rows == 0


def test_a_number_is_committed_once(place):
    settings, lake, uri = place
    none = new_table(settings, uri, SCHEMA)
    commit_change(none, Change.appending(arrow([made(1, 0)]), none), Commit("app", 7))
    now = opened(settings, lake, uri)
    for number in (6, 7):
        with pytest.raises(StateError, match=f"the commit app {number} is there already"):
            commit_change(now, Change.appending(arrow([made(2, 0)]), now), Commit("app", number))
    assert opened(settings, lake, uri).rows == 1


def test_every_tenth_commit_sums_up_the_log(place):
    settings, lake, uri = place
    now = new_table(settings, uri, SCHEMA)
    for number in range(12):
        commit_change(now, Change.appending(arrow([made(number, number)]), now), Commit("app", number))
        now = opened(settings, lake, uri)
    log = sorted(path.name for path in (Path(uri) / "_delta_log").glob("*.parquet"))
    assert log == ["00000000000000000010.checkpoint.parquet"]
    for path in (Path(uri) / "_delta_log").glob("0000000000000000000[0-9].json"):
        path.unlink()
    assert opened(settings, lake, uri).rows == 12
    assert lake.open(uri).transaction_version("app") == 11


def test_frames_of_many_chunks_keep_every_row(spark):
    """Spark takes an empty batch for the end of them: a table of chunks with an empty one would lose the rest."""
    parts = [arrow([made(1, 1)]), arrow([]), arrow([made(2, 2)]), arrow([])]
    frame = delta.local(spark, pa.concat_tables(parts))
    assert sorted(row["n"] for row in frame.select("n").collect()) == [1, 2]
    assert dict(frame.dtypes)["wall"] == "timestamp_ntz"


def test_compaction_changes_no_row_for_any_reader_and_writers_go_on_top_of_it(place, spark):
    settings, lake, uri = place
    now = new_table(settings, uri, SCHEMA)
    for part in range(12):
        rows = arrow([made(n, 0) for n in range(10 * part, 10 * part + 10)])
        commit_change(now, Change.appending(rows, now), Commit("app", part))
        now = opened(settings, lake, uri)
    gone = now.read(among={"id": pa.array([f"k{n}" for n in range(5, 30)])})
    commit_change(now, Change(now.none(), now.none(), now.none(), gone), Commit("app", 12))
    now = opened(settings, lake, uri)
    before = by_id(now.read().drop_columns([FILE, ROW]))
    assert compact(now) == 10
    with pytest.raises(StateError, match="another writer"):
        compact(now)
    now = opened(settings, lake, uri)
    assert (now.version, len(now.files), now.rows) == (13, 1, 95)
    assert by_id(now.read().drop_columns([FILE, ROW])) == by_id(delta.read(spark, uri).toArrow()) == before
    assert pa.table(lake.open(uri).scan(columns=["id"])).num_rows == 95
    assert changed_rows(now.place, now.schema, 13, 13).num_rows == 0
    assert delta.read_changes(spark, uri, 13, 13).count() == 0
    assert compact(now) == 0
    assert lake.open(uri).transaction_version("app") == 12
    spark.sql(f"DELETE FROM delta.`{uri}` WHERE id = 'k30'")
    now = opened(settings, lake, uri)
    gone = now.read(among={"id": pa.array(["k31"])})
    commit_change(now, Change(now.none(), now.none(), now.none(), gone), Commit("app", 13))
    assert by_id(delta.read(spark, uri).toArrow()).keys() == before.keys() - {"k30", "k31"}


def by_id(rows: pa.Table) -> dict[str, dict[str, object]]:
    return {row["id"]: row for row in rows.to_pylist()}
