"""What a topic is and holds now: its id, its partitions, the offsets of their messages."""

from __future__ import annotations

from dataclasses import dataclass

from kafka import KafkaAdminClient, TopicPartition
from kafka.protocol.consumer import OffsetSpec

from lakehouse.errors import ParameterError, did_you_mean
from lakehouse.streaming.broker import BOOTSTRAP_MS, administrator, configuration_of

_LONGEST = "max.message.bytes"


@dataclass(frozen=True)
class PartitionFacts:
    """A partition's messages: offsets from `earliest` up to `latest`, which is not there yet."""

    partition: int
    earliest: int
    latest: int


@dataclass(frozen=True)
class TopicFacts:
    """A topic by its name and its id, a UUID as text: a topic that is made anew gets another one."""

    topic: str
    topic_id: str
    max_message_bytes: int
    partitions: tuple[PartitionFacts, ...]

    @property
    def messages(self) -> int:
        """Return how many offsets there are; compaction leaves fewer messages."""
        return sum(each.latest - each.earliest for each in self.partitions)


def topic_facts(bootstrap: str, topic: str, *, bootstrap_ms: int = BOOTSTRAP_MS) -> TopicFacts:
    """Look at a topic; ParameterError for one that Kafka does not know, KafkaUnavailable when no broker answers.

    A broker that refuses is tried again for `bootstrap_ms`.
    """
    with administrator(bootstrap, bootstrap_ms=bootstrap_ms) as client:
        (found,) = client.describe_topics([topic])
        if not found["partitions"]:
            raise _unknown(client, topic)
        numbers = sorted(each["partition_index"] for each in found["partitions"])
        longest = int(configuration_of(client, topic, [_LONGEST])[_LONGEST])
        return TopicFacts(topic, found["topic_id"], longest, _offsets(client, topic, numbers))


def _offsets(client: KafkaAdminClient, topic: str, numbers: list[int]) -> tuple[PartitionFacts, ...]:
    partitions = [TopicPartition(topic, number) for number in numbers]
    earliest, latest = (
        client.list_partition_offsets(dict.fromkeys(partitions, spec))
        for spec in (OffsetSpec.EARLIEST, OffsetSpec.LATEST)
    )
    return tuple(PartitionFacts(each.partition, earliest[each].offset, latest[each].offset) for each in partitions)


def _unknown(client: KafkaAdminClient, topic: str) -> ParameterError:
    known = sorted(name for name in client.list_topics() if not name.startswith("__"))
    return ParameterError(
        f'Kafka has no topic "{topic}".{did_you_mean(topic, known)}',
        allowed=", ".join(known) or "none is there",
        remedy="`lakehouse stream topics` makes those of kafka/topics.yaml.",
    )
