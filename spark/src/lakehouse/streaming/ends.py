"""Where a stream goes on, and where a bounded run of it ends: by what was taken in and what the topic holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lakehouse.errors import OffsetsLost, TopicChanged
from lakehouse.streaming.facts import TopicFacts


@dataclass(frozen=True)
class Start:
    """Offsets that are next, by partition; offsets that are gone for good; partitions that were not there before.

    `unseen`: offsets that were gone from a topic before it was read for the first time.
    """

    offsets: dict[int, int]
    lost: dict[int, tuple[int, int]] = field(default_factory=dict)
    fresh: tuple[int, ...] = ()
    unseen: dict[int, tuple[int, int]] = field(default_factory=dict)


def start_of(facts: TopicFacts, taken: Mapping[str, Mapping[int, int]], *, accept_loss: bool) -> Start:
    """Return where to go on; `taken` is the next offset of each partition by topic id (see `events.taken_in`).

    Raises TopicChanged where the topic was made anew, OffsetsLost where offsets aged out before they were read, each
    with the range, unless the loss is accepted.
    """
    if taken and facts.topic_id not in taken and not accept_loss:
        raise _made_anew(facts, taken)
    before = taken.get(facts.topic_id, {})
    lost = {
        each.partition: (before.get(each.partition, 0), each.earliest)
        for each in facts.partitions
        # A partition that is new since then was never read: it was to be read from its first offset.
        if before and before.get(each.partition, 0) < each.earliest
    }
    _need_reachable(facts, before)
    if lost and not accept_loss:
        raise OffsetsLost(
            f"{sum(end - begin for begin, end in lost.values())} offsets are gone from the topic before they were "
            f"read: {ranges(lost)}.",
            where=f"topic {facts.topic}",
            remedy="send them again if their producer can; to go on without them, --accept-loss.",
        )
    offsets = {each.partition: max(before.get(each.partition, 0), each.earliest) for each in facts.partitions}
    fresh = tuple(each.partition for each in facts.partitions if before and each.partition not in before)
    unseen = {} if before else {each.partition: (0, each.earliest) for each in facts.partitions if each.earliest}
    return Start(offsets, lost, fresh, unseen)


def _made_anew(facts: TopicFacts, taken: Mapping[str, Mapping[int, int]]) -> TopicChanged:
    had = "; ".join(
        f"id {topic_id}: {', '.join(f'partition {number} up to {end}' for number, end in sorted(ends.items()))}"
        for topic_id, ends in taken.items()
    )
    return TopicChanged(
        f"it was deleted and made anew (its id is {facts.topic_id}). Taken in before: {had}. What stood beyond that "
        "is gone.",
        where=f"topic {facts.topic}",
        remedy="to read the new one from its first offset, --accept-loss.",
    )


def _need_reachable(facts: TopicFacts, before: Mapping[int, int]) -> None:
    """A topic that ends before what was read of it has lost its tail: a broker came back without its last writes."""
    cut = {
        each.partition: (each.latest, before[each.partition])
        for each in facts.partitions
        if each.partition in before and each.latest < before[each.partition]
    }
    if cut:
        raise TopicChanged(
            f"it ends before offsets that were read of it: {ranges(cut)}. Its broker has lost them, Bronze has them.",
            where=f"topic {facts.topic}",
            remedy="make the topic anew and send what came after them again, then --accept-loss.",
        )


def latest_of(facts: TopicFacts) -> dict[int, int]:
    """Return the end of each partition now."""
    return {each.partition: each.latest for each in facts.partitions}


def missing(offsets: Mapping[int, int], ends: Mapping[int, int]) -> dict[int, tuple[int, int]]:
    """Return what is still to be read of each partition: from an offset up to another, which is not in it."""
    return {
        number: (offsets.get(number, 0), end) for number, end in sorted(ends.items()) if offsets.get(number, 0) < end
    }


def need_all_sent(topic: str, firsts: Mapping[int, int], unseen: Mapping[int, tuple[int, int]]) -> None:
    """Raise OffsetsLost where a producer began (`firsts`) with offsets that were gone before they were read."""
    lost = {
        number: (max(begin, firsts[number]), end)
        for number, (begin, end) in unseen.items()
        if number in firsts and firsts[number] < end
    }
    if lost:
        raise OffsetsLost(
            f"what the producer sent is gone from the topic before it was read: {ranges(lost)}.",
            where=f"topic {topic}",
            remedy="send it again; to go on without it, --accept-loss.",
        )


def ranges(found: Mapping[int, tuple[int, int]]) -> str:
    """Say ranges of offsets, both ends included."""
    return ", ".join(f"partition {number}, {begin} to {end - 1}" for number, (begin, end) in sorted(found.items()))
