"""Columns taken over from another Silver table follow it: in the table, in its history, and in Gold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

DAY = datetime(2024, 1, 1, tzinfo=UTC)
THINGS, WORDS = "id string, category string, at timestamp", "category string, english string, at timestamp"
FED = {"watermark": "at", "latest_by": ["at"], "quarantine_limit": "100%"}
DIM = ["thing_key bigint key", "id string", "english string", "valid_from timestamp", "valid_to timestamp",
       "is_current boolean"]  # fmt: skip


def at(minute: int) -> datetime:
    return DAY + timedelta(minutes=minute)


@pytest.fixture(scope="module")
def loaded(module_house, build):
    there = {"table": "word", "on": "category", "key": "category", "columns": {"english": "english"}}
    word = build.contract(["category string key", "english string", "at timestamp"], source="shop.word", **FED)
    columns = ["id string key", "category string", "english string", "at timestamp"]
    thing = build.contract(columns, source="shop.thing", history=True, references=[there], **FED)
    said = {"kind": "scd2", "changes_of": "thing", "key": ["id"], "sequence_by": ["at"], "surrogate": "thing_key"}
    dim = build.contract(DIM, **said), "SELECT id, english, at, _deleted FROM thing"
    made = module_house({"silver.word": word, "silver.thing": thing, "gold.dim_thing": dim})
    made.bring("word", WORDS, [("livro", "book", at(0), "upsert"), ("mesa", "table", at(0), "upsert")])
    made.bring("thing", THINGS, [("a", "livro", at(1), "upsert"), ("a", "mesa", at(2), "upsert")])
    made.bring("thing", THINGS, [("b", "mesa", at(1), "upsert"), ("c", "vela", at(1), "upsert")])
    made.ok("silver")
    return made


@pytest.fixture
def shop(loaded, tmp_path):
    return loaded.copy(tmp_path / "copy")


def versions(shop):
    return shop.rows("gold", "dim_thing", "id, english, is_current", "id NULLS FIRST, valid_from")[1:]


def test_what_changes_there_changes_here(shop):
    shop.ok("gold")
    assert shop.rows("silver", "thing", "id, english") == [("a", "table"), ("b", "table"), ("c", None)]
    # `livro` is what an older version of a thing was, nothing is a `faca`.
    shop.bring("word", WORDS, [("vela", "candle", at(3), "upsert"), ("livro", "novel", at(3), "upsert")])
    results = shop.ok("silver", "gold")
    assert results["silver.thing"].note == "what its references say changed: made anew from Bronze"
    assert shop.rows("silver", "thing", "id, english") == [("a", "table"), ("b", "table"), ("c", "candle")]
    assert versions(shop) == [("a", "novel", False), ("a", "table", True), ("b", "table", True), ("c", "candle", True)]
    shop.bring("word", WORDS, [("faca", "knife", at(4), "upsert")])
    assert shop.ok("silver")["silver.thing"].status == "SKIPPED"
    shop.bring("thing", THINGS, [("b", "livro", at(5), "upsert")])
    assert shop.ok("silver")["silver.thing"].ledger.updated == 1
    assert shop.rows("silver", "thing", "id, english")[1] == ("b", "novel")


def test_an_attempt_that_ended_between_history_and_table_is_made_good(shop, monkeypatch):
    shop.bring("word", WORDS, [("mesa", "desk", at(3), "upsert")])
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr("lakehouse.engine.silver_large._first_load", lambda *_: 1 / 0)
        shop.ok("silver")
    assert shop.rows("silver", "thing", "id, english")[0] == ("a", "table")
    shop.ok("silver")
    assert shop.rows("silver", "thing", "id, english") == [("a", "desk"), ("b", "desk"), ("c", None)]
    history = [("a", "book"), ("a", "desk"), ("b", "desk"), ("c", None)]
    assert shop.rows("silver", "thing_history", "id, english", 'id, "at"') == history
