"""Reads a topic from given offsets on; where it stands is kept by the caller, with the rows, and not in Kafka."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Self

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import CorruptRecordError, KafkaError, OffsetOutOfRangeError, UnsupportedCodecError

from lakehouse.errors import EventUnreadable, OffsetsLost
from lakehouse.streaming.broker import BOOTSTRAP_MS, REQUEST_MS, unavailable
from lakehouse.streaming.events import Event

# Two fetches are less, as a Parquet file, than the driver reads of one version (changes.files.MOST_BYTES).
_FETCH_BYTES, _PARTITION_BYTES = 8 << 20, 4 << 20
_POLL_MS = 100
# Records of one poll at most, and as many as are a sign that more have come than were fetched.
_PER_POLL, _BEHIND = 5_000, 2_000


class Consumer:
    """Every partition of a topic, from given offsets on; whatever Kafka's client raises leaves as one of our errors."""

    def __init__(self, bootstrap: str, topic: str, offsets: Mapping[int, int]) -> None:
        self.offsets = dict(offsets)
        self._bootstrap, self._topic = bootstrap, topic
        self._unreadable: EventUnreadable | None = None
        try:
            self._consumer = KafkaConsumer(
                bootstrap_servers=bootstrap.split(","), bootstrap_timeout_ms=BOOTSTRAP_MS,
                request_timeout_ms=REQUEST_MS,
                enable_auto_commit=False, auto_offset_reset="none", isolation_level="read_committed",
                fetch_max_bytes=_FETCH_BYTES, max_partition_fetch_bytes=_PARTITION_BYTES, max_poll_records=_PER_POLL,
                fetch_max_wait_ms=_POLL_MS, reconnect_backoff_max_ms=500,
            )  # fmt: skip
        except KafkaError as error:
            raise unavailable(bootstrap, error) from None
        self._consumer.assign([TopicPartition(topic, number) for number in self.offsets])
        for number, offset in self.offsets.items():
            self._consumer.seek(TopicPartition(topic, number), offset)

    def read(self, most: int, seconds: float) -> list[Event]:
        """Return events as they come for up to `seconds`, in the order of their offsets; `offsets` moves with them.

        It is back as soon as there are `most` of them or 8 MiB (a fetch more), or when what had come was fetched. Where
        a lot had come, it goes on beyond `seconds`: a backlog is taken in by few large micro-batches, not many small.
        Raises EventUnreadable when all before such an event has been returned.
        """
        if self._unreadable is not None:
            raise self._unreadable
        found: list[Event] = []
        deadline, size = time.monotonic() + seconds, 0
        while len(found) < most and size < _FETCH_BYTES and self._unreadable is None:
            left = deadline - time.monotonic()
            fetched = self._poll(0 if left <= 0 else min(_POLL_MS, int(left * 1000) + 1))
            found += fetched
            if self._unreadable is not None and not found:
                raise self._unreadable
            size += sum(len(each.value or b"") for each in fetched)
            if len(fetched) < _BEHIND and (left <= 0 or (found and not fetched)):
                break
        return found

    def _poll(self, milliseconds: int) -> list[Event]:
        try:
            fetched = self._consumer.poll(timeout_ms=milliseconds)
        except OffsetOutOfRangeError as error:
            raise OffsetsLost(
                f"offsets to be read next are not there any more: {error}.",
                where=f"topic {self._topic}",
                remedy="run again: the next run names the range.",
            ) from error
        except (CorruptRecordError, UnsupportedCodecError) as error:
            self._unreadable = self._refused(error)
            return []
        except KafkaError as error:
            raise unavailable(self._bootstrap, error) from error
        events = [
            _event(record, self._leader(partition)) for partition, records in fetched.items() for record in records
        ]
        for partition in self._consumer.assignment():
            # Beyond the last record too, and where there was none: aborted records and the markers of transactions
            # have offsets and are not returned.
            self.offsets[partition.partition] = self._consumer.position(partition)
        return events

    def _refused(self, error: KafkaError) -> EventUnreadable:
        at = self._consumer._fetcher._next_partition_records
        place = "" if at is None else f", partition {at.topic_partition.partition}, offset {at.next_fetch_offset}"
        return EventUnreadable(
            f"the event cannot be read: {' '.join(str(error).split())}.",
            where=f"topic {self._topic}{place}",
            remedy="take it out of the topic (`kafka-delete-records.sh`, up to the next offset), then --accept-loss.",
        )

    def _leader(self, partition: TopicPartition) -> int:
        leader = self._consumer._client.cluster.leader_for_partition(partition)
        return -1 if leader is None else int(leader)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()


def _event(record: Any, broker: int) -> Event:
    epoch = -1 if record.leader_epoch is None else int(record.leader_epoch)
    headers = [(name, value) for name, value in record.headers or ()]
    return Event(
        record.partition, record.offset, record.timestamp, record.key, record.value, headers, broker, epoch
    )  # fmt: skip
