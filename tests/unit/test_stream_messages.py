"""The producer's messages: their shape, the trouble in them, and that a seed makes the same ones again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import count, islice

import pytest

from lakehouse.streaming.messages import REVIEW, Clock, Message, Mixture, messages
from lakehouse.streaming.reviews import Review, read_reviews
from lakehouse.streaming.troubles import TROUBLES, End

BEGIN = 1_700_000_000_000_000
FIELDS = [
    *("review_id", "order_id", "review_score", "review_comment_title", "review_comment_message"),
    *("review_creation_date", "review_answer_timestamp", "updated_at"),
]
REVIEWS = [Review(f"r{n}", f"o{n}", 1 + n % 5, None, "Ótima 😊\n", "2018-01-02T00:00:00.000000Z") for n in range(100)]


def made(number: int, share: float = 0.0, seed: int = 1, reviews: list[Review] = REVIEWS) -> list[Message]:
    """Messages made by a clock that ticks a millisecond and a half."""
    ticks = count(BEGIN, 1_500)
    stream = messages(reviews, Mixture(share, seed, most_bytes=100_000), Clock(lambda: next(ticks)))
    return list(islice(stream, number))


def test_a_review_is_a_json_object_keyed_by_its_order():
    (first,) = made(1)
    assert (first.kind, first.key, first.headers) == (REVIEW, b"o0", [])
    told = json.loads(first.value)
    assert list(told) == FIELDS
    assert told["review_score"] == 1
    assert "Ótima 😊".encode() in first.value
    moment = datetime.fromisoformat(told["updated_at"])
    assert round(moment.timestamp() * 1e6) == first.sent_at
    assert told["review_answer_timestamp"] == f"{moment:%Y-%m-%dT%H:%M:%S}Z"


def test_reviews_come_again_as_newer_answers():
    sent = [json.loads(message.value) for message in made(250)]
    assert Counter(each["review_id"] for each in sent)["r0"] == 3
    moments = [each["updated_at"] for each in sent]
    assert moments == sorted(set(moments))
    assert all(1 <= each["review_score"] <= 5 for each in sent)


def test_a_seed_makes_the_same_messages_again():
    assert made(500, 0.5) == made(500, 0.5)
    assert [m.kind for m in made(500, 0.5)] != [m.kind for m in made(500, 0.5, seed=2)]


def test_every_trouble_comes_by_its_weight_and_all_of_them_by_the_share():
    deck = sum(trouble.weight for trouble in TROUBLES.values())
    kinds = Counter(message.kind for message in made(4 * deck, 0.5))
    assert kinds.keys() == {REVIEW, *TROUBLES}
    assert kinds.total() - kinds[REVIEW] == pytest.approx(2 * deck, rel=0.15)
    assert made(200, 0.0) == [message for message in made(200, 0.0) if message.kind == REVIEW]


def by_kind(share: float = 0.5) -> Iterator[tuple[Message, Message | None]]:
    """Every message with the review that its key had before it."""
    last: dict[bytes, Message] = {}
    for message in made(3_000, share):
        yield message, last.get(message.key or b"")
        if message.kind == REVIEW:
            last[message.key] = message


def test_what_follows_a_review_touches_the_newest_one_of_its_key():
    for message, before in by_kind():
        if message.kind == "duplicate":
            assert message.value == before.value
        if message.kind in ("late", "from_1970"):
            old, new = json.loads(before.value), json.loads(message.value)
            assert (new["review_id"], new["order_id"]) == (old["review_id"], old["order_id"])
            assert new["updated_at"] < old["updated_at"]
        if message.kind == "tombstone":
            assert message.value is None
            assert message.headers == [("review_id", json.loads(before.value)["review_id"].encode())]
            assert message.sent_at % 1000 == 0
            assert before.sent_at < message.sent_at


def test_no_written_message_lies_between_a_review_and_what_follows_it():
    written: dict[bytes, str] = {}
    for message in made(3_000, 0.5, reviews=REVIEWS[:5]):
        trouble = TROUBLES.get(message.kind)
        key = message.key or json.loads(message.value)["order_id"].encode()
        if trouble and trouble.follows:
            assert written[key] == REVIEW, message.kind
        if trouble is None or trouble.end in (End.WRITTEN, End.DELETED):
            written[key] = message.kind


def unreadable(value: bytes) -> str:
    """Why a strict reader of JSON objects takes a value for none; empty where it takes it."""

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("doubled")
        return dict(pairs)

    def never(name: str) -> float:
        raise ValueError(name)

    try:
        told = json.loads(value.decode(), object_pairs_hook=once, parse_constant=never)
        json.dumps(told, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        return type(error).__name__
    return "" if isinstance(told, dict) else "no object"


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("malformed", "JSONDecodeError"),
        ("array", "no object"),
        ("not_a_number", "ValueError"),
        ("doubled_key", "ValueError"),
        ("deep", "RecursionError"),
        ("invalid_utf8", "UnicodeDecodeError"),
        ("lone_surrogate", "UnicodeEncodeError"),
        ("wrong_type", ""),
        ("out_of_range", ""),
        ("missing_key", ""),
        ("from_the_future", ""),
        ("null_key", ""),
        ("unknown_field", ""),
        ("large", ""),
        ("oversized", ""),
    ],
)
def test_each_trouble_is_the_one_that_its_name_says(kind, why):
    found = [message for message, _ in by_kind() if message.kind == kind]
    assert found
    assert {unreadable(message.value) for message in found} == {why}


def test_values_that_the_contract_must_refuse_or_take():
    told = {
        kind: json.loads(m.value) for m, _ in by_kind() if (kind := m.kind) in ("missing_key", "unknown_field", "large")
    }
    assert "review_id" not in told["missing_key"]
    assert set(told["unknown_field"]) - set(FIELDS) == {"channel", "helpful_votes"}
    assert len(told["large"]["review_comment_message"]) == 500_000
    scores = {json.loads(m.value)["review_score"] for m, _ in by_kind() if m.kind == "out_of_range"}
    assert scores == {-1, 0, 6, 99}
    assert all(len(m.value) > 100_000 for m, _ in by_kind() if m.kind == "oversized")
    assert all(m.key is None for m, _ in by_kind() if m.kind == "null_key")


HEADER = (
    "review_id,order_id,review_score,review_comment_title,review_comment_message,review_creation_date,"
    "review_answer_timestamp\n"
)


def test_reviews_are_those_of_the_csv_file_line_breaks_and_quotes_included(tmp_path):
    row = 'a,b,4,,"two ""lines""\r\nof text",2018-01-18 00:00:00,2018-01-18 21:46:59\n'
    (tmp_path / "olist_order_reviews_dataset.csv").write_text(HEADER + row + row, newline="")
    asked = "2018-01-18T00:00:00.000000Z"
    assert read_reviews(tmp_path, 1) == [Review("a", "b", 4, None, 'two "lines"\r\nof text', asked)]
    assert len(read_reviews(tmp_path, 10)) == 2


def test_without_a_file_they_are_those_of_the_sample_of_the_seed(tmp_path):
    found = read_reviews(tmp_path / "nothing", 20, seed=7)
    assert len({(review.review_id, review.order_id) for review in found}) == 20
    assert found == read_reviews(tmp_path / "nothing", 20, seed=7)
    assert found != read_reviews(tmp_path / "nothing", 20, seed=8)
