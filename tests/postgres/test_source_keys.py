"""Buckets of keys: the md5 of Python's own library is the judge."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from hashlib import md5

import pyarrow as pa
import pytest

from lakehouse.errors import SourceError
from lakehouse.lake import live_keys, missing_keys
from lakehouse.source.keys import bucket_sums, keys_among, keys_between

pytestmark = pytest.mark.postgres

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def digest(*key):
    return md5("\x1f".join(key).encode()).hexdigest()


def sums(keys):
    """By bucket, how many keys there are and the sum of their numbers."""
    found = {}
    for key in keys:
        count, total = found.get(digest(*key)[:3], (0, 0))
        found[digest(*key)[:3]] = (count + 1, total + int(digest(*key)[3:18], 16))
    return found


@pytest.fixture
def shop(ask):
    """500 rows a second apart; the last 100 without a watermark. Key: text with odd letters, and a number."""
    ask('CREATE TABLE "Items" (id text, "No" int, at timestamptz)')
    rows = [(f"ção '{number % 50}\n", number, NOON + timedelta(seconds=number)) for number in range(500)]
    for name, number, at in rows:
        ask('INSERT INTO "Items" VALUES (%s, %s, %s)', name, number, at if number < 400 else None)
    return rows


def test_rows_before_the_horizon_are_summed_up_by_bucket(database, shop):
    horizon = NOON + timedelta(seconds=300)
    counts = bucket_sums(database, "public", "Items", ["id", "No"], "at", horizon)
    assert counts == sums((name, str(number)) for name, number, at in shop[:300])


def test_a_row_stamped_at_the_horizon_is_not_before_it(database, shop):
    counts = bucket_sums(database, "public", "Items", ["No"], "at", NOON)
    assert counts == {}
    assert bucket_sums(database, "public", "Items", ["No"], "at", NOON + timedelta(microseconds=1)) == sums([("0",)])


def test_rows_without_a_watermark_are_not_counted(database, shop):
    counts = bucket_sums(database, "public", "Items", ["No"], "at", NOON + timedelta(days=9))
    assert sum(count for count, _ in counts.values()) == 400


def test_the_keys_of_a_window_are_joined_as_the_lake_joins_them(database, shop, ask):
    low, high = NOON + timedelta(seconds=398), NOON + timedelta(seconds=400)
    ask('INSERT INTO "Items" VALUES (%s, NULL, %s)', "no key", low)
    found = keys_between(database, "public", "Items", ["id", "No"], "at", (low, high))
    assert sorted(found) == sorted(f"{name}\x1f{number}" for name, number, _ in shop[398:400])


def test_keys_are_found_whatever_their_watermark(database, shop):
    here = {(name, str(number)) for name, number, _ in shop[390:410]}
    elsewhere = {("ção '7\n", "8"), ("", "390"), ("ção '40", "390")}
    assert Counter(keys_among(database, "public", "Items", ["id", "No"], here | elsewhere)) == Counter(here)


@pytest.mark.parametrize("at_once", [1, 7, 400])
def test_many_keys_are_looked_for_in_parts(database, shop, monkeypatch, at_once):
    monkeypatch.setattr("lakehouse.source.keys._AT_ONCE", at_once)
    wanted = [(str(number),) for number in range(490, 510)]
    found = list(keys_among(database, "public", "Items", ["No"], wanted))
    assert sorted(found) == [(str(number),) for number in range(490, 500)]


def test_no_keys_no_question(shop):
    assert list(keys_among("postgresql://nowhere.invalid/x", "public", "Items", ["id"], [])) == []


def test_a_key_with_a_null_has_no_bucket(database, ask):
    ask("CREATE TABLE t (a text, b text, at timestamptz)")
    ask("INSERT INTO t VALUES ('x', NULL, now()), ('x', '', now())")
    counts = bucket_sums(database, "public", "t", ["a", "b"], "at", datetime.now(UTC) + timedelta(days=1))
    assert counts == sums([("x", "")])
    assert list(keys_among(database, "public", "t", ["a", "b"], [("x", ""), ("x", "NULL")])) == [("x", "")]


def test_deleted_keys_are_found_by_their_buckets_alone(database, shop, ask):
    """A row that is new at the source hides no delete in its bucket: there are as many as before."""
    horizon, key = NOON + timedelta(seconds=401), ["id", "No"]
    known = [(name, str(number)) for name, number, _ in shop[:400]]
    name, number, _ = shop[7]
    alike = next(n for n in range(1_000, 99_000) if digest(name, str(n))[:3] == digest(name, str(number))[:3])
    ask('DELETE FROM "Items" WHERE "No" IN (7, 8, 250)')
    ask('INSERT INTO "Items" VALUES (%s, %s, %s)', name, alike, NOON)
    asked = []

    def keys(wanted):
        asked.extend(wanted)
        return keys_among(database, "public", "Items", key, wanted)

    columns = pa.table(list(map(list, zip(*known, strict=True))), names=key)
    found = missing_keys(
        live_keys(columns, None, key), [], lambda: bucket_sums(database, "public", "Items", key, "at", horizon), keys
    )
    assert found == sorted((shop[number][0], str(number)) for number in (7, 8, 250))
    assert len(asked) < 20


def test_a_column_that_is_not_there_is_named(database, shop):
    with pytest.raises(SourceError, match='column "Nope" does not exist'):
        bucket_sums(database, "public", "Items", ["Nope"], "at", NOON)
    with pytest.raises(SourceError, match=r"column t\.Nope does not exist"):
        list(keys_among(database, "public", "Items", ["Nope"], [("1",)]))


def test_an_early_end_of_reading_leaves_no_session_behind(database, shop, ask):
    keys = keys_among(database, "public", "Items", ["No"], [("1",), ("2",)])
    next(keys)
    keys.close()
    sessions = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'lakehouse'"
    )
    for _ in range(50):
        if ask(sessions) == [(0,)]:
            break
        ask("SELECT pg_sleep(0.02)")
    assert ask(sessions) == [(0,)]
