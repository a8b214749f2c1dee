"""Sends messages, and counts as sent what the broker has acknowledged."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError, RecordListTooLargeError
from kafka.partitioner.default import murmur2

from lakehouse.streaming.broker import BOOTSTRAP_MS, unavailable
from lakehouse.streaming.facts import TopicFacts
from lakehouse.streaming.messages import Message
from lakehouse.streaming.outcome import Outcome

# Messages on their way at most: of what is sent, so much is held in memory.
MOST_UNDERWAY = 20_000
# Bytes: of a request to one partition, and of what Kafka adds to a message at most.
MOST_BATCH, OVERHEAD = 128 * 1024, 512
_REFUSALS = (MessageSizeTooLargeError, RecordListTooLargeError)


class Sender:
    """Sends to one topic, by keys as Kafka's own clients do; `outcome` grows with what the broker answers.

    What is not acknowledged within the producer's own patience is KafkaUnavailable; what is too large is counted.
    """

    def __init__(self, exact: KafkaProducer, outsized: KafkaProducer, facts: TopicFacts, outcome: Outcome) -> None:
        self._exact, self._outsized, self._facts, self.outcome = exact, outsized, facts, outcome
        self._answers: deque[tuple[Message, int, Any]] = deque()
        self.underway = 0

    def send(self, message: Message) -> None:
        """Hand a message over; waits where too many are underway."""
        while self.underway >= MOST_UNDERWAY:
            self.settle()
            time.sleep(0.002)
        partition = self._partition(message)
        size = len(message.key or b"") + len(message.value or b"")
        # One refused message ends an idempotent producer of this client for good: what will be refused has its own.
        fits = size + OVERHEAD <= self._facts.max_message_bytes
        sent = (self._exact if fits else self._outsized).send(
            self._facts.topic,
            message.value,
            message.key,
            message.headers,
            partition,
            message.sent_at // 1000,
        )
        self.underway += 1
        sent.add_both(lambda answer: self._answers.append((message, partition, answer)))

    def _partition(self, message: Message) -> int:
        number = message.sent_at if message.key is None else murmur2(message.key) & 0x7FFFFFFF
        return number % len(self._facts.partitions)

    def settle(self) -> None:
        """Take in what the broker has answered so far."""
        while self._answers:
            message, partition, answer = self._answers.popleft()
            self.underway -= 1
            if isinstance(answer, _REFUSALS):
                self.outcome.refuse(partition)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                self.outcome.take(message, partition, answer.offset)

    def finish(self, patience: float) -> None:
        """Wait until every message has its answer, `patience` seconds at most."""
        deadline = time.monotonic() + patience
        while self.underway:
            self.settle()
            if time.monotonic() > deadline:
                raise KafkaTimeoutError(f"{self.underway} messages have no answer after {patience:g} s")
            time.sleep(0.005)


@contextmanager
def sender(bootstrap: str, facts: TopicFacts, outcome: Outcome, patience: float) -> Iterator[Sender]:
    """Hold an idempotent producer that waits for all replicas; a message has `patience` seconds to be acknowledged.

    Errors of Kafka's client leave as KafkaUnavailable. At the end, a failed one too, what was answered is counted.
    """
    try:
        exact = _producer(bootstrap, facts, patience, idempotent=True)
        outsized = _producer(bootstrap, facts, patience, idempotent=False)
    except KafkaError as error:
        raise unavailable(bootstrap, error) from None
    sending = Sender(exact, outsized, facts, outcome)
    try:
        yield sending
        sending.finish(patience + 5)
    except KafkaError as error:
        raise unavailable(bootstrap, error) from error
    finally:
        for producer in (exact, outsized):
            _close(producer)
        _count_the_rest(sending)


def _producer(bootstrap: str, facts: TopicFacts, patience: float, *, idempotent: bool) -> KafkaProducer:
    return KafkaProducer(
        bootstrap_servers=bootstrap.split(","),
        bootstrap_timeout_ms=BOOTSTRAP_MS,
        acks="all",
        enable_idempotence=idempotent,
        linger_ms=20,
        batch_size=min(MOST_BATCH, facts.max_message_bytes // 2),
        # Above the topic's own limit: that one is the broker's to hold.
        max_request_size=2 * facts.max_message_bytes + 1_000_000,
        request_timeout_ms=5_000,
        delivery_timeout_ms=round(patience * 1000),
        max_block_ms=BOOTSTRAP_MS,
        reconnect_backoff_max_ms=500,
        allow_auto_create_topics=False,
        metrics_enabled=False,
    )


def _close(producer: KafkaProducer) -> None:
    """End a producer; where messages are underway still, its own close() would leave its thread sending them."""
    try:
        producer.close(timeout=1)
    except KafkaError:
        producer._sender.force_close()


def _count_the_rest(sending: Sender) -> None:
    while sending.underway:
        before = sending.underway
        try:
            sending.settle()
        except KafkaError:
            continue
        if sending.underway == before:
            return
