"""The messages of a run of the producer: reviews as they are written, with trouble mixed in by share and seed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from lakehouse.source.made.lots import drawing
from lakehouse.streaming.event import Fields, moment, plain, review_fields
from lakehouse.streaming.reviews import Review
from lakehouse.streaming.troubles import TROUBLES, Draft, End, Trouble

REVIEW = "review"


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: `kind` is `review` or the name of a trouble, `sent_at` in microseconds since 1970."""

    kind: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
    sent_at: int


@dataclass(frozen=True)
class Mixture:
    """How trouble is mixed in: its share of all messages, the seed, and the topic's limit for one message in bytes."""

    share: float
    seed: int
    most_bytes: int


class Clock:
    """Microseconds since 1970, each reading later than the one before it."""

    def __init__(self, read: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        self._read, self._last = read, 0

    def tick(self) -> int:
        """Return now."""
        self._last = max(self._read(), self._last + 1)
        return self._last

    def whole_millisecond(self) -> int:
        """Return the first whole millisecond from now on: Kafka's own timestamps tell no smaller part."""
        self._last = -(-self.tick() // 1000) * 1000
        return self._last


def messages(reviews: Sequence[Review], mixture: Mixture, clock: Clock) -> Iterator[Message]:
    """Yield messages without end; reviews that have all been sent come again as newer answers.

    The same reviews and mixture give the same messages but for the moments in them, which are those of asking for the
    message. A trouble that needs a review before it (`follows`) comes after one and touches the same key: nothing of
    that key lies between the two.
    """
    rng = drawing(mixture.seed, "messages")
    answers, deck = _answers(reviews, rng), _deck(rng)
    last: Draft | None = None
    held: Trouble | None = None
    while True:
        trouble, held = held or (next(deck) if rng.random() < mixture.share else None), None
        if trouble is not None and trouble.follows and last is None:
            trouble, held = None, trouble
        sent_at = clock.whole_millisecond() if trouble and trouble.ends_chain else clock.tick()
        if trouble is None or last is None or not trouble.follows:
            draft = Draft(next(answers) | moment(sent_at), sent_at, rng, mixture.most_bytes)
        else:
            draft = last
        parts = trouble.make(draft) if trouble else plain(draft.fields)
        yield Message(trouble.name if trouble else REVIEW, *parts, sent_at)
        last = _last(trouble, draft, last)


def _last(trouble: Trouble | None, draft: Draft, last: Draft | None) -> Draft | None:
    """Return the review that what follows may touch: none where a later message may be of its key."""
    if trouble is None:
        return draft
    return None if trouble.ends_chain or trouble.end is End.WRITTEN else last


def _answers(reviews: Sequence[Review], rng: Random) -> Iterator[Fields]:
    """Yield each review as it is, and from then on with a score of another answer."""
    yield from map(review_fields, reviews)
    while True:
        for review in reviews:
            yield review_fields(review) | {"review_score": rng.randint(1, 5)}


def _deck(rng: Random) -> Iterator[Trouble]:
    """Yield troubles from a deck that holds every one by its weight, shuffled anew once it is used up."""
    while True:
        cards = [trouble for trouble in TROUBLES.values() for _ in range(trouble.weight)]
        rng.shuffle(cards)
        yield from cards
