"""Whether what a producer sent is in the lake, each event once: the topic's offsets beside Bronze and the audit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.audit.log import Audit
from lakehouse.audit.result import Ledger
from lakehouse.changes.files import Snapshot, snapshot
from lakehouse.errors import StateError, StreamUnbalanced
from lakehouse.lake import Lake
from lakehouse.settings import Settings
from lakehouse.specs import Table
from lakehouse.streaming.ends import ranges

_LEDGER = ("inserted", "updated", "unchanged", "stale", "duplicate", "quarantined", "deleted")


@dataclass(frozen=True)
class Partition:
    """One partition: what the run sent to it, how many events of it are in Bronze, and what no micro-batch names."""

    partition: int
    first: int
    end: int
    acknowledged: int
    kept: int
    missing: tuple[tuple[int, int], ...]
    doubled: int

    @property
    def is_whole(self) -> bool:
        """Whether every offset is in Bronze and in a micro-batch, each once."""
        return not self.missing and not self.doubled and self.kept == self.end - self.first


@dataclass(frozen=True)
class Reconciled:
    """What became of all that a producer's run sent: by partition, and the ledger of the micro-batches with it."""

    producer: str
    partitions: tuple[Partition, ...]
    ledger: Ledger
    batches: int


def reconcile(settings: Settings, audit: Audit, table: Table, producer: str) -> Reconciled:
    """Compare what a run sent with what was kept and taken in; the audit of other runs is looked at too.

    Raises StreamUnbalanced naming the offsets, StateError for a run that has handed nothing over.
    """
    sends = _handed_over(audit, producer)
    batches = audit.batches_since(table.full_name, min(row["started_at"] for row in sends))
    kept = _kept(settings, table, sends[0]["topic_id"])
    found = Reconciled(
        producer,
        tuple(_partition(row, kept, batches) for row in sends),
        sum((_ledger(batch) for batch in batches), Ledger()),
        len(batches),
    )
    _need_whole(found, table)
    return found


def _handed_over(audit: Audit, producer: str) -> list[dict[str, Any]]:
    sends = audit.sends_of(producer)
    if not sends or any(row["finished_at"] is None for row in sends):
        raise StateError(
            f"the run {producer} has not handed over what it sent.",
            where="audit.stream_sends",
            remedy="wait for its end; a producer that was killed is run again under the same id.",
        )
    return sends


def _kept(settings: Settings, table: Table, topic_id: str) -> pa.Table:
    """Return partition and offset of every event in Bronze that came of this topic."""
    lake = Lake(settings, table.pipeline)
    uri = lake.events(table)
    delta = lake.open(uri)
    if delta is None:
        return pa.table({"partition": pa.array([], pa.int32()), "offset": pa.array([], pa.int64())})
    events: Snapshot = snapshot(settings, delta, uri)
    return events.read(["partition", "offset"], among={"topic_id": pa.array([topic_id])})


def _partition(row: Mapping[str, Any], kept: pa.Table, batches: Iterable[Mapping[str, Any]]) -> Partition:
    number, first, end = row["partition"], row["first_offset"], row["next_offset"]
    mine = kept.filter(pc.equal(kept.column("partition"), number)).column("offset")
    inside = mine.filter(pc.and_(pc.greater_equal(mine, first), pc.less(mine, end)))
    taken = sorted(
        (each["from"], each["to"]) for batch in batches for each in batch["offsets"] if each["partition"] == number
    )
    missing, doubled = _gaps(taken, first, end)
    doubled += len(inside) - len(inside.unique())
    return Partition(number, first, end, row["acknowledged"], len(inside), missing, doubled)


def _gaps(taken: Sequence[tuple[int, int]], first: int, end: int) -> tuple[tuple[tuple[int, int], ...], int]:
    """Return what of `first` to `end` no range covers, and how many offsets are in two."""
    reached, missing, doubled = first, [], 0
    for begin, upto in taken:
        begin, upto = max(begin, first), min(upto, end)
        if upto <= begin:
            continue
        if begin > reached:
            missing.append((reached, begin))
        doubled += max(0, min(reached, upto) - begin)
        reached = max(reached, upto)
    if reached < end:
        missing.append((reached, end))
    return tuple(missing), doubled


def _ledger(batch: Mapping[str, Any]) -> Ledger:
    return Ledger(batch["received"], **{name: batch[name] for name in _LEDGER})


def _need_whole(found: Reconciled, table: Table) -> None:
    wrong = [each for each in found.partitions if not each.is_whole]
    if not wrong:
        return
    told = "; ".join(
        f"partition {each.partition}: {each.end - each.first} sent, {each.kept} kept, {each.doubled} doubled"
        + "".join(f", not taken in: {ranges({each.partition: gap})}" for gap in each.missing)
        for each in wrong
    )
    raise StreamUnbalanced(
        f"what {found.producer} sent is not what was taken in: {told}.",
        where=table.full_name,
        remedy="run the stream to its end (`lakehouse stream run`), then reconcile again.",
    )
