"""The newest messages of a topic, for people to look at: nothing is kept, and no group's offsets move."""

from __future__ import annotations

import time

from lakehouse.streaming.consumer import Consumer
from lakehouse.streaming.ends import latest_of, missing
from lakehouse.streaming.events import Event
from lakehouse.streaming.facts import TopicFacts


def newest_events(bootstrap: str, facts: TopicFacts, most: int, seconds: float) -> list[Event]:
    """Return the newest messages of all partitions by Kafka's own time, newest first, at most `most`.

    What is not there after `seconds` is not waited for. Raises KafkaUnavailable, OffsetsLost.
    """
    starts = {
        each.partition: max(each.earliest, each.latest - most)
        for each in facts.partitions
        if each.latest > each.earliest
    }
    if not starts:
        return []
    ends = {number: end for number, end in latest_of(facts).items() if number in starts}
    found: list[Event] = []
    deadline = time.monotonic() + seconds
    with Consumer(bootstrap, facts.topic, starts) as consumer:
        while missing(consumer.offsets, ends) and (left := deadline - time.monotonic()) > 0:
            found += consumer.read(most * len(starts), left)
    return sorted(found, key=lambda each: (each.timestamp, each.partition, each.offset), reverse=True)[:most]
