"""Durations as bars: of runs beside each other, and of a run's tables under each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter

from lakehouse.audit.history import Row

# In the order in which a table goes through them; jsonb forgets it.
PHASES = (
    *("session", "plan", "read", "parse", "cast", "judge", "quarantine", "decide", "compute", "history", "write"),
    "compact",
)
LANE = 1000
TALL = 40
SHORTEST = 2.0
_MOST_BARS = 30


@dataclass(frozen=True)
class RunBar:
    """One run in a row of bars: its height out of TALL, and the run."""

    height: float
    run: Row


@dataclass(frozen=True)
class PipelineBars:
    """The newest runs of a pipeline, the oldest first."""

    pipeline: str
    bars: list[RunBar]
    longest: float


@dataclass(frozen=True)
class Segment:
    """A stretch of a lane, out of LANE: the phase that it stands for, "" for a time that no phase claims."""

    phase: str
    start: float
    width: float
    seconds: float


@dataclass(frozen=True)
class Lane:
    """When a table was worked on within its run, by phase."""

    table: str
    layer: str
    seconds: float
    segments: list[Segment]


def run_bars(runs: Sequence[Row]) -> list[PipelineBars]:
    """Return bars for the runs of each pipeline, those with two runs or more; pipelines by name."""
    in_order = sorted(runs, key=itemgetter("pipeline", "started_at"))
    by_name = {name: list(each)[-_MOST_BARS:] for name, each in groupby(in_order, key=itemgetter("pipeline"))}
    return [_bars(name, each) for name, each in by_name.items() if len(each) > 1]


def _bars(name: str, runs: Sequence[Row]) -> PipelineBars:
    longest = max(run["seconds"] for run in runs) or 1.0
    bars = [RunBar(max(SHORTEST, TALL * run["seconds"] / longest), run) for run in runs]
    return PipelineBars(name, bars, longest)


def lanes(tables: Sequence[Row]) -> list[Lane]:
    """Return a lane for each table that took time, over the stretch from the first start to the last end."""
    if not tables:
        return []
    began = min(row["started_at"] for row in tables)
    whole = max(_offset(began, row) + row["seconds"] for row in tables) or 1.0
    return [
        Lane(row["table_name"], row["layer"], row["seconds"], _segments(row, _offset(began, row), LANE / whole))
        for row in tables
    ]


def phases_of(spent: Iterable[Lane]) -> list[str]:
    """Return the phases that lanes show, in the order in which a table goes through them."""
    shown = {segment.phase for lane in spent for segment in lane.segments}
    return [*(phase for phase in PHASES if phase in shown), *sorted(shown - set(PHASES))]


def _offset(began: datetime, row: Row) -> float:
    moved: float = (row["started_at"] - began).total_seconds()
    return moved


def _segments(row: Row, start: float, scale: float) -> list[Segment]:
    known = {name: row["phases"][name] for name in PHASES if name in row["phases"]}
    spent = [*(known | row["phases"]).items()] or [("", row["seconds"])]
    found = []
    for phase, seconds in spent:
        found.append(Segment(phase, start * scale, max(SHORTEST, seconds * scale), seconds))
        start += seconds
    return found


@dataclass(frozen=True)
class LatencyBar:
    """One micro-batch in a row of bars: heights out of TALL of its median and its 95th percentile, and the batch."""

    p50: float
    p95: float
    batch: Row


def latency_bars(batches: Sequence[Row]) -> list[LatencyBar]:
    """Return bars for the newest micro-batches whose latency is known, given newest first, the oldest first."""
    known = [row for row in batches if row["latency_p95_ms"] is not None and row["latency_p50_ms"] is not None]
    newest = known[:_MOST_BARS][::-1]
    longest = max((row["latency_p95_ms"] for row in newest), default=0.0) or 1.0

    def height(milliseconds: float) -> float:
        return max(SHORTEST, TALL * milliseconds / longest)

    return [LatencyBar(height(row["latency_p50_ms"]), height(row["latency_p95_ms"]), row) for row in newest]
