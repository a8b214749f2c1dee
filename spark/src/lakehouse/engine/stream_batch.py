"""What became of the micro-batches of one run of a stream: summed up for its commits' notes and its audit rows."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from lakehouse.audit.result import Drift, RuleResult, TableResult
from lakehouse.audit.stream_rows import OffsetRange, StreamBatch
from lakehouse.engine.stream import MOST_DRIFT, Pending


@dataclass
class Sum:
    """All micro-batches of an attempt so far: how many, and the result of the table as if they had been one."""

    result: TableResult
    batches: int = 0
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def spend(self, phase: str, seconds: float) -> None:
        """Count seconds that no micro-batch is the cause of."""
        phases = self.result.phases
        self.result = replace(self.result, phases=phases | {phase: round(phases.get(phase, 0.0) + seconds, 3)})

    def begin(self) -> None:
        """Begin a micro-batch."""
        self.started_at = datetime.now(UTC)

    def note(self, found: Pending, result: TableResult) -> dict[str, Any]:
        """Return what a micro-batch's commit says, before it is made: so a lost audit row can be made up from it."""
        batch = {
            "batch": self.batches,
            "started_at": self.started_at.isoformat(),
            "offsets": [[partition, *bounds] for partition, bounds in found.ranges.items()],
            "ledger": asdict(result.ledger),
            "version_events": found.version,
        }
        return {"result": json.loads(added(self.result, result).as_json()), "batch": batch}

    def end(self, found: Pending, result: TableResult) -> StreamBatch:
        """Take a finished micro-batch into the sum, and return its row."""
        # A clock may go back.
        ended = max(self.started_at, datetime.now(UTC))
        p50, p95, most = found.latencies(ended)
        batch = StreamBatch(
            self.batches, result.table, self.started_at, ended,
            [OffsetRange(partition, *bounds) for partition, bounds in found.ranges.items()],
            result.ledger, found.version, result.version_written, p50, p95, most,
        )  # fmt: skip
        self.result, self.batches = added(self.result, result), self.batches + 1
        return batch

    def take_up(self, result: TableResult) -> None:
        """Go on from what a commit says: its micro-batch had no end here, though it was made."""
        self.result, self.batches = result, self.batches + 1


def added(before: TableResult, after: TableResult) -> TableResult:
    """Return both results of a table as one."""
    phases = {name: before.phases.get(name, 0.0) + after.phases.get(name, 0.0) for name in before.phases | after.phases}
    return replace(
        after.with_ledger(before.ledger + after.ledger),
        phases={name: round(seconds, 3) for name, seconds in phases.items()},
        note=before.note,
        rules=_rules([*before.rules, *after.rules]),
        drift=_drift([*before.drift, *after.drift]),
    )


def _rules(results: Iterable[RuleResult]) -> list[RuleResult]:
    found: dict[tuple[str, str, str], RuleResult] = {}
    for each in results:
        name = (each.rule, each.column, each.severity)
        held = found.get(name, RuleResult(*name, 0, 0))
        found[name] = replace(held, passed=held.passed + each.passed, failed=held.failed + each.failed)
    return list(found.values())


def _drift(found: Iterable[Drift]) -> list[Drift]:
    return list({each.column: each for each in found}.values())[:MOST_DRIFT]
