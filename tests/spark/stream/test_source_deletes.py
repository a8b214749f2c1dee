"""Deletes at the source of a table that a stream feeds too: what the stream alone brought stays."""

from __future__ import annotations

from datetime import UTC, datetime

import yaml
from pydantic import SecretStr


def compare_keys_with(database, shop):
    """Have the reviews' contract find deletes by their keys, in a source that has what the lake began with."""
    path = shop.house.pipeline / "silver" / "reviews.odcs.yaml"
    document = yaml.safe_load(path.read_text())
    document["customProperties"][0]["value"]["deletes"] = "key-scan"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    shop.house.settings = shop.house.settings.model_copy(update={"connections": {"source": SecretStr(database)}})


def begin_source(ask):
    ask("CREATE SCHEMA shop")
    ask(
        "CREATE TABLE shop.reviews (review_id text, order_id text, review_score smallint, review_comment_message text,"
        " review_answer_timestamp timestamp, updated_at timestamptz)"
    )
    ask("INSERT INTO shop.reviews VALUES ('r0', 'o0', 3, 'from the source', NULL, '2026-01-01T00:00Z')")


def run(shop):
    return shop.house.ok("bronze", "silver", tables=["reviews"])


def test_what_only_the_stream_brought_stays_and_what_the_source_deleted_goes(shop, say, ask, database):
    begin_source(ask)
    compare_keys_with(database, shop)
    shop.send(say(0, 1), say(1), say(2, 9))
    shop.take()
    for _ in range(2):
        assert run(shop)["bronze.reviews"].ledger.deleted == 0
        assert shop.silver("review_id, review_score") == [("r0", 1), ("r1", 5)]
        assert shop.quarantine("key, status") == [("r2\x1fo2", "quarantined")]
    ask("DELETE FROM shop.reviews")
    assert run(shop)["bronze.reviews"].ledger.deleted == 1
    assert shop.silver("review_id, review_score") == [("r1", 5)]
    assert {result.status for result in run(shop).values()} == {"SKIPPED"}


def test_what_the_stream_brings_back_after_the_source_deleted_it_stays(shop, say, ask, database):
    begin_source(ask)
    compare_keys_with(database, shop)
    new = "INSERT INTO shop.reviews VALUES ('r1', 'o1', 4, 'of this day', NULL, now())"
    ask(new)
    run(shop)
    ask("DELETE FROM shop.reviews WHERE review_id = 'r1'")
    run(shop)
    assert shop.silver("review_id") == [("r0",)]
    shop.send(say(1, 2, updated_at=datetime.now(UTC).isoformat()))
    shop.take()
    assert run(shop)["bronze.reviews"].ledger.deleted == 0
    assert shop.silver("review_id, review_score") == [("r0", 3), ("r1", 2)]
    ask(new)
    run(shop)
    ask("DELETE FROM shop.reviews WHERE review_id = 'r1'")
    run(shop)
    assert shop.silver("review_id") == [("r0",)]
