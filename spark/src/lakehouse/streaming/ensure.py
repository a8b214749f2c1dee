"""Brings Kafka's topics to what `kafka/topics.yaml` says: made, widened, altered, or left as they are."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource
from kafka.errors import KafkaError, TopicAlreadyExistsError

from lakehouse.errors import SpecError
from lakehouse.streaming.broker import administrator, configuration_of
from lakehouse.streaming.topics import Topic


@dataclass(frozen=True)
class Ensured:
    """What was done to a topic: `created`, or `partitions added` and `config altered`; empty where nothing was."""

    topic: str
    done: tuple[str, ...]

    def __str__(self) -> str:
        """Say it in a few words."""
        return ", ".join(self.done) or "unchanged"


def ensure_topics(bootstrap: str, wanted: Sequence[Topic]) -> list[Ensured]:
    """Bring topics to what is wanted and say what was done to each; safe to do again, and by two at once.

    SpecError, before anything is changed, where a topic has more partitions than wanted: Kafka takes none away.
    KafkaUnavailable when no broker answers.
    """
    with administrator(bootstrap) as client:
        found = partitions_of(client, [topic.name for topic in wanted])
        for topic in wanted:
            _refuse_fewer(topic, found.get(topic.name, 0))
        return [Ensured(topic.name, _ensure(client, topic, found.get(topic.name))) for topic in wanted]


def make_anew(bootstrap: str, topic: Topic) -> bool:
    """Delete a topic with all of its messages and make it again; tell whether it was there."""
    with administrator(bootstrap) as client:
        there = bool(partitions_of(client, [topic.name]))
        if there:
            client.delete_topics([topic.name])
        while partitions_of(client, [topic.name]):
            time.sleep(0.1)
        _ensure(client, topic, None)
        return there


def partitions_of(client: KafkaAdminClient, names: Sequence[str]) -> dict[str, int]:
    """Return how many partitions each topic has; those that Kafka does not know are left out."""
    return {each["name"]: len(each["partitions"]) for each in client.describe_topics(list(names)) if each["partitions"]}


def _refuse_fewer(topic: Topic, there: int) -> None:
    if there > topic.partitions:
        raise SpecError(
            f"it has {there} partitions, and {topic.partitions} are wanted: Kafka takes none away.",
            where=f"topic {topic.name}",
            allowed=f"{there} or more",
            remedy="write that number into kafka/topics.yaml, or give the topic another name.",
        )


def _ensure(client: KafkaAdminClient, topic: Topic, there: int | None) -> tuple[str, ...]:
    if there is None and _create(client, topic):
        return ("created",)
    done = []
    if there is not None and there < topic.partitions:
        client.create_partitions({topic.name: topic.partitions})
        done.append("partitions added")
    # Who made it, or widened it, may have done so a moment ago, and the broker's own metadata follow.
    client.wait_for_topics([topic.name])
    if _alter(client, topic):
        done.append("config altered")
    return tuple(done)


def _create(client: KafkaAdminClient, topic: Topic) -> bool:
    """Make a topic; false where another made it in the meantime."""
    form: dict[str, Any] = {"num_partitions": topic.partitions, "configs": topic.configuration}
    try:
        client.create_topics({topic.name: form}, wait_for_metadata=True)
    except TopicAlreadyExistsError:
        return False
    except KafkaError as error:
        if error.retriable:
            raise
        raise _refused(topic, topic.configuration, str(error)) from error
    return True


def _alter(client: KafkaAdminClient, topic: Topic) -> bool:
    found = configuration_of(client, topic.name, list(topic.configuration))
    differing = {name: value for name, value in topic.configuration.items() if found[name] != value}
    if differing:
        resource = ConfigResource("TOPIC", topic.name, differing)
        # The client hands a broker's refusal over as text and raises nothing.
        said = client.alter_configs([resource], raise_on_unknown=False)["topic"][topic.name]
        if said != "OK":
            raise _refused(topic, differing, said)
    return bool(differing)


def _refused(topic: Topic, differing: dict[str, str], said: str) -> SpecError:
    wanted = ", ".join(f"{name}={value}" for name, value in differing.items())
    return SpecError(
        f"Kafka refuses {wanted}: {said}.",
        where=f"topic {topic.name}",
        remedy="correct it in kafka/topics.yaml, or ask whoever runs Kafka for the right to alter the topic's config.",
    )
