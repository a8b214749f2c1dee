"""Windows of a real Postgres into Bronze and on into Silver: what comes, what waits, what is never there twice."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import md5
from zoneinfo import ZoneInfo

import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse.engine import app
from lakehouse.engine.bronze import make_plan
from lakehouse.engine.context import Options
from lakehouse.engine.jdbc import read_rows
from lakehouse.engine.plan import plan_run
from lakehouse.errors import ChangedMeanwhile, SourceError, SourceUnavailable, SpecError, StateError
from lakehouse.settings import Settings
from lakehouse.source.horizon import fix_horizon
from lakehouse.specs import Layer

pytestmark = pytest.mark.postgres
# What is decided before a row is read: there is one road to it.
BY_DRIVER = pytest.mark.parametrize("shop", [{}], indirect=True, ids=["driver"])
# What the two roads differ in least.
BY_SPARK_DAILY = pytest.mark.parametrize(
    "shop",
    [{}, pytest.param({"small_batch_rows": 0}, marks=pytest.mark.daily)],
    indirect=True,
    ids=["driver", "spark"],
)
COLUMNS = ["order_id string key", "status string required", "amount decimal(12,2)", "updated_at timestamp required"]
EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


def orders(build, **block):
    said = {"source": "shop.orders", "watermark": "updated_at", "latest_by": ["updated_at"], "quarantine_limit": "100%"}
    return build.contract(COLUMNS, **said | block)


@pytest.fixture(params=[{}, {"small_batch_rows": 0}], ids=["driver", "spark"])
def shop(request, house, build, database, ask):
    """Three orders at the source, and a lake that has not seen them; on either road."""
    ask("CREATE SCHEMA shop")
    ask("CREATE TABLE shop.orders (order_id text, status text, amount numeric(12,2), updated_at timestamptz)")
    ask("ALTER TABLE shop.orders ALTER updated_at SET DEFAULT now()")
    ask("INSERT INTO shop.orders SELECT 'o' || n, 'new', n + 0.50 FROM generate_series(1, 3) AS n")

    def make(**block):
        return house({"silver.orders": orders(build, **block)}, database, **request.param)

    return make


def bronze(house):
    return house.rows("bronze", "orders", "order_id, status, _op")


def silver(house):
    return house.rows("silver", "orders", "order_id, status")


def horizon(house):
    state = house.lake.state(house.lake.uri("bronze", "orders"), "bronze:orders")
    return EPOCH + timedelta(microseconds=state.number)


def run(house, **options):
    """Bronze on the road that is tried, Silver on the shorter one: its own tests try both."""
    found, road = house.ok("bronze", **options), house.settings
    house.settings = road.model_copy(update={"small_batch_rows": Settings.model_fields["small_batch_rows"].default})
    try:
        return found | house.ok("silver", **options)
    finally:
        house.settings = road


def test_ties_at_the_boundary_come_once_with_the_window_that_begins_there(shop, ask):
    house = shop()
    run(house)
    boundary = horizon(house)
    ask("INSERT INTO shop.orders SELECT 'tie' || n, 'new', 1, %s FROM generate_series(1, 300) AS n", boundary)
    assert run(house)["bronze.orders"].ledger.inserted == 300
    assert run(house)["bronze.orders"].status == "SKIPPED"
    assert len(bronze(house)) == len(set(bronze(house))) == 303
    assert len(silver(house)) == 303


def test_a_row_of_a_transaction_that_ends_after_the_run_comes_with_the_next(shop, ask, database):
    house = shop()
    run(house)
    with closing(psycopg2.connect(database)) as late:
        with late.cursor() as cursor:
            cursor.execute("INSERT INTO shop.orders VALUES ('late', 'new', 1)")
        ask("INSERT INTO shop.orders VALUES ('meanwhile', 'new', 1)")
        run(house)
        late.commit()
    run(house)
    assert [row[0] for row in silver(house)] == ["late", "meanwhile", "o1", "o2", "o3"]
    assert len(bronze(house)) == 5


def test_a_horizon_that_is_held_by_a_transaction_stops_no_run_and_loses_no_delete(shop, ask, database):
    """Two runs while a transaction stays open fix the same horizon; a row that went between them goes with the next."""
    house = shop(deletes="key-scan")
    with closing(psycopg2.connect(database)) as late, late.cursor() as cursor:
        cursor.execute("INSERT INTO shop.orders VALUES ('late', 'new', 1)")
        run(house)
        assert len(bronze(house)) == 3
        ask("DELETE FROM shop.orders WHERE order_id = 'o1'")
        at = horizon(house)
        assert run(house)["bronze.orders"].status == "SKIPPED"
        assert horizon(house) == at
        late.commit()
    ledger = run(house)["bronze.orders"].ledger
    assert (ledger.inserted, ledger.deleted) == (1, 1)
    assert silver(house) == [("late", "new"), ("o2", "new"), ("o3", "new")]


@pytest.mark.parametrize(
    ("shop", "zone"),
    [
        ({}, "America/Sao_Paulo"),
        ({}, "Asia/Tokyo"),
        pytest.param({"small_batch_rows": 0}, "America/Sao_Paulo", marks=pytest.mark.daily),
    ],
    indirect=["shop"],
    ids=["driver-west", "driver-east", "spark-west"],
)
def test_rows_stamped_by_a_wall_clock_come_as_soon_as_those_with_a_zone(shop, ask, zone):
    """Inserts, an update and a delete of a source behind UTC, and of one before it."""
    ask("ALTER TABLE shop.orders ALTER updated_at TYPE timestamp USING updated_at - interval '1 day'")
    ask(f"ALTER TABLE shop.orders ALTER updated_at SET DEFAULT now() AT TIME ZONE '{zone}'")
    house = shop(deletes="key-scan", timezone=zone)
    run(house)
    for number in (4, 5):
        ask("INSERT INTO shop.orders VALUES (%s, 'new', 1)", f"o{number}")
        (plan,) = plan_run(house.settings, house.catalog, [Layer.BRONZE], [], Options())
        assert (plan.rows, run(house)["bronze.orders"].ledger.inserted) == (1, 1)
    ask("UPDATE shop.orders SET status = 'paid', updated_at = DEFAULT WHERE order_id = 'o4'")
    ask("DELETE FROM shop.orders WHERE order_id = 'o5'")
    result = run(house)["bronze.orders"]
    assert (result.ledger.inserted, result.ledger.deleted, result.note) == (1, 1, "")
    assert silver(house) == [("o1", "new"), ("o2", "new"), ("o3", "new"), ("o4", "paid")]
    (tombstone,) = [stamp for stamp, op in house.rows("bronze", "orders", "updated_at, _op") if op == "delete"]
    assert tombstone == horizon(house).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    assert run(house, full_refresh=True)["bronze.orders"].ledger.inserted == 0


@BY_DRIVER
def test_rows_whose_stamps_are_rounded_to_seconds_come_once_each(shop, ask):
    ask("ALTER TABLE shop.orders ALTER updated_at TYPE timestamptz(0)")
    house = shop()
    for number in range(12):
        ask("INSERT INTO shop.orders VALUES (%s, 'new', 1)", f"rounded{number}")
        time.sleep(0.13)
        house.ok("bronze")
    time.sleep(1.1)
    house.ok("bronze")
    assert sorted(key for key, *_ in bronze(house)) == sorted(["o1", "o2", "o3", *[f"rounded{n}" for n in range(12)]])


@BY_DRIVER
def test_who_holds_the_horizon_is_named_by_every_run_and_plan_also_where_nothing_is_read(
    shop, ask, database, monkeypatch
):
    house = shop()
    run(house)
    monkeypatch.setattr("lakehouse.source.horizon._WARN_AFTER", timedelta(0))
    with closing(psycopg2.connect(database)) as late, late.cursor() as cursor:
        cursor.execute("SELECT 1")
        told = f"process {late.info.backend_pid} has a transaction open for 0:00:"
        ask("INSERT INTO shop.orders VALUES ('meanwhile', 'new', 1)")
        (plan,) = plan_run(house.settings, house.catalog, [Layer.BRONZE], [], Options())
        assert told in plan.note
        for _ in range(2):
            result = run(house)["bronze.orders"]
            assert result.note.startswith(f"1 rows at or after the horizon wait; {told}")
    assert result.status == "SKIPPED"
    assert run(house)["bronze.orders"].note == ""


def found_out(monkeypatch, **otherwise):
    """Have runs find a horizon of the source that is otherwise than it is."""
    monkeypatch.setattr(app, "fix_horizon", lambda source: replace(fix_horizon(source), **otherwise))


@BY_DRIVER
def test_a_source_whose_clock_was_set_back_fails_the_run_until_it_has_caught_up(shop, ask, monkeypatch):
    house = shop()
    ahead = datetime.now(UTC) + timedelta(hours=1)
    found_out(monkeypatch, at=ahead, clock=ahead)
    run(house)
    monkeypatch.undo()
    ask("INSERT INTO shop.orders VALUES ('meanwhile', 'new', 1)")
    before = house.versions()
    for options in ({}, {"full_refresh": True}):
        with pytest.raises(SourceError, match="set back"):
            run(house, **options)
    assert house.versions() == before
    found_out(monkeypatch, at=ahead + timedelta(hours=1), clock=ahead + timedelta(hours=1))
    run(house)
    assert run(house, window_from=ahead - timedelta(hours=1))["bronze.orders"].ledger.inserted == 1


@BY_DRIVER
def test_a_prepared_transaction_stops_a_first_load_and_lets_others_wait(shop, ask, monkeypatch):
    house = shop()
    found_out(monkeypatch, prepared=("transfer 7",), warnings=("transfer 7 is not ended",))
    with pytest.raises(SourceError, match=r"transfer 7.*load for the first time"):
        run(house)
    monkeypatch.undo()
    run(house)
    at = horizon(house)
    ask("INSERT INTO shop.orders VALUES ('meanwhile', 'new', 1)")
    found_out(monkeypatch, prepared=("transfer 7",), warnings=("transfer 7 is not ended",))
    result = run(house)["bronze.orders"]
    assert (result.status, horizon(house)) == ("SKIPPED", at)
    assert result.note.endswith("transfer 7 is not ended")
    monkeypatch.undo()
    assert run(house)["bronze.orders"].ledger.inserted == 1


def test_a_window_that_another_attempt_has_written_into_meanwhile_adds_nothing_twice(shop, ask, monkeypatch):
    """The second plan was made before the first one's commit, and reaches further."""
    house, plans = shop(), []
    run(house)
    ask("INSERT INTO shop.orders VALUES ('late', 'new', 1)")

    def overtaken(*asked):
        plans.append(make_plan(*asked))
        first, low = plans[0], plans[0].window.low
        window = replace(plans[-1].window, low=low)
        return replace(plans[-1], state=first.state, count=first.count, low=low, window=window)

    monkeypatch.setattr("lakehouse.engine.bronze.make_plan", overtaken)
    run(house)
    with pytest.raises(StateError, match=r"planned at version 0, but the table stands at 1: another attempt"):
        run(house)
    assert plans[0].window.high < plans[1].window.high
    assert len(bronze(house)) == 4


