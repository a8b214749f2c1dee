"""Trouble that the producer makes on purpose, and what each is expected to end as."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any

from lakehouse.streaming.event import Fields, Parts, encode, key_of, moment, plain

DEPTH = 10_000
LARGE_BYTES = 500_000
_WRONG: tuple[Fields, ...] = (
    {"review_score": "five"},
    {"review_score": 4.5},
    {"review_score": [5]},
    {"review_creation_date": "some day"},
)


class End(StrEnum):
    """What becomes of a message.

    WRITTEN is inserted or updated, unless a newer message of its key is merged before it or with it: then it is stale.
    """

    WRITTEN = "written"
    DUPLICATE = "duplicate"
    STALE = "stale"
    QUARANTINED = "quarantined"
    DELETED = "deleted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Draft:
    """What a trouble is made of: a review's fields and moment (microseconds since 1970), a source of chance, and the
    topic's limit for one message in bytes.
    """

    fields: Fields
    at: int
    rng: Random
    most_bytes: int

    def but(self, **others: Any) -> Parts:
        """Return the message with other values in some fields."""
        return plain(self.fields | others)

    def raw(self, value: bytes) -> Parts:
        """Return the message with this for its value."""
        return key_of(self.fields), value, []


@dataclass(frozen=True)
class Trouble:
    """A kind of trouble: `weight` is how many of it a deck holds.

    One that `follows` touches the key of the review sent last; nothing follows one that ends the chain.
    """

    name: str
    end: End
    make: Callable[[Draft], Parts]
    weight: int = 10
    follows: bool = False
    ends_chain: bool = False


def _late(draft: Draft) -> Parts:
    older = moment(draft.at - draft.rng.randint(1, 3_600) * 1_000_000)
    return draft.but(**older, review_comment_message="Written before the newer answer, and come after it.")


def _deep(draft: Draft) -> Parts:
    return draft.raw(encode(draft.fields)[:-1] + b',"deep":' + b"[" * DEPTH + b"]" * DEPTH + b"}")


def _nameless(draft: Draft) -> Parts:
    return draft.raw(encode({name: value for name, value in draft.fields.items() if name != "review_id"}))


def _tombstone(draft: Draft) -> Parts:
    return key_of(draft.fields), None, [("review_id", draft.fields["review_id"].encode())]


def _latin_1(draft: Draft) -> Parts:
    return draft.raw(encode(draft.fields | {"review_comment_message": "caf~"}).replace(b"caf~", b"caf\xe9"))


def _surrogate(draft: Draft) -> Parts:
    return draft.raw(json.dumps(draft.fields | {"review_comment_message": "half of a pair: \ud83d"}).encode())


_ALL = (
    Trouble("duplicate", End.DUPLICATE, lambda draft: plain(draft.fields), follows=True),
    Trouble("late", End.STALE, _late, follows=True),
    Trouble("from_1970", End.STALE, lambda draft: draft.but(**moment(0)), follows=True),
    Trouble("tombstone", End.DELETED, _tombstone, follows=True, ends_chain=True),
    Trouble("from_the_future", End.QUARANTINED, lambda draft: draft.but(updated_at="2999-01-01T00:00:00.000000Z")),
    Trouble("malformed", End.QUARANTINED, lambda draft: draft.raw(encode(draft.fields)[: -draft.rng.randint(2, 20)])),
    Trouble("array", End.QUARANTINED, lambda draft: draft.raw(b"[" + encode(draft.fields) + b"]")),
    Trouble("not_a_number", End.QUARANTINED, lambda draft: draft.but(review_score=float("nan"))),
    Trouble("doubled_key", End.QUARANTINED, lambda draft: draft.raw(encode(draft.fields)[:-1] + b',"review_score":1}')),
    Trouble("deep", End.QUARANTINED, _deep, weight=2),
    Trouble("wrong_type", End.QUARANTINED, lambda draft: draft.but(**draft.rng.choice(_WRONG))),
    Trouble("out_of_range", End.QUARANTINED, lambda draft: draft.but(review_score=draft.rng.choice((-1, 0, 6, 99)))),
    Trouble("missing_key", End.QUARANTINED, _nameless),
    Trouble("invalid_utf8", End.QUARANTINED, _latin_1),
    Trouble("lone_surrogate", End.QUARANTINED, _surrogate),
    Trouble("null_key", End.QUARANTINED, lambda draft: (None, encode(draft.fields), [])),
    Trouble("unknown_field", End.WRITTEN, lambda draft: draft.but(channel="app", helpful_votes=3)),
    Trouble("large", End.WRITTEN, lambda draft: draft.but(review_comment_message="x" * LARGE_BYTES), weight=1),
    Trouble("oversized", End.REFUSED, lambda draft: draft.but(review_comment_message="x" * draft.most_bytes), weight=1),
)
TROUBLES: Mapping[str, Trouble] = {trouble.name: trouble for trouble in _ALL}
