"""A table's transaction log, as far as a small change needs it: the files of a version, and the next entry.

Source: the Delta protocol (PROTOCOL.md of delta-io/delta), reader version 3, writer version 7.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow.parquet as pq

from lakehouse.changes.place import Place
from lakehouse.errors import Overtaken, StateError

Action = dict[str, Any]
# Entries that lie back are looked through last; a checkpoint comes every ten.
_NEAR = 100
_KEPT = ("path", "partitionValues", "size", "modificationTime", "stats", "tags", "deletionVector")


def entry_name(version: int) -> str:
    """Return where the log entry of a version lies."""
    return f"_delta_log/{version:020d}.json"


def read_entry(place: Place, version: int) -> list[Action]:
    """Return the actions of one version; raises StateError where its entry is gone."""
    content = place.read_object(entry_name(version))
    if content is None:
        raise StateError(
            f"the log entry of version {version} is not there.",
            where=place.uri,
            remedy="restore it under _delta_log, or run with full_refresh.",
        )
    return [json.loads(line) for line in content.splitlines() if line.strip()]


def entry_versions(place: Place) -> list[int]:
    """Return the versions whose entries are there, in order."""
    names = place.list_objects("_delta_log")
    return [int(name[:20]) for name in names if name[:20].isdigit() and name[20:] == ".json"]


def newest_checkpoint(place: Place, version: int) -> int:
    """Return the newest version up to `version` that has a checkpoint; -1 where there is none.

    They are listed, not looked up: `_last_checkpoint` may be cut short, or name a newer one. The near ones first: the
    log of a stream has a hundred thousand entries a day.
    """
    names = place.list_objects("_delta_log", f"{version - _NEAR:020d}") if version > _NEAR else []
    found = _checkpoints(names, version) or _checkpoints(place.list_objects("_delta_log"), version)
    return max(found, default=-1)


def _checkpoints(names: Iterable[str], version: int) -> list[int]:
    numbers = (int(name[:20]) for name in names if name[:20].isdigit() and name[20:] == ".checkpoint.parquet")
    return [number for number in numbers if number <= version]


def active_files(place: Place, version: int) -> list[Action]:
    """Return the `add` actions of a version, newest entry of each file, with its deletion vector if it has one."""
    start, files = _checkpoint(place, version)
    for number in range(start + 1, version + 1):
        for action in read_entry(place, number):
            if "remove" in action:
                files.pop(_identity(action["remove"]), None)
            elif "add" in action:
                files[_identity(action["add"])] = action["add"]
    return list(files.values())


def transactions(place: Place, version: int) -> dict[str, int]:
    """Return the newest number of every application that has committed up to a version."""
    start, found = newest_checkpoint(place, version), {}
    if start >= 0:
        with place.open_file(f"_delta_log/{start:020d}.checkpoint.parquet") as source:
            rows = pq.read_table(source, columns=["txn"]).column("txn").to_pylist()
        found = {row["appId"]: int(row["version"]) for row in rows if row is not None and row.get("appId")}
    for number in range(start + 1, version + 1):
        marks = [action["txn"] for action in read_entry(place, number) if "txn" in action]
        found |= {mark["appId"]: int(mark["version"]) for mark in marks}
    return found


def create_entry(place: Place, version: int, actions: Iterable[Action]) -> None:
    """Write a version's log entry; raises Overtaken, with nothing written, where another writer has made it first."""
    lines = "\n".join(json.dumps(action, separators=(",", ":"), ensure_ascii=False) for action in actions)
    if not place.create_object(entry_name(version), lines.encode() + b"\n"):
        raise Overtaken(
            f"another writer has made version {version} meanwhile.",
            where=place.uri,
            remedy="run again; nothing of this run is in the table.",
        )


def _identity(file: Action) -> tuple[str, str]:
    """A file and its deletion vector are one logical file of the log."""
    vector = file.get("deletionVector") or {}
    return str(file["path"]), f"{vector.get('storageType')}{vector.get('pathOrInlineDv')}@{vector.get('offset')}"


def _checkpoint(place: Place, version: int) -> tuple[int, dict[tuple[str, str], Action]]:
    """Return the newest checkpoint that is not after `version`, and its files; -1 where there is none."""
    start = newest_checkpoint(place, version)
    if start < 0:
        return -1, {}
    with place.open_file(f"_delta_log/{start:020d}.checkpoint.parquet") as source:
        rows: Sequence[Action | None] = pq.read_table(source, columns=["add"]).column("add").to_pylist()
    adds = [_plain(row) for row in rows if row is not None and row.get("path")]
    return start, {_identity(add): add for add in adds}


def _plain(add: Action) -> Action:
    """A checkpoint's Parquet maps and absent fields in the form of the JSON entries."""
    plain = {name: add[name] for name in _KEPT if add.get(name) is not None}
    plain["partitionValues"] = dict(add.get("partitionValues") or [])
    if "tags" in plain:
        plain["tags"] = dict(plain["tags"])
    if "deletionVector" in plain:
        plain["deletionVector"] = {name: value for name, value in plain["deletionVector"].items() if value is not None}
    return {**plain, "dataChange": False}