def test_a_row_from_the_future_waits_and_drags_no_horizon(shop, ask):
    house = shop()
    ask("INSERT INTO shop.orders VALUES ('future', 'new', 1, '2999-01-01')")
    first = run(house)["bronze.orders"]
    assert (first.ledger.inserted, first.note) == (3, "1 rows at or after the horizon wait")
    assert horizon(house) < datetime.now(UTC) + timedelta(minutes=1)
    ask("UPDATE shop.orders SET updated_at = now() WHERE order_id = 'future'")
    run(house)
    assert ("future", "new") in silver(house)


@BY_SPARK_DAILY
def test_a_row_without_a_watermark_is_quarantined_once_and_makes_no_version_again(shop, ask):
    house = shop()
    ask("INSERT INTO shop.orders VALUES ('unstamped', 'new', 1, NULL)")
    assert run(house)["silver.orders"].ledger.quarantined == 1
    before = house.versions()
    again = run(house)
    assert house.versions() == before
    assert {result.status for result in again.values()} == {"SKIPPED"}
    ((key, reasons, status),) = house.rows("quarantine", "orders", "key, [r.rule FOR r IN reasons], status")
    assert (key, status) == ("unstamped", "quarantined")
    assert "updated_at_required" in reasons
    ask("UPDATE shop.orders SET status = 'changed' WHERE order_id = 'unstamped'")
    assert run(house)["bronze.orders"].ledger.inserted == 1


