"""What becomes of a row beside the held one, against the same said in plain Python."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.changes.decide import decide, newest, without_outlived
from lakehouse.changes.differences import differences, repeated_keys

EPOCH = datetime(2018, 1, 1, tzinfo=UTC)
SCHEMA = pa.schema(
    [
        ("key", pa.string()), ("at", pa.timestamp("us", "UTC")), ("tie", pa.int32()),
        ("_ingested_at", pa.timestamp("us", "UTC")), ("_op", pa.string()), ("_hash", pa.int64()),
    ]
)  # fmt: skip
ROW = st.tuples(
    st.sampled_from("abc"), st.one_of(st.none(), st.integers(0, 3)), st.one_of(st.none(), st.integers(0, 1)),
    st.integers(0, 2), st.sampled_from(("upsert", "delete")), st.integers(-2, 2),
)  # fmt: skip


def table(rows) -> pa.Table:
    made = [
        (key, None if at is None else EPOCH + timedelta(days=at), tie, EPOCH + timedelta(days=100 + seen), op, content)
        for key, at, tie, seen, op, content in rows
    ]
    return pa.Table.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in made], SCHEMA)


def place(row) -> tuple[tuple[bool, int], ...]:
    """Where a row stands among the versions of its key: NULL comes before every value."""
    _, at, tie, seen, _, content = row
    return tuple((value is not None, value or 0) for value in (at, tie, seen, content))


def rank(row) -> tuple[object, ...]:
    before_content = place(row)[:3]
    return (*before_content, row[4] == "delete", place(row)[3])


def becomes(row, held) -> str:
    gone = row[4] == "delete"
    if held is None:
        return "stale" if gone else "insert"
    newer = place(row) > place(held)
    if gone:
        return "delete" if newer else "stale"
    if row[5] == held[5]:
        return "unchanged"
    return "update" if newer else "stale"


@given(st.lists(ROW, max_size=12))
@settings(max_examples=30, deadline=None)
def test_the_newest_row_of_each_key(rows):
    made = newest(table(rows), ["key"], ["at", "tie"]).to_pylist()
    by_key = {}
    for row in rows:
        by_key.setdefault(row[0], []).append(row)
    best = [max(versions, key=rank) for versions in by_key.values()]
    shown = sorted(table(best).to_pylist(), key=lambda row: row["key"])
    assert sorted(made, key=lambda row: row["key"]) == shown


@given(st.lists(ROW, max_size=6, unique_by=lambda row: row[0]), st.lists(ROW, max_size=6, unique_by=lambda row: row[0]))
@settings(max_examples=50, deadline=None)
def test_what_becomes_of_each_row(latest, held):
    found = decide(table(latest), table(held), ["key"], ["at", "tie"])
    there = {row[0]: row for row in held}
    expected = {"insert": [], "update": [], "delete": [], "unchanged": [], "stale": []}
    for row in latest:
        expected[becomes(row, there.get(row[0]))].append(row[0])
    assert found.inserted.column("key").to_pylist() == expected["insert"]
    assert found.updated.column("key").to_pylist() == expected["update"]
    assert found.before.column("key").to_pylist() == expected["update"]
    assert found.deleted.column("key").to_pylist() == expected["delete"]
    assert (found.unchanged, found.stale) == (len(expected["unchanged"]), len(expected["stale"]))


@given(st.lists(ROW, max_size=6, unique_by=lambda row: row[0]), st.lists(ROW, max_size=6))
@settings(max_examples=30, deadline=None)
def test_a_late_row_that_its_keys_tombstone_has_outlived_stays_away(latest, marks):
    fresh = [row for row in latest if row[4] == "upsert"]
    found = without_outlived(
        decide(table(fresh), table([]), ["key"], ["at", "tie"]), table(marks), ["key"], ["at", "tie"]
    )
    kept = [row[0] for row in fresh if not any(m[0] == row[0] and place(m)[:3] > place(row)[:3] for m in marks)]
    assert found.inserted.column("key").to_pylist() == kept
    assert found.stale == len(fresh) - len(kept)


@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 1)),
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 1)),
)
@settings(max_examples=30, deadline=None)
def test_differences_make_one_table_the_other(desired, held):
    def of(rows):
        return pa.table({"key": pa.array(list(rows), pa.string()), "_hash": pa.array(list(rows.values()), pa.int64())})

    found = differences(of(desired), of(held), ["key"])
    after = dict(held)
    for key in found.deleted.column("key").to_pylist():
        del after[key]
    for part in (found.inserted, found.updated):
        after |= dict(zip(part.column("key").to_pylist(), part.column("_hash").to_pylist(), strict=True))
    assert after == desired
    assert found.updated.num_rows == len([key for key in desired if key in held and desired[key] != held[key]])
    assert found.unchanged == len([key for key in desired if held.get(key) == desired[key] and key in held])


def test_a_key_on_several_rows_is_counted():
    twice = repeated_keys(pa.table({"a": [1, 1, 2], "b": ["x", "x", "x"]}), ["a", "b"])
    assert twice.to_pylist() == [{"a": 1, "b": "x", "n": 2}]
    assert repeated_keys(pa.table({"a": [1, 1], "b": ["x", "y"]}), ["a", "b"]).num_rows == 0
