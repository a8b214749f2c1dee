"""Compaction by the driver: the rows of many small files, and of hollow ones, in few files; no row changes."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import replace

from lakehouse.changes.files import FILE, MOST_BYTES, ROW, Snapshot, rows_of, stored_rows, write_file
from lakehouse.changes.log import Action, create_entry
from lakehouse.changes.write import CHECKPOINT_EVERY, checkpoint, removed

# A file that is made is three quarters of what is read at once, or less: it is not small the next time.
_SMALL_BYTES, _READ_BYTES = MOST_BYTES // 6, MOST_BYTES // 2
_HOLLOW = 0.2


def compact(snapshot: Snapshot) -> int:
    """Compact in one commit on top of `snapshot`; return how many files were put into fewer ones.

    A file pays that is smaller than 4 MiB, or has a fifth of its rows deleted and at most 12 MiB. Overtaken, with
    nothing committed, where another writer was first.
    """
    groups = [group for group in _groups(snapshot.files) if len(group) > 1 or _is_hollow(group[0])]
    if not groups:
        return 0
    now, gone = int(time.time() * 1000), [add for group in groups for add in group]
    made = [add for group in groups for add in _rewritten(snapshot, group, now)]
    version = snapshot.version + 1
    create_entry(
        snapshot.place, version,
        [_info(snapshot, len(gone), len(made), now), *made, *[removed(add, now, changes=False) for add in gone]],
    )  # fmt: skip
    snapshot.forget(gone)
    if version % CHECKPOINT_EVERY == 0:
        checkpoint(snapshot)
    return len(gone)


def _groups(files: Sequence[Action]) -> list[list[Action]]:
    """Return files that pay, in groups of about 12 MiB: each is held in memory once."""
    groups: list[list[Action]] = [[]]
    size = 0
    for add in files:
        if int(add["size"]) >= _SMALL_BYTES and not (_is_hollow(add) and int(add["size"]) <= _READ_BYTES):
            continue
        if groups[-1] and size + int(add["size"]) > _READ_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(add)
        size += int(add["size"])
    return [group for group in groups if group]


def _is_hollow(add: Action) -> bool:
    return rows_of(add) < (1 - _HOLLOW) * stored_rows(add)


def _rewritten(snapshot: Snapshot, group: Sequence[Action], now: int) -> list[Action]:
    rows = replace(snapshot, files=tuple(group)).read().drop_columns([FILE, ROW])
    if not rows.num_rows:
        return []
    file = write_file(snapshot.place, rows)
    return [{"add": {**file, "modificationTime": now, "dataChange": False}}]


def _info(snapshot: Snapshot, gone: int, made: int, now: int) -> Action:
    info = {
        "timestamp": now, "operation": "OPTIMIZE", "operationParameters": {}, "readVersion": snapshot.version,
        "isolationLevel": "SnapshotIsolation", "isBlindAppend": False, "engineInfo": "lakehouse",
        "operationMetrics": {"numRemovedFiles": str(gone), "numAddedFiles": str(made)}, "txnId": str(uuid.uuid4()),
    }  # fmt: skip
    return {"commitInfo": info}