def test_a_row_without_a_watermark_may_return_to_an_old_value(house, build, database, ask):
    """Of two such rows with one key none is the newest: each comes once, and the lake does not swing between them."""
    ask("CREATE SCHEMA shop")
    ask("CREATE TABLE shop.orders (order_id text, status text, updated_at timestamptz)")
    columns = ["order_id string key", "status string required", "updated_at timestamp"]
    block = {"source": "shop.orders", "watermark": "updated_at", "latest_by": ["updated_at"]}
    contract = build.contract(columns, on_null_watermark="include", **block)
    contract["columns"][0]["transformLogic"] = "upper(order_id)"
    lake = house({"silver.orders": contract}, database)
    ask("INSERT INTO shop.orders VALUES ('one', 'new', NULL), ('two', 'x', NULL), ('two', 'y', NULL)")
    run(lake)
    for status in ("paid", "new"):
        ask("UPDATE shop.orders SET status = %s WHERE order_id = 'one'", status)
        assert run(lake)["bronze.orders"].ledger.inserted == 1
        assert silver(lake)[0] == ("ONE", status)
    ask("UPDATE shop.orders SET status = 'z' WHERE status = 'y'")
    assert [run(lake)["bronze.orders"].ledger.inserted for _ in range(2)] == [1, 0]


