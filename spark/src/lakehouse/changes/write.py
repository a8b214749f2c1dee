"""Committing a small change: one data file, deletion vectors for what it replaces, one change file, one log entry."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake.exceptions import DeltaError

from lakehouse.changes.definition import definition
from lakehouse.changes.feed import CHANGE_TYPE
from lakehouse.changes.files import FILE, ROW, Snapshot, rows_of, write_file
from lakehouse.changes.log import Action, create_entry
from lakehouse.changes.statistics import loosened
from lakehouse.changes.vectors import write_vectors
from lakehouse.errors import Overtaken
from lakehouse.log import get_logger

log = get_logger(__name__)
# As often as Spark does.
CHECKPOINT_EVERY = 10


@dataclass(frozen=True)
class Commit:
    """What a commit says of itself: an application makes each number once, and a note.

    `beside`: numbers of other applications that the commit moves too.
    """

    application: str
    number: int
    note: str = ""
    beside: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """Rows of one commit. `before` and `deleted` are rows as the snapshot holds them, with `_file` and `_row`.

    `updated` and `before` have the same length: a row's new state and its old one.
    """

    inserted: pa.Table
    updated: pa.Table
    before: pa.Table
    deleted: pa.Table

    @classmethod
    def appending(cls, rows: pa.Table, snapshot: Snapshot) -> Change:
        """Return the change that only adds rows."""
        none = snapshot.none()
        return cls(rows, none, none, none)


def commit_change(snapshot: Snapshot, change: Change, commit: Commit) -> int:
    """Commit a change on top of `snapshot` and return the new version; the first one of a new table defines it.

    Raises Overtaken, with nothing committed, where the table has a newer version than the snapshot, or the
    application has committed this number before.
    """
    _need_new(snapshot, commit)
    if len(change.updated) != len(change.before):
        raise ValueError(f"{len(change.updated)} new states for {len(change.before)} old ones")
    schema, place, now = snapshot.schema, snapshot.place, int(time.time() * 1000)
    fresh = pa.concat_tables([_shaped(change.inserted, schema), _shaped(change.updated, schema)])
    actions: list[Action] = []
    if fresh.num_rows:
        actions.append(_added(write_file(place, fresh), now))
    replaced = pa.concat_tables([part.select([FILE, ROW]) for part in (change.before, change.deleted)])
    if replaced.num_rows:
        actions += _replaced(snapshot, replaced, now)
        actions.append(_feed(snapshot, change))
    info = _info(snapshot, change, commit, now)
    numbers = {commit.application: commit.number, **commit.beside}
    marks = [{"txn": {"appId": name, "version": number, "lastUpdated": now}} for name, number in numbers.items()]
    defined = definition(schema) if snapshot.version < 0 else []
    version = snapshot.version + 1
    create_entry(place, version, [info, *defined, *marks, *actions])
    snapshot.forget(_gone(actions))
    if version % CHECKPOINT_EVERY == 0:
        checkpoint(snapshot)
    return version


def _need_new(snapshot: Snapshot, commit: Commit) -> None:
    done = snapshot.table.transaction_version(commit.application) if snapshot.table is not None else None
    if done is not None and done >= commit.number:
        raise Overtaken(
            f"the commit {commit.application} {commit.number} is there already: another attempt made it.",
            where=snapshot.place.uri,
            remedy="run again; nothing of this run is in the table.",
        )


def checkpoint(snapshot: Snapshot) -> None:
    """Sum up the log, so that readers need not begin at its first entry; the table is whole without it."""
    if snapshot.table is None:
        return
    try:
        snapshot.table.update_incremental()
        snapshot.table.create_checkpoint()
    except (DeltaError, OSError) as error:
        log.warning("no checkpoint", table=snapshot.place.uri, error=str(error))


def _shaped(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    return rows.select(schema.names).cast(schema)


def _added(file: Action, now: int) -> Action:
    return {"add": {**file, "modificationTime": now, "dataChange": True}}


def _replaced(snapshot: Snapshot, replaced: pa.Table, now: int) -> list[Action]:
    """Return the removal of each touched file, and its addition with a longer deletion vector while rows are left."""
    removals, kept, vectors = [], [], []
    numbers = replaced.column(FILE).to_numpy()
    for index in np.unique(numbers):
        add = snapshot.files[index]
        gone = replaced.column(ROW).to_numpy()[numbers == index]
        removals.append(removed(add, now, changes=True))
        if rows_of(add) > len(gone):
            kept.append(add)
            vectors.append(np.concatenate([snapshot.deleted.get(add["path"], np.empty(0, np.int64)), gone]))
    descriptors = write_vectors(snapshot.place, vectors) if vectors else []
    additions = [
        {"add": {**add, "stats": loosened(add["stats"]), "dataChange": True, "deletionVector": descriptor}}
        for add, descriptor in zip(kept, descriptors, strict=True)
    ]
    return [*additions, *removals]


def removed(add: Action, now: int, *, changes: bool) -> Action:
    """Return the removal of a file at `now` (milliseconds); `changes`: with rows of the table."""
    removal: Action = {
        "path": add["path"], "deletionTimestamp": now, "dataChange": changes, "extendedFileMetadata": True,
        "partitionValues": add["partitionValues"], "size": add["size"],
    }  # fmt: skip
    if "deletionVector" in add:
        removal["deletionVector"] = add["deletionVector"]
    return {"remove": removal}


def _gone(actions: Sequence[Action]) -> list[Action]:
    """Return the files that leave the table with all of their rows."""
    kept = {action["add"]["path"] for action in actions if "add" in action}
    removals = [action["remove"] for action in actions if "remove" in action]
    return [removal for removal in removals if removal["path"] not in kept]


def _feed(snapshot: Snapshot, change: Change) -> Action:
    images = [
        (change.inserted, "insert"),
        (change.before, "update_preimage"),
        (change.updated, "update_postimage"),
        (change.deleted, "delete"),
    ]
    rows = pa.concat_tables(
        _shaped(part, snapshot.schema).append_column(CHANGE_TYPE, pa.array([kind] * part.num_rows, pa.string()))
        for part, kind in images
    )
    file = write_file(snapshot.place, rows, "_change_data/", "cdc")
    return {"cdc": {name: file[name] for name in ("path", "partitionValues", "size")} | {"dataChange": False}}


def _info(snapshot: Snapshot, change: Change, commit: Commit, now: int) -> Action:
    """Return the commit's own account; its metrics have the names that Delta's MERGE and WRITE give them."""
    counts: dict[str, int] = {
        "numTargetRowsInserted": change.inserted.num_rows,
        "numTargetRowsUpdated": change.updated.num_rows,
        "numTargetRowsDeleted": change.deleted.num_rows,
        "numOutputRows": change.inserted.num_rows + change.updated.num_rows,
    }
    appends = not change.updated.num_rows and not change.deleted.num_rows
    info: dict[str, Any] = {
        "timestamp": now,
        "operation": "WRITE" if appends else "MERGE",
        "operationParameters": {"mode": "Append"} if appends else {},
        **({"readVersion": snapshot.version} if snapshot.version >= 0 else {}),
        "isolationLevel": "Serializable",
        "isBlindAppend": appends,
        "operationMetrics": {name: str(count) for name, count in counts.items()},
        "userMetadata": commit.note,
        "engineInfo": "lakehouse",
        "txnId": str(uuid.uuid4()),
    }
    return {"commitInfo": info}
