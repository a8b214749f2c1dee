"""What a table's newest commit says of itself: the run that made it, and the rows that it wrote."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lakehouse.audit.result import TableResult
from lakehouse.lake.tables import Lake, reading


@dataclass(frozen=True)
class Note:
    """A commit of ours: `result` as it was known before the commit, counts as Delta counted them.

    `batch`: what a stream's commit says of its micro-batch; `result` is then that of its run so far.
    """

    version: int
    committed_at: datetime
    run_id: str
    attempt: int
    result: TableResult
    inserted: int
    updated: int
    deleted: int
    batch: dict[str, Any] | None = None


def last_note(lake: Lake, uri: str) -> Note | None:
    """Return the note of a table's newest commit; None where there is no table, or the commit is maintenance's."""
    table = lake.open(uri)
    if table is None:
        return None
    with reading(uri):
        commit = table.history(1)[0]
    text = commit.get("userMetadata")
    if not text:
        return None
    told, metrics = json.loads(text), commit.get("operationMetrics", {})
    inserted = metrics.get("numTargetRowsInserted", metrics.get("numOutputRows", 0))
    return Note(
        version=table.version(),
        committed_at=datetime.fromtimestamp(commit["timestamp"] / 1000, UTC),
        run_id=told["run_id"],
        attempt=told.get("attempt", 1),
        result=TableResult.from_json(json.dumps(told["result"])),
        inserted=int(inserted),
        updated=int(metrics.get("numTargetRowsUpdated", 0)),
        deleted=int(metrics.get("numTargetRowsDeleted", 0)),
        batch=told.get("batch"),
    )