@BY_SPARK_DAILY
def test_a_lag_reads_a_stretch_again_and_recognises_what_it_has(shop, ask):
    house = shop(lag="1h")
    run(house)
    before = house.versions()
    assert run(house)["bronze.orders"].ledger.inserted == 0
    assert house.versions() == before, "nothing was new, so nothing is committed"
    ask("INSERT INTO shop.orders VALUES ('stamped_late', 'new', 1, now() - interval '30 minutes')")
    ledger = run(house)["bronze.orders"].ledger
    assert (ledger.rows_in, ledger.inserted, ledger.duplicate) == (4, 1, 3)
    assert [row[0] for row in silver(house)] == ["o1", "o2", "o3", "stamped_late"]
    assert len(bronze(house)) == 4


@BY_SPARK_DAILY
def test_a_window_that_was_asked_for_adds_what_is_missing_and_moves_no_horizon(shop, ask):
    house = shop()
    run(house)
    before = horizon(house)
    for name, day in (("old", "2018-05-01T12:00Z"), ("older", "2018-04-30T12:00Z")):
        ask("INSERT INTO shop.orders VALUES (%s, 'new', 1, %s)", name, day)
    window = {"window_from": datetime(2018, 5, 1, tzinfo=UTC), "window_to": datetime(2018, 5, 2, tzinfo=UTC)}
    for inserted in (1, 0):
        assert run(house, **window)["bronze.orders"].ledger.inserted == inserted
        assert horizon(house) == before
    assert [row[0] for row in silver(house)] == ["o1", "o2", "o3", "old"]
    assert len(bronze(house)) == 4


@BY_SPARK_DAILY
def test_reading_everything_again_adds_nothing_twice(shop, ask):
    house = shop()
    run(house)
    ask("UPDATE shop.orders SET status = 'paid', updated_at = now() WHERE order_id = 'o1'")
    run(house)
    ledger = run(house, full_refresh=True)["bronze.orders"].ledger
    assert (ledger.rows_in, ledger.inserted, ledger.duplicate) == (3, 0, 3)
    assert len(bronze(house)) == 4
    assert silver(house) == [("o1", "paid"), ("o2", "new"), ("o3", "new")]


@BY_SPARK_DAILY
def test_a_vanished_key_gets_one_tombstone_also_where_only_quarantine_held_it(shop, ask, build):
    house = shop(deletes="key-scan")
    ask("INSERT INTO shop.orders VALUES ('bad', NULL, 1)")
    run(house)
    ask("DELETE FROM shop.orders WHERE order_id IN ('o2', 'bad')")
    assert run(house)["bronze.orders"].ledger.deleted == 2
    before = house.versions()
    assert {result.status for result in run(house).values()} == {"SKIPPED"}
    assert house.versions() == before
    assert [row[:1] for row in bronze(house) if row[2] == "delete"] == [("bad",), ("o2",)]
    assert silver(house) == [("o1", "new"), ("o3", "new")]
    # A contract that takes the row now does not bring back what the source has deleted.
    house.write("silver.orders", orders(build, deletes="key-scan") | {"columns": optional_status(build)}, "1.1.0")
    house.ok("silver", replay=True)
    assert silver(house) == [("o1", "new"), ("o3", "new")]
    ask("INSERT INTO shop.orders VALUES ('o2', 'back', 1)")
    run(house)
    assert ("o2", "back") in silver(house)


@BY_DRIVER
def test_a_tombstone_is_recorded_once_though_silver_has_not_taken_it_in(shop, ask):
    house = shop(deletes="key-scan")
    run(house)
    ask("DELETE FROM shop.orders WHERE order_id = 'o1'")
    for deleted in (1, 0):
        ask("UPDATE shop.orders SET updated_at = now() WHERE order_id = 'o2'")
        assert house.ok("bronze")["bronze.orders"].ledger.deleted == deleted
    house.ok("silver")
    assert [row[0] for row in silver(house)] == ["o2", "o3"]
    ask("INSERT INTO shop.orders VALUES ('o1', 'back', 1)")
    run(house)
    ask("DELETE FROM shop.orders WHERE order_id = 'o1'")
    assert house.ok("bronze")["bronze.orders"].ledger.deleted == 1


