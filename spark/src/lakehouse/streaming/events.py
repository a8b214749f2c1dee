"""Events of a topic as the lake keeps them: as they came, each with its place, before anything judges them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import pyarrow as pa

from lakehouse.changes.decide import DELETE

UPSERT = "upsert"
# What `_source` of a row from a stream begins with.
STREAMED = "kafka:"
_TIMESTAMP = pa.timestamp("us", "UTC")
# Milliseconds of the first and the last moment that readers of a table can show. A broker before Kafka 4 takes any
# number from a producer, such as microseconds.
_FIRST, _LAST = -62_135_596_800_000, 253_402_300_799_999
# `timestamp` is Kafka's, whole milliseconds; `_ingested_at` grows by a microsecond with each event of a partition, so
# that it orders them as their offsets do.
EVENTS = pa.schema(
    [
        ("topic", pa.string()), ("topic_id", pa.string()), ("partition", pa.int32()), ("offset", pa.int64()),
        ("timestamp", _TIMESTAMP), ("key", pa.binary()), ("value", pa.binary()),
        ("headers", pa.list_(pa.struct([("name", pa.string()), ("value", pa.binary())]))),
        ("broker", pa.int32()), ("leader_epoch", pa.int32()),
        ("_op", pa.string()), ("_run_id", pa.string()), ("_ingested_at", _TIMESTAMP), ("_source", pa.string()),
    ]
)  # fmt: skip


class Event(NamedTuple):
    """One event as a broker gave it; `timestamp` in milliseconds since 1970."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()
    broker: int = -1
    leader_epoch: int = -1


@dataclass(frozen=True)
class Origin:
    """Where events are from, and which run took them in."""

    topic: str
    topic_id: str
    run_id: str


def as_table(events: Sequence[Event], origin: Origin, since: datetime) -> pa.Table:
    """Return events, in the order of their offsets in each partition, as rows taken in from `since` on."""
    count = len(events)
    rows = {
        "topic": [origin.topic] * count,
        "topic_id": [origin.topic_id] * count,
        "partition": [each.partition for each in events],
        "offset": [each.offset for each in events],
        "timestamp": [min(max(each.timestamp, _FIRST), _LAST) * 1000 for each in events],
        "key": [each.key for each in events],
        "value": [each.value for each in events],
        "headers": [[{"name": name, "value": value} for name, value in each.headers] for each in events],
        "broker": [each.broker for each in events],
        "leader_epoch": [each.leader_epoch for each in events],
        "_op": [UPSERT if each.value is not None else DELETE for each in events],
        "_run_id": [origin.run_id] * count,
        "_ingested_at": [since + timedelta(microseconds=number) for number in range(count)],
        "_source": [f"{STREAMED}{origin.topic}/{each.partition}/{each.offset}" for each in events],
    }
    return pa.table({field.name: pa.array(rows[field.name], field.type) for field in EVENTS}, schema=EVENTS)


def mark(topic_id: str, partition: int) -> str:
    """Return the application id whose number is the next offset of a partition."""
    return f"kafka:{topic_id}:{partition}"


def taken_in(transactions: Mapping[str, int]) -> dict[str, dict[int, int]]:
    """Return the next offset of each partition by topic id, as the commits of a table of events say it."""
    found: dict[str, dict[int, int]] = {}
    for application, number in transactions.items():
        kind, _, place = application.partition(":")
        topic_id, _, partition = place.rpartition(":")
        if kind == "kafka" and partition.isdigit():
            found.setdefault(topic_id, {})[int(partition)] = number
    return found
