"""What an event says, and that nothing in one can end a stream."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.specs import load_catalog
from lakehouse.streaming.parse import Message, Parser

TABLE = load_catalog(Path(__file__).parents[2] / "spark" / "pipelines" / "olist").table("silver.order_reviews")
PARSER = Parser(TABLE, TABLE.need_stream()[1])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def read(value: bytes | None, key: bytes | None = b"o1", headers=()):
    return PARSER.read(Message(key, value, headers))


@pytest.mark.parametrize("depth", [101, 480, 700, 950, 5_000, 100_000])
def test_a_deep_event_is_a_dead_letter_at_any_depth(depth):
    (reason,) = read(b'{"x":' + b"[" * depth + b"]" * depth + b"}").reasons
    assert (reason.rule, reason.value) == ("message_is_json", "nested too deeply")
    assert read(b'{"x":' + b"[" * 90 + b"]" * 90 + b"}").reasons == []


def test_numbers_keep_every_digit():
    digits = "9" * 5_000
    found = read(f'{{"order_id":"o1","review_score":{digits},"votes":{digits},"share":1.50,"big":1e400}}'.encode())
    assert found.columns["review_score"] == digits
    assert json.loads(str(found.rescued)) == {"votes": digits, "share": "1.50", "big": "1e400"}


@given(st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()), st.none() | st.binary(max_size=9))
def test_nothing_in_an_event_raises(value, key):
    found = read(value, key)
    assert found.reasons or {*found.columns} == {*TABLE.column_names}


@given(st.dictionaries(st.sampled_from([*TABLE.column_names, "more"]), JSON, max_size=5))
def test_what_is_read_is_what_was_said(said):
    found = read(json.dumps(said).encode(), str(said.get("order_id")).encode())
    for name, text in found.columns.items() if not found.reasons else ():
        value = said.get(name)
        assert text == (None if value is None else value if isinstance(value, str) else json.dumps(value))


def test_a_tombstone_is_told_by_key_and_headers():
    found = read(None, b"o1", [("review_id", b"r1"), ("trace", b"\xff")])
    assert (found.columns["order_id"], found.columns["review_id"], found.reasons) == ("o1", "r1", [])
    for headers in ([], [("review_id", b"")], [("review_id", b"\xff")], [("review_id", None)]):
        assert [reason.column for reason in read(None, b"o1", headers).reasons] == ["review_id"]


def test_a_header_does_not_say_what_the_message_key_says():
    found = read(None, b"o1", [("review_id", b"r1"), ("order_id", b"o2")])
    assert (found.columns["order_id"], found.columns["review_id"]) == ("o1", "r1")


def test_names_of_any_length_are_told_shortened():
    found = read(json.dumps({"order_id": "o1", "x" * 5_000: 1, "x" * 6_000: 2}).encode())
    assert found.unknown == ("x" * 200,)
    assert len(json.loads(str(found.rescued))) == 2