@BY_DRIVER
def test_a_day_with_as_many_new_rows_as_deleted_ones_in_each_bucket_hides_no_delete(shop, ask):
    buckets = defaultdict(list)
    for number in range(20_000):
        buckets[md5(f"o{number}".encode()).hexdigest()[:3]].append(f"o{number}")
    pairs = [keys[:2] for keys in buckets.values() if len(keys) > 1][:50]
    ask("TRUNCATE shop.orders")
    ask("INSERT INTO shop.orders SELECT unnest(%s), 'new', 1", [old for old, _ in pairs])
    house = shop(deletes="key-scan")
    run(house)
    ask("DELETE FROM shop.orders")
    ask("INSERT INTO shop.orders SELECT unnest(%s), 'new', 1", [new for _, new in pairs])
    ledger = run(house)["bronze.orders"].ledger
    assert (ledger.inserted, ledger.deleted) == (50, 50)
    assert [row[0] for row in silver(house)] == sorted(new for _, new in pairs)
    assert {result.status for result in run(house).values()} == {"SKIPPED"}


@BY_DRIVER
def test_deletes_that_are_not_taken_are_counted_and_said_without_a_commit(shop, ask):
    """Where Spark may not be asked for: a run that finds nothing new starts none."""
    house = shop()
    run(house)
    ask("UPDATE shop.orders SET status = 'paid', updated_at = now() WHERE order_id = 'o1'")
    assert run(house)["bronze.orders"].note == "", "a row that comes again is no row fewer"
    before, house.spark = house.versions(), object()
    ask("DELETE FROM shop.orders WHERE order_id <> 'o1'")
    result = run(house)["bronze.orders"]
    told = "the source has 2 rows fewer than Silver: deletes are not taken (deletes: none)"
    assert (result.status, result.note) == ("SKIPPED", told)
    assert house.versions() == before


@pytest.mark.parametrize(
    ("at_the_source", "here"),
    [("text", "int key"), ("numeric(9,2)", "decimal(9,2) key"), ("timestamptz", "timestamp key")],
)
def test_keys_that_read_otherwise_in_the_lake_are_never_taken_for_deleted(
    house, build, database, ask, at_the_source, here
):
    ask("CREATE SCHEMA shop")
    ask(f"CREATE TABLE shop.t (id {at_the_source}, updated_at timestamptz DEFAULT now())")
    block = {"source": "shop.t", "watermark": "updated_at", "latest_by": ["updated_at"], "deletes": "key-scan"}
    lake = house({"silver.t": build.contract([f"id {here}", "updated_at timestamp required"], **block)}, database)
    with pytest.raises(SpecError, match=r"key column id is .*key-scan cannot compare"):
        lake.ok("bronze")


def optional_status(build):
    return [build.column_of(text.replace("status string required", "status string")) for text in COLUMNS]


@BY_SPARK_DAILY
def test_a_flagged_delete_removes_the_row_and_its_return_brings_it_back(shop, ask):
    ask("ALTER TABLE shop.orders ADD gone boolean NOT NULL DEFAULT false")
    house = shop(deletes="soft", deleted_flag="gone")
    run(house)
    ask("UPDATE shop.orders SET gone = true, updated_at = now() WHERE order_id = 'o2'")
    assert run(house)["silver.orders"].ledger.deleted == 1
    assert [row[0] for row in silver(house)] == ["o1", "o3"]
    ask("UPDATE shop.orders SET gone = false, updated_at = now() WHERE order_id = 'o2'")
    run(house)
    assert [row[0] for row in silver(house)] == ["o1", "o2", "o3"]


def test_a_read_in_parts_reads_each_row_once(shop, ask):
    house = shop(rows_per_partition=1_000)
    ask("INSERT INTO shop.orders SELECT 'p' || n, repeat('x', 200), n FROM generate_series(1, 3500) AS n")
    ask("DELETE FROM shop.orders WHERE order_id LIKE '%%7'")  # holes in the pages
    (count,) = ask("SELECT count(*) FROM shop.orders")[0]
    assert run(house)["bronze.orders"].ledger.inserted == count > 3_000
    assert len({row[0] for row in bronze(house)}) == len(bronze(house)) == count


@pytest.mark.parametrize("shop", [{"small_batch_rows": 0}], indirect=True, ids=["spark"])
def test_rows_stay_on_their_pages_while_they_are_read_by_them(shop, ask, monkeypatch):
    """VACUUM FULL between two parts would move rows from one that is not read yet to one that has been."""
    tried, house = [], shop(rows_per_partition=1_000)
    ask("INSERT INTO shop.orders SELECT 'p' || n, repeat('x', 200), n FROM generate_series(1, 3500) AS n")

    def moved_meanwhile(*given):
        ask("SET lock_timeout = '100ms'")
        with pytest.raises(psycopg2.errors.LockNotAvailable):
            ask("VACUUM FULL shop.orders")
        ask("INSERT INTO shop.orders VALUES ('who writes does not wait', 'new', 1)")
        tried.append(given[3])
        return read_rows(*given)

    monkeypatch.setattr("lakehouse.engine.bronze.read_rows", moved_meanwhile)
    assert run(house)["bronze.orders"].ledger.inserted == 3_503
    assert [len(predicates) for predicates in tried] == [4]
    ask("VACUUM FULL shop.orders")


