"""When a run of a stream has come to its end, and when it never will."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lakehouse.audit.log import Audit
from lakehouse.errors import (
    KafkaUnavailable,
    LeaseHeld,
    Overtaken,
    ProducerFailed,
    StoreUnavailable,
    StreamStalled,
    TopicChanged,
)
from lakehouse.log import get_logger
from lakehouse.streaming.ends import latest_of, missing, need_all_sent, ranges
from lakehouse.streaming.facts import TopicFacts, topic_facts

log = get_logger(__name__)
Until = Literal["now", "producer", "stopped"]
# Seconds between two looks at the producer's rows, and at the topic itself.
_PRODUCER, _TOPIC = 1.0, 30.0
# Seconds between two tries of a step, where the store is away or another writer was first: each is twice as long as the
# one before, up to this.
_STORE = 10.0
# Seconds for which another run may hold the table before that is a stall: as long as a first load takes.
_HELD = 3600.0


@dataclass(frozen=True)
class Bounds:
    """Until when a stream is run: what the topic holds at the start (`now`), what the run `producer` sends, or until
    it is told to stop, `minutes` later at the latest (0: no limit).

    A run that has an end to reach fails when nothing has moved for `patience` seconds, any run when the store has been
    away for so long.
    """

    until: Until = "now"
    producer: str = ""
    minutes: float = 0
    patience: float = 120


class End:
    """The end of one run, and how long nothing has moved."""

    def __init__(self, bounds: Bounds, bootstrap: str, facts: TopicFacts, audit: Audit, stop: threading.Event) -> None:
        self._bounds, self._bootstrap, self._facts, self._audit, self._stop = bounds, bootstrap, facts, audit, stop
        self._ends = latest_of(facts) if bounds.until == "now" else None
        self._moved = self._topic_seen = time.monotonic()
        self._asked, self._left = 0.0, math.inf
        self._sent = self._sent_before = 0
        self._failed = ""
        self._held_since = math.inf
        # What was gone of a topic before its first read, unless that is accepted.
        self.unseen: Mapping[int, tuple[int, int]] = {}
        self._away: tuple[float, float, StoreUnavailable | Overtaken] | None = None
        self._deadline = self._moved + 60 * bounds.minutes if bounds.minutes else None

    def is_reached(self, offsets: Mapping[int, int], *, waiting: bool) -> bool:
        """Tell whether all up to the end has been read and taken in, or the run is told to stop.

        `waiting`: events that were read are not in Silver yet. Raises what the store has said to a run that is told to
        stop while the store is away.
        """
        if not waiting and self.is_read(offsets):
            return True
        over = self._is_over()
        if over and self._away is not None:
            raise self._away[2]
        return over

    def need_reached(self, offsets: Mapping[int, int], *, waiting: bool, held: LeaseHeld | None) -> None:
        """Raise StreamStalled for a run that was told to stop before its end, ProducerFailed when all is taken in of a
        producer that failed.
        """
        if not waiting and self.is_read(offsets):
            self._need_whole_producer()
        elif self._bounds.until != "stopped":
            raise self._stalled("it was told to stop before its end", offsets, held)

    def is_read(self, offsets: Mapping[int, int]) -> bool:
        """Tell whether all up to the end has been read: what comes after it is the next run's."""
        ends = self._find_ends()
        return ends is not None and not missing(offsets, ends)

    def watch(self, offsets: Mapping[int, int], *, moved: bool, held: LeaseHeld | None = None) -> bool:
        """Look after a step whether anything moves still; tell whether the topic has other partitions now.

        Where all is read and another run holds the table (`held`), that run is waited for, an hour at most.
        Where offsets before the end are to be read, only those count, and while the end is not known what its producer
        sends: others may write to the topic meanwhile.
        Raises StreamStalled when patience is at its end, TopicChanged for a topic that was made anew.
        """
        now, self._away = time.monotonic(), None
        ends = self._find_ends()
        if left := sum(end - begin for begin, end in missing(offsets, ends or {}).values()):
            moved, self._left = left < self._left, left
        elif ends is None and self._bounds.until == "producer":
            moved, self._sent_before = self._sent > self._sent_before, self._sent
        if moved or (ends is not None and not left and self._may_hold(held, now)):
            self._moved = now
        elif self._bounds.until != "stopped" and now - self._moved > self._bounds.patience:
            raise self._stalled(f"nothing has moved for {self._bounds.patience:g} s", offsets, held)
        return now - self._topic_seen > _TOPIC and self._has_other_partitions()

    def _may_hold(self, held: LeaseHeld | None, now: float) -> bool:
        self._held_since = math.inf if held is None else min(self._held_since, now)
        return held is not None and now - self._held_since < _HELD

    def wait_after(self, error: StoreUnavailable | Overtaken) -> None:
        """Wait a little before a step that failed is tried again; raise `error` when patience is at its end, or the run
        is told to stop.
        """
        now = time.monotonic()
        since, pause, _ = self._away or (now, 0.5, error)
        if now - since > self._bounds.patience or self._is_over():
            raise error
        self._away = since, min(2 * pause, _STORE), error
        log.warning("a step is tried again; what was read is kept", error=str(error), seconds=round(now - since))
        if self._stop.wait(self._away[1]):
            raise error

    def _is_over(self) -> bool:
        return self._stop.is_set() or (self._deadline is not None and time.monotonic() > self._deadline)

    def _has_other_partitions(self) -> bool:
        try:
            facts = topic_facts(self._bootstrap, self._facts.topic)
        except KafkaUnavailable as error:
            if time.monotonic() - self._topic_seen > max(self._bounds.patience, 2 * _TOPIC):
                raise
            log.warning("Kafka is away", error=str(error))
            return False
        self._topic_seen = time.monotonic()
        self._need_same(facts.topic_id)
        before, self._facts = self._facts, facts
        return latest_of(facts).keys() != latest_of(before).keys()

    def _need_same(self, topic_id: str) -> None:
        if topic_id != self._facts.topic_id:
            raise TopicChanged(
                f"it was made anew while it was read: {self._facts.topic_id} is {topic_id} now.",
                where=f"topic {self._facts.topic}",
                remedy="run again: the next run names what was taken in of it.",
            )

    def _find_ends(self) -> Mapping[int, int] | None:
        """Return the offsets to reach; None while they are not known."""
        if self._ends is None and self._bounds.until == "producer" and time.monotonic() - self._asked > _PRODUCER:
            self._asked = time.monotonic()
            sends = [row for row in self._audit.sends_of(self._bounds.producer) if row["topic"] == self._facts.topic]
            for row in sends:
                self._need_same(row["topic_id"])
            need_all_sent(self._facts.topic, {row["partition"]: row["first_offset"] for row in sends}, self.unseen)
            self._sent = sum(row["acknowledged"] + row["refused"] for row in sends)
            if sends and all(row["finished_at"] is not None for row in sends):
                self._ends = {row["partition"]: row["next_offset"] for row in sends}
                self._failed = next((row["error"] for row in sends if row["error"]), "")
        return self._ends

    def _need_whole_producer(self) -> None:
        if self._failed:
            raise ProducerFailed(
                f"the run {self._bounds.producer} failed before it had sent all: {self._failed} "
                "What it sent is taken in.",
                where=f"topic {self._facts.topic}",
                remedy=f"send the rest; `lakehouse stream reconcile {self._bounds.producer}` compares what was sent.",
            )

    def _stalled(self, why: str, offsets: Mapping[int, int], held: LeaseHeld | None) -> StreamStalled:
        ends = self._find_ends()
        remedy = "see that the broker and the producer run; what was read is kept, and the next run goes on there."
        if ends is None:
            what = f"the run {self._bounds.producer} has not handed over what it sends"
        elif left := missing(offsets, ends):
            what = f"missing: {ranges(left)}"
        else:
            what = "all was read, but the table has not taken it in"
            if held is not None:
                what, remedy = (
                    f"{what}: {held.where} is {held.what.rstrip('.')}",
                    f"{held.remedy} What was read is kept.",
                )
        return StreamStalled(f"{why}; {what}.", where=f"topic {self._facts.topic}", remedy=remedy)
