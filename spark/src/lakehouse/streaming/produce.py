"""Produces review events at a pace, and hands over what was acknowledged: which offsets, of which partitions."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TextIO

from lakehouse.audit.log import Audit
from lakehouse.audit.stream_rows import Sends
from lakehouse.errors import AuditUnavailable, ParameterError, StoreUnavailable
from lakehouse.log import get_logger
from lakehouse.streaming.facts import TopicFacts, topic_facts
from lakehouse.streaming.messages import Clock, Message, Mixture, messages
from lakehouse.streaming.outcome import Outcome
from lakehouse.streaming.reviews import Review
from lakehouse.streaming.send import Sender, sender

lines = get_logger(__name__)
# Seconds. A shorter sleep costs more than the messages that could be sent in it.
TELL_SECONDS, SHORTEST_PAUSE = 1.0, 0.001


@dataclass(frozen=True)
class Request:
    """What to produce: `count` messages at `rate` a second (0: as fast as they go), and trouble by share and seed.

    After `minutes` no more are sent (0: no limit).
    A message has `patience` seconds to be acknowledged. `log` is a file for a line of JSON a message.
    """

    run_id: str
    topic: str
    count: int
    rate: float = 0
    trouble_share: float = 0
    seed: int = 42
    patience: float = 60
    log: Path | None = None
    minutes: float = 0


@dataclass(frozen=True)
class Produced:
    """What was acknowledged, by partition and by kind of message, and what the broker refused; within `seconds`."""

    run_id: str
    topic: str
    topic_id: str
    partitions: list[Sends]
    kinds: dict[str, int]
    seconds: float

    @property
    def acknowledged(self) -> int:
        """Return how many messages the broker has."""
        return sum(each.acknowledged for each in self.partitions)

    @property
    def refused(self) -> int:
        """Return how many messages the broker did not want."""
        return sum(each.refused for each in self.partitions)


def produce(
    bootstrap: str,
    audit: Audit,
    reviews: Sequence[Review],
    request: Request,
    tell: Callable[[int], None] = lambda acknowledged: None,
    stop: Event | None = None,
) -> Produced:
    """Send messages and return once each is acknowledged or refused; `tell` hears once a second how many are.

    Once `stop` is set no more are sent; SystemExit when each that was sent has its answer. The offsets are in
    audit.stream_sends from the start, with their ends once this returns or fails; one that is told to end has not
    failed: what it sent is all that is waited for. ParameterError for an unknown topic, KafkaUnavailable when a message
    was not acknowledged in time: what was stays counted.
    """
    if not reviews:
        raise ParameterError("there is no review to send.", remedy="put a file with reviews into raw/.")
    facts = topic_facts(bootstrap, request.topic)
    began = time.monotonic()
    mixture = Mixture(request.trouble_share, request.seed, facts.max_message_bytes)
    with (
        _opened(request.log) as log,
        _handed_over(audit, request.run_id, facts, log) as (outcome, hand_over),
        sender(bootstrap, facts, outcome, request.patience) as sending,
    ):

        def told(acknowledged: int) -> None:
            hand_over()
            tell(acknowledged)

        _pace(sending, messages(reviews, mixture, Clock()), request, told, stop or Event())
    seconds = time.monotonic() - began
    return Produced(request.run_id, facts.topic, facts.topic_id, outcome.sends(), dict(outcome.kinds), seconds)


@contextmanager
def _opened(path: Path | None) -> Iterator[TextIO | None]:
    if path is None:
        yield None
        return
    try:
        with path.open("w", encoding="utf-8", buffering=1 << 16) as file:
            yield file
    except OSError as error:
        raise StoreUnavailable(f"cannot be written: {error.strerror}.", where=str(path)) from error


@contextmanager
def _handed_over(
    audit: Audit, run_id: str, facts: TopicFacts, log: TextIO | None
) -> Iterator[tuple[Outcome, Callable[[], None]]]:
    """Hold the rows of what is sent: they say so from the start, how far it is when told to, and how it ended."""
    outcome = Outcome({each.partition: each.latest for each in facts.partitions}, log)
    earlier = audit.sends_began(run_id, facts.topic, facts.topic_id, outcome.first_offsets)

    def all_sends() -> list[Sends]:
        return [before + now for before, now in zip(earlier, outcome.sends(), strict=True)]

    def hand_over() -> None:
        try:
            audit.sends_moved(run_id, facts.topic, all_sends())
        except AuditUnavailable as error:
            lines.warning("how far it is cannot be written now", run=run_id, error=str(error))

    try:
        yield outcome, hand_over
    except Exception as error:
        audit.sends_failed(run_id, facts.topic, all_sends(), error)
        raise
    except BaseException:
        audit.sends_finished(run_id, facts.topic, all_sends())
        raise
    audit.sends_finished(run_id, facts.topic, all_sends())


def _pace(
    sending: Sender, stream: Iterator[Message], request: Request, tell: Callable[[int], None], stop: Event
) -> None:
    """Send each message when its time has come: where the broker was away, what is late goes at once."""
    began = told = time.monotonic()
    over = began + 60 * request.minutes if request.minutes else math.inf
    for number in range(request.count):
        due = began + number / request.rate if request.rate else 0.0
        if (early := due - time.monotonic()) > SHORTEST_PAUSE:
            stop.wait(min(early, max(0.0, over - time.monotonic())))
        if stop.is_set():
            sending.finish(request.patience)
            raise SystemExit(128 + signal.SIGTERM)
        if time.monotonic() >= over:
            return
        sending.send(next(stream))
        if time.monotonic() - told > TELL_SECONDS:
            told = time.monotonic()
            sending.settle()
            tell(sending.outcome.acknowledged.total())