def test_a_view_is_read_in_one_part_however_many_rows_it_has(shop, ask):
    """It has neither pages nor `ctid`, by which a table's parts are told apart."""
    ask("CREATE VIEW shop.seen AS SELECT * FROM shop.orders")
    house = shop(source="shop.seen", rows_per_partition=1_000)
    ask("INSERT INTO shop.orders SELECT 'v' || n, 'new', n FROM generate_series(1, 1500) AS n")
    assert run(house)["bronze.orders"].ledger.inserted == 1503


@pytest.mark.parametrize("shop", [{"small_batch_rows": 0}], indirect=True, ids=["spark"])
def test_a_source_that_stops_in_the_middle_of_a_read_in_parts_moves_no_horizon(shop, ask, monkeypatch):
    """Of eight parts, each row of which is fetched by itself, the session of one is ended; the others go on."""
    house = shop(rows_per_partition=1_000, fetch_size=1)
    run(house)
    ask("INSERT INTO shop.orders SELECT 'p' || n, repeat('x', 200), n FROM generate_series(1, 20000) AS n")
    before = house.versions()
    reading = "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE '%ctid%'"

    def stop_one():
        deadline = time.monotonic() + 60
        while not (found := ask(reading)) and time.monotonic() < deadline:
            time.sleep(0.005)
        return ask("SELECT pg_terminate_backend(%s)", found[0][0])

    def stop_when_all_is_planned(*asked):
        rows = read_rows(*asked)
        stopped.append(pool.submit(stop_one))
        return rows

    stopped = []
    with ThreadPoolExecutor() as pool, monkeypatch.context() as patch:
        patch.setattr("lakehouse.engine.bronze.read_rows", stop_when_all_is_planned)
        with pytest.raises(SourceUnavailable, match="terminating connection"):
            run(house)
        assert stopped[0].result() == [(True,)]
    assert house.versions() == before
    assert run(house)["bronze.orders"].ledger.inserted == 20_000


@BY_DRIVER
def test_a_column_with_a_default_comes_with_the_rows_that_are_read_already(shop, ask):
    house = shop()
    run(house)
    ask("ALTER TABLE shop.orders ADD remark text")
    ask("INSERT INTO shop.orders VALUES ('o4', 'new', 1)")
    result = run(house)["bronze.orders"]
    assert (result.ledger.rows_in, result.note) == (1, ""), "no older row has a value: the window is enough"
    ask("ALTER TABLE shop.orders ADD channel text DEFAULT 'web'")
    told = "all rows are read: older ones have values in what is new at the source (channel)"
    (plan,) = plan_run(house.settings, house.catalog, [Layer.BRONZE], [], Options())
    assert (plan.rows, told in plan.note) == (4, True)
    result = run(house)["bronze.orders"]
    assert (result.ledger.inserted, result.note) == (4, told)
    assert len(house.rows("bronze", "orders", "order_id", "ALL")) == 8
    assert [row[0] for row in house.rows("bronze", "orders", "order_id, channel") if row[1] == "web"] == [
        "o1", "o2", "o3", "o4"
    ]  # fmt: skip
    assert {result.status for result in run(house).values()} == {"SKIPPED"}


@BY_DRIVER
def test_a_column_with_a_default_comes_with_all_rows_also_where_a_window_was_asked_for(shop, ask):
    house = shop()
    run(house)
    before = horizon(house)
    ask("ALTER TABLE shop.orders ADD channel text DEFAULT 'web'")
    ask("INSERT INTO shop.orders VALUES ('old', 'new', 1, '2018-05-01T12:00Z'), ('new', 'new', 1, now())")
    window = {"window_from": datetime(2018, 5, 1, tzinfo=UTC), "window_to": datetime(2018, 5, 2, tzinfo=UTC)}
    assert run(house, **window)["bronze.orders"].ledger.inserted == 4
    assert horizon(house) == before
    assert run(house)["bronze.orders"].ledger.inserted == 1
    assert len(bronze(house)) == 3 + 4 + 1


def test_columns_that_change_between_plan_and_read_end_it_by_name(shop, ask, monkeypatch):
    """Each part of a read is a statement of its own, with the type that was planned: it would round the new values."""
    house = shop()
    run(house)
    before = house.versions()
    ask("INSERT INTO shop.orders VALUES ('new', 'new', 1)")

    def overtaken_by(statement):
        def plan(*asked):
            made = make_plan(*asked)
            ask(statement)
            return made

        monkeypatch.setattr("lakehouse.engine.bronze.make_plan", plan)

    overtaken_by("ALTER TABLE shop.orders ALTER amount TYPE numeric(14,4), ADD \"the 'new' one\" text")
    told = "shop.orders changed while it was read, it now has amount numeric(14,4), the 'new' one text. Next: run again"
    with pytest.raises(ChangedMeanwhile, match=re.escape(told)):
        run(house)
    overtaken_by("ALTER TABLE shop.orders DROP amount")
    with pytest.raises(SourceError, match='column "amount" does not exist'):
        run(house)
    assert house.versions() == before


