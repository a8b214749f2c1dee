"""What Kafka's client reads of messages as other clients write them, and what is said of those that it does not."""

from __future__ import annotations

import time

import pytest
from kafka import KafkaProducer, codec

from lakehouse.errors import EventUnreadable
from lakehouse.streaming.consumer import Consumer

pytestmark = pytest.mark.kafka


class Latin(str):
    """A name that is written as no UTF-8."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return b"caf\xe9"


def send(broker, topic: str, *values: bytes, compressed: str | None = None, headers=()) -> None:
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap, acks="all", compression_type=compressed)
    for value in values:
        producer.send(topic, value, partition=0, headers=list(headers)).get(10)
    producer.close()


def read(consumer: Consumer, count: int) -> list[bytes | None]:
    found, deadline = [], time.monotonic() + 20
    while len(found) < count and time.monotonic() < deadline:
        found += consumer.read(100, 0.2)
    return [each.value for each in found]


@pytest.mark.parametrize("compressed", ["gzip", "lz4", "snappy", "zstd"])
def test_a_message_is_read_however_it_is_compressed(broker, topic, compressed):
    values = [bytes([number]) * 300_000 for number in range(3)]
    send(broker, topic, *values, compressed=compressed)
    with Consumer(broker.bootstrap, topic, {0: 0}) as consumer:
        assert read(consumer, 3) == values


def test_a_codec_that_is_not_there_is_told_with_the_place_once_all_before_it_is_read(broker, topic, monkeypatch):
    send(broker, topic, b"one", b"two")
    send(broker, topic, b"x" * 1000, compressed="lz4")
    monkeypatch.setattr(codec, "lz4", None)
    with Consumer(broker.bootstrap, topic, {0: 0}) as consumer:
        assert read(consumer, 2) == [b"one", b"two"]
        for _ in range(2):
            need_refusal(consumer, rf"topic {topic}, partition 0, offset 2: .*lz4.*--accept-loss")
        assert consumer.offsets == {0: 2}


def test_a_header_whose_name_is_no_utf8_is_told_with_its_place(broker, topic):
    send(broker, topic, b"one")
    send(broker, topic, b"two", headers=[(Latin("x"), b"")])
    with Consumer(broker.bootstrap, topic, {0: 0}) as consumer:
        assert read(consumer, 1) == [b"one"]
        need_refusal(consumer, rf"topic {topic}, partition 0, offset 1: .*utf-8")


def need_refusal(consumer: Consumer, said: str) -> None:
    with pytest.raises(EventUnreadable, match=said) as caught:
        read(consumer, 1)
    assert not caught.value.heals
