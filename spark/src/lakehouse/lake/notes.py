"""What a table's newest commit says of itself: the run that made it, and the rows that it wrote."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lakehouse.audit.result import TableResult
from lakehouse.errors import StateError
from lakehouse.lake.tables import Lake, reading

# Commits. Maintenance, and what others do to a table, make a few between two runs.
_LOOKED_BACK = 100


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
    """Return the note of a table's newest commit.

    None where there is no table, or the commit is maintenance's, or somebody else's: others may note what they like.
    """
    table = lake.open(uri)
    if table is None:
        return None
    with reading(uri):
        commit = table.history(1)[0]
    told = _told(commit.get("userMetadata"))
    return None if told is None else _note(table.version(), commit, *told)


def newest_note(lake: Lake, uri: str) -> Note | None:
    """Return the note of a table's newest commit that has one; None where none of the last 100 has."""
    newest = last_note(lake, uri)
    table = None if newest else lake.open(uri)
    if table is None:
        return newest
    with reading(uri):
        commits = table.history(_LOOKED_BACK)
    notes = ((commit, _told(commit.get("userMetadata"))) for commit in commits)
    return next((_note(int(commit["version"]), commit, *told) for commit, told in notes if told), None)


def _told(text: str | None) -> tuple[dict[str, Any], TableResult] | None:
    try:
        told = json.loads(text or "null")
        return {**told, "run_id": str(told["run_id"])}, TableResult.from_json(json.dumps(told["result"]))
    except (ValueError, TypeError, KeyError, RecursionError, StateError):
        return None


def _note(version: int, commit: dict[str, Any], told: dict[str, Any], result: TableResult) -> Note:
    metrics = commit.get("operationMetrics", {})
    return Note(
        version=version,
        committed_at=datetime.fromtimestamp(commit["timestamp"] / 1000, UTC),
        run_id=told["run_id"],
        attempt=told.get("attempt", 1),
        result=result,
        inserted=int(metrics.get("numTargetRowsInserted", metrics.get("numOutputRows", 0))),
        updated=int(metrics.get("numTargetRowsUpdated", 0)),
        deleted=int(metrics.get("numTargetRowsDeleted", 0)),
        batch=told.get("batch"),
    )