def test_a_tenth_table_is_one_file(shop, ask, build):
    house = shop()
    run(house)
    ask("CREATE TABLE shop.coupons (code text, share double precision, updated_at timestamptz DEFAULT now())")
    ask("INSERT INTO shop.coupons VALUES ('00501', 0.5), ('lost', NULL)")
    columns = ["code string key", "share decimal(3,2) required", "updated_at timestamp required"]
    block = {
        "source": "shop.coupons",
        "watermark": "updated_at",
        "latest_by": ["updated_at"],
        "quarantine_limit": "50%",
    }
    house.write("silver.coupons", build.contract(columns, **block))
    run(house)
    assert house.rows("silver", "coupons", "code, share::VARCHAR") == [("00501", "0.50")]
    assert house.rows("quarantine", "coupons", "key") == [("lost",)]


KINDS = {
    "small": ("smallint", ["-32768", "32767"]),
    "number": ("integer", ["0", "-1"]),
    "big": ("bigint", ["9223372036854775807", "1"]),
    "money": ("numeric(12,2)", ["0.10", "-9999999999.99"]),
    "free": ("numeric", ["1234567890123456789012345678901234567890.5", "NaN"]),
    "real": ("real", ["0.1", "NaN"]),
    "double": ("double precision", ["1e300", "-Infinity"]),
    "flag": ("boolean", ["true", "false"]),
    "day": ("date", ["0001-01-01", "9999-12-31"]),
    "wall": ("timestamp", ["2018-11-04 00:30:00.123456", "1900-01-01"]),
    "text": ("text", ["", 'line\nbreak, "quotes" \\. \\N']),
    "padded": ("character(3)", ["a", "ção"]),
    "document": ("jsonb", ['{"a": [1, null]}', "[]"]),
    "id": ("uuid", ["00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"]),
    "many": ("integer[]", ["{1,NULL}", "{}"]),
    "raw": ("bytea", ["\\x00ff", "\\x"]),
}


def test_both_roads_bring_the_same_values_in_the_same_types(house, build, database, ask):
    ask("CREATE SCHEMA shop")
    columns = ", ".join(f'"{name}" {kind}' for name, (kind, _) in KINDS.items())
    ask(f"CREATE TABLE shop.kinds (key text, {columns}, updated_at timestamptz DEFAULT now())")
    names = ", ".join(f'"{name}"' for name in KINDS)
    for number in (0, 1):
        values = [values[number] for _, values in KINDS.values()]
        ask(
            f"INSERT INTO shop.kinds (key, {names}) VALUES (%s, {', '.join(['%s'] * len(KINDS))})",
            f"k{number}",
            *values,
        )
    ask("INSERT INTO shop.kinds (key) VALUES ('nothing else')")
    contract = build.contract(
        ["key string key", "updated_at timestamp required"], source="shop.kinds", watermark="updated_at",
        latest_by=["updated_at"],
    )  # fmt: skip
    found = []
    for settings in ({}, {"small_batch_rows": 0}):
        lake = house({"silver.kinds": contract}, database, **settings)
        lake.ok("bronze")
        types = [(field.name, str(field.type)) for field in lake.delta("bronze", "kinds").schema().fields]
        shown = ", ".join(f'"{name}"::VARCHAR' for name in ["key", *KINDS, "updated_at"])
        found.append((sorted(types), lake.rows("bronze", "kinds", shown, "key")))
    assert found[0] == found[1]
    assert len(found[0][1]) == 3


# What Postgres takes for a value of the type, and no type of the lake can hold.
UNFIT = """
INSERT INTO shop.unfit (id, amount, day, wall, at, unused) VALUES
    ('nan', 'NaN', '2018-01-05', '2018-01-05 10:00', '2018-01-05 10:00Z', NULL),
    ('year', 1, '2018-01-05', '20018-01-05 10:00', '2018-01-05 10:00Z', NULL),
    ('endless', 1, 'infinity', 'infinity', 'infinity', NULL),
    ('ancient', 1, '0044-03-15 BC', '-infinity', '0001-12-31 23:59:59Z BC', NULL),
    ('unused', 1, '2018-01-05', '2018-01-05 10:00', '2018-01-05 10:00Z', 'infinity')"""
