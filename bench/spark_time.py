"""Where Spark's time went in one application, read from its event log.

Each SQL execution's wall time is parted: its jobs that read a Delta log, its other jobs, what comes after the last job
(the commit), and the rest (planning). Executions run side by side, so a sum may pass the wall time. Shuffle is parted
from the jobs by the tasks' own account: the seconds they wrote and waited for blocks, over all that they worked.

Run: python bench/spark_time.py EVENT_LOG
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Event = dict[str, Any]
Span = tuple[float, float]
SQL = "org.apache.spark.sql.execution.ui.SparkListenerSQLExecution"
# What Delta calls its jobs on its own log; its other jobs move data.
LOG_JOBS = (": Compute snapshot", ": Filtering files")


@dataclass
class Execution:
    """One SQL execution with all that it started: its span and those of its jobs, seconds since 1970."""

    start: float = 0.0
    end: float = 0.0
    log: list[Span] = field(default_factory=list)
    jobs: list[Span] = field(default_factory=list)


@dataclass
class Tasks:
    """What tasks say of themselves, in seconds."""

    worked: float = 0.0
    shuffled: float = 0.0


def spent(events: Path) -> dict[str, float]:
    """Return seconds by part of Spark's work: log reading, planning, shuffle, jobs, commit."""
    executions, tasks = _read(json.loads(line) for line in events.read_text().splitlines())
    total: dict[str, float] = defaultdict(float)
    for each in executions:
        for name, seconds in _parts(each).items():
            total[name] += seconds
    share = tasks.shuffled / tasks.worked if tasks.worked else 0.0
    jobs = total.pop("jobs", 0.0)
    return {**total, "shuffle": jobs * share, "jobs without shuffle": jobs * (1 - share)}


def _parts(execution: Execution) -> dict[str, float]:
    spans = execution.log + execution.jobs
    log, at_work = _length(execution.log), _length(spans)
    commit = max(0.0, execution.end - max((end for _, end in spans), default=execution.end))
    planning = max(0.0, execution.end - execution.start - at_work - commit)
    return {"log reading": log, "planning": planning, "jobs": at_work - log, "commit": commit}


def _length(spans: list[Span]) -> float:
    """Return how long at least one of them lasted."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def _read(events: Iterable[Event]) -> tuple[list[Execution], Tasks]:
    executions: dict[int, Execution] = defaultdict(Execution)
    begun: dict[int, tuple[int | None, bool, float]] = {}
    tasks = Tasks()
    for event in events:
        kind = event["Event"]
        if kind == f"{SQL}Start" and event["executionId"] == event["rootExecutionId"]:
            executions[event["executionId"]].start = event["time"] / 1000
        elif kind == f"{SQL}End" and event["executionId"] in executions:
            executions[event["executionId"]].end = event["time"] / 1000
        elif kind == "SparkListenerJobStart":
            begun[event["Job ID"]] = _job(event)
        elif kind == "SparkListenerJobEnd":
            root, on_log, start = begun.pop(event["Job ID"])
            if root is not None:
                spans = executions[root].log if on_log else executions[root].jobs
                spans.append((start, event["Completion Time"] / 1000))
        elif kind == "SparkListenerTaskEnd" and event.get("Task Metrics"):
            _add(tasks, event["Task Metrics"])
    return [each for each in executions.values() if each.start and each.end], tasks


def _job(event: Event) -> tuple[int | None, bool, float]:
    told = event.get("Properties") or {}
    root = told.get("spark.sql.execution.root.id") or told.get("spark.sql.execution.id")
    what = told.get("spark.job.description") or ""
    on_log = any(word in what for word in LOG_JOBS)
    return (None if root is None else int(root)), on_log, event["Submission Time"] / 1000


def _add(tasks: Tasks, told: Event) -> None:
    tasks.worked += (told["Executor Run Time"] + told["Executor Deserialize Time"]) / 1000
    tasks.shuffled += told["Shuffle Write Metrics"]["Shuffle Write Time"] / 1e9
    tasks.shuffled += told["Shuffle Read Metrics"]["Fetch Wait Time"] / 1000


if __name__ == "__main__":
    print(json.dumps(spent(Path(sys.argv[1]))))
