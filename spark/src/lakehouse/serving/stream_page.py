"""A stream as the page of all streams shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from lakehouse.audit.history import Row
from lakehouse.errors import LakehouseError
from lakehouse.serving.bars import LatencyBar, latency_bars
from lakehouse.serving.messages import ShownMessage, personal_columns, shown_message
from lakehouse.serving.streams import Look, Topic
from lakehouse.serving.words import Fault
from lakehouse.streaming.ends import start_of


@dataclass(frozen=True)
class PartitionRow:
    """A partition's offsets: what is there, and the next one to be taken in; None where that is not known."""

    partition: int
    earliest: int | None
    latest: int | None
    taken: int | None

    @property
    def lag(self) -> int | None:
        """Return how many offsets are still to be taken in; those that are gone for good are none."""
        if self.latest is None or self.earliest is None or self.taken is None:
            return None
        return max(0, self.latest - max(self.taken, self.earliest))


@dataclass(frozen=True)
class StreamPage:
    """A stream with its partitions, newest messages and micro-batches; `faults` say what is away or lost.

    `messages` and `run` are None where they are not known; `hidden` are the columns that messages are shown without.
    """

    name: str
    table: str
    topic: str
    topic_ids: list[str]
    partitions: list[PartitionRow]
    lag: int | None
    held: int | None
    messages: list[ShownMessage] | None
    hidden: list[str]
    run: Row | None
    batches: list[Row] | None
    bars: list[LatencyBar]
    faults: list[tuple[str, Fault]]


def stream_page(look: Look, now: datetime, secrets: Sequence[str]) -> StreamPage:
    """Return what a look has found, in the order in which it is shown."""
    audited = None if isinstance(look.audited, LakehouseError) else look.audited
    partitions = _partitions(look)
    lags = [each.lag for each in partitions]
    topic = None if isinstance(look.topic, LakehouseError) else look.topic
    return StreamPage(
        name=f"{look.table.pipeline}.{look.table.name}",
        table=look.table.full_name,
        topic=look.table.need_stream()[1].topic,
        topic_ids=[topic.facts.topic_id] if topic else sorted(_taken(look)),
        partitions=partitions,
        lag=sum(lag for lag in lags if lag is not None) if partitions and None not in lags else None,
        held=topic.facts.messages if topic else None,
        messages=_messages(look, topic, now),
        hidden=personal_columns(look.table),
        run=audited.run if audited else None,
        batches=audited.batches if audited else None,
        bars=latency_bars(audited.batches) if audited else [],
        faults=[(title, Fault.of(str(error), secrets)) for title, error in _errors(look, topic)],
    )


def _taken(look: Look) -> Mapping[str, Mapping[int, int]]:
    return {} if look.taken is None or isinstance(look.taken, LakehouseError) else look.taken


def _partitions(look: Look) -> list[PartitionRow]:
    """A topic that was made anew has nothing of it taken in; without Kafka there is what was taken in of the last."""
    taken = _taken(look)
    if isinstance(look.topic, LakehouseError):
        rows = {number: end for ends in taken.values() for number, end in ends.items()} if len(taken) == 1 else {}
        return [PartitionRow(number, None, None, end) for number, end in sorted(rows.items())]
    facts = look.topic.facts
    mine: Mapping[int, int | None] = taken.get(facts.topic_id, {})
    if isinstance(look.taken, LakehouseError):
        mine = dict.fromkeys((each.partition for each in facts.partitions), None)
    return [
        PartitionRow(each.partition, each.earliest, each.latest, mine.get(each.partition, each.earliest))
        for each in facts.partitions
    ]


def _messages(look: Look, topic: Topic | None, now: datetime) -> list[ShownMessage] | None:
    if topic is None or isinstance(topic.newest, LakehouseError):
        return None
    return [shown_message(event, look.table, now) for event in topic.newest]


def _errors(look: Look, topic: Topic | None) -> list[tuple[str, LakehouseError]]:
    found: list[tuple[str, object]] = [
        ("The topic is not known now", look.topic),
        ("The newest messages are not known now", topic and topic.newest),
        ("What was taken in is not known now", look.taken),
        ("Its runs are not known now", look.audited),
        ("The next run will not begin", _refusal(look, topic)),
    ]
    return [(title, error) for title, error in found if isinstance(error, LakehouseError)]


def _refusal(look: Look, topic: Topic | None) -> LakehouseError | None:
    """Return what a run that began now would be refused for: a topic made anew, offsets that are gone."""
    try:
        if topic is not None:
            start_of(topic.facts, _taken(look), accept_loss=False)
    except LakehouseError as error:
        return error
    return None