TOLD = [
    ("ancient", {("day", "0044-03-15 BC"), ("wall", "-infinity"), ("at", "0001-12-31 23:59:59+00 BC")}),
    ("endless", {("day", "infinity"), ("wall", "infinity"), ("at", "infinity")}),
    ("nan", {("amount", "NaN")}),
    ("year", {("wall", "20018-01-05 10:00:00")}),
]


@pytest.fixture(params=[{}, pytest.param({"small_batch_rows": 0}, marks=pytest.mark.daily)], ids=["driver", "spark"])
def unfit(request, house, build, database, ask):
    """A table with types, one row in it; on either road."""
    ask("CREATE SCHEMA shop")
    ask(
        "CREATE TABLE shop.unfit (id text, amount numeric(12,2), day date, wall timestamp, at timestamptz, "
        "unused timestamp, updated_at timestamptz DEFAULT now())"
    )
    ask("INSERT INTO shop.unfit VALUES ('good', 9.99, '0001-01-01', '9999-12-31 23:59:59', '0001-01-01Z')")
    columns = ["id string key", "amount decimal(12,2)", "day date", "wall timestamp", "at timestamp"]
    said = {"source": "shop.unfit", "watermark": "updated_at", "latest_by": ["updated_at"], "quarantine_limit": "100%"}
    contract = build.contract([*columns, "updated_at timestamp required"], **said)
    return house({"silver.unfit": contract}, database, **request.param)


def told_of(house):
    rows = house.rows("quarantine", "unfit", "key, [(r.column, r.value) FOR r IN reasons], status")
    return [(key, set(said)) for key, said, status in rows if status == "quarantined"]


def test_a_value_that_no_type_of_the_lake_holds_is_quarantined_by_its_text_and_others_go_on(unfit, ask):
    """A table that has rows already goes on without a rewrite; in later windows the driver reads such values too."""
    unfit.ok("bronze", "silver")
    ask(UNFIT)
    assert unfit.ok("bronze", "silver")["bronze.unfit"].ledger.inserted == 5
    assert told_of(unfit) == TOLD
    assert unfit.rows("silver", "unfit", "id") == [("good",), ("unused",)]
    ask("INSERT INTO shop.unfit (id, amount, day) VALUES ('later', 'NaN', '2018-01-05'), ('fine', NULL, NULL)")
    assert unfit.ok("bronze", "silver")["bronze.unfit"].ledger.inserted == 2
    assert ("later", {("amount", "NaN")}) in told_of(unfit)
    assert len(unfit.rows("bronze", "unfit", "id")) == 8
    assert unfit.rows("silver", "unfit", "id") == [("fine",), ("good",), ("unused",)]


@pytest.mark.parametrize("unfit", [{"small_batch_rows": 0}], indirect=True, ids=["spark"])
def test_moments_that_spark_writes_are_what_any_reader_of_parquet_finds(unfit):
    unfit.ok("bronze", "silver")
    bounds = (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))
    for layer in ("bronze", "silver"):
        (file,) = unfit.delta(layer, "unfit").file_uris()
        found = pq.read_table(file, columns=["at", "wall"]).cast(pa.schema([("at", pa.int64()), ("wall", pa.int64())]))
        assert [*found.to_pylist()[0].values()] == [(bound - EPOCH) // MICROSECOND for bound in bounds]


def test_a_first_load_keeps_such_values_apart_however_often_they_are_judged_or_read(unfit, ask):
    ask(UNFIT)
    unfit.ok("bronze", "silver")
    assert told_of(unfit) == TOLD
    unfit.ok("silver", replay=True)
    assert unfit.rows("silver", "unfit", "id") == [("good",), ("unused",)]
    ask("UPDATE shop.unfit SET amount = NULL WHERE id = 'nan'")
    assert unfit.ok("bronze", "silver", full_refresh=True)["bronze.unfit"].ledger.inserted == 1
    assert told_of(unfit) == TOLD
    assert unfit.rows("silver", "unfit", "id, amount") == [("good", Decimal("9.99")), ("nan", None), ("unused", 1)]


@pytest.mark.parametrize("unfit", [{"small_batch_rows": 0}], indirect=True, ids=["spark"])
def test_such_a_value_that_is_written_during_the_read_is_not_told_as_a_source_that_is_away(unfit, ask, monkeypatch):
    ask("INSERT INTO shop.unfit (id, amount) VALUES ('nan', 'NaN')")
    monkeypatch.setattr("lakehouse.engine.bronze.holds_unfit", lambda *_: False)
    with pytest.raises(SourceError, match=r"shop\.bronze\.unfit: .*NaN.*correct it at the source"):
        unfit.ok("bronze")
