"""Manifests in the lake's ops layer: numbered files, each created once; the highest number is what readers see."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from lakehouse.errors import ParameterError, StateError, StoreUnavailable
from lakehouse.objects import Store, create_json, delete_object, list_names, read_json, store
from lakehouse.publish.manifest import Manifest
from lakehouse.settings import Settings

_FILE = re.compile(r"(\d{10})\.json")
_PIPELINE = re.compile(r"[a-z][a-z0-9_]*")
_TRIES = 100
_NAMED = 20


def current(settings: Settings, pipeline: str) -> Manifest | None:
    """Return the manifest that readers follow, None before the first; raises StateError when it cannot be read."""
    newest = kept(settings, pipeline, 1)
    return newest[0] if newest else None


def kept(settings: Settings, pipeline: str, limit: int) -> list[Manifest]:
    """Return the newest manifests, newest first, at most `limit`."""
    ops = store(settings, "ops")
    return [_read(ops, pipeline, number) for number in _numbers(ops, pipeline)[:limit]]


def drop(settings: Settings, pipeline: str, keep: int) -> int:
    """Delete all manifests but the newest `keep`; return how many went."""
    ops = store(settings, "ops")
    old = _numbers(ops, pipeline)[max(keep, 1) :]
    for number in old:
        delete_object(ops, _path(pipeline, number))
    return len(old)


def publish(settings: Settings, pipeline: str, run_id: str, tables: Mapping[str, int]) -> Manifest:
    """Make `tables` (Delta version by table name) what readers see of a pipeline, and return the manifest.

    When the current manifest names the same versions it is returned and none is made.
    """
    return _append(store(settings, "ops"), pipeline, run_id, dict(tables), None)


def find(settings: Settings, pipeline: str, number: int) -> Manifest:
    """Return a kept manifest by its number; ParameterError, naming those that there are, when it is not kept."""
    ops = store(settings, "ops")
    numbers = _numbers(ops, pipeline)
    if number not in numbers:
        raise ParameterError(
            f"publication {number} of {pipeline} is not kept.",
            allowed=", ".join(map(str, numbers[:_NAMED])) or "none, nothing has been published",
            remedy=f"`lakehouse publications {pipeline}` lists them.",
        )
    return _read(ops, pipeline, number)


def roll_back(settings: Settings, pipeline: str, to: int, run_id: str) -> Manifest:
    """Publish the versions of manifest number `to` again, under a new number; ParameterError when it is not kept.

    When the current manifest names the same versions it is returned and none is made.
    """
    return _append(store(settings, "ops"), pipeline, run_id, find(settings, pipeline, to).tables, to)


def _append(ops: Store, pipeline: str, run_id: str, tables: dict[str, int], rolled_back_to: int | None) -> Manifest:
    """Create the next manifest; when somebody else took its number, look again and take the next."""
    for _ in range(_TRIES):
        numbers = _numbers(ops, pipeline)
        newest = _read(ops, pipeline, numbers[0]) if numbers else None
        if newest is not None and newest.tables == tables:
            return newest
        number = newest.number + 1 if newest else 1
        manifest = Manifest(number, pipeline, run_id, datetime.now(UTC), tables, rolled_back_to)
        if _create(ops, manifest):
            return manifest
    raise StoreUnavailable(
        f"{_TRIES} times another publisher was first.",
        where=f"{ops.uri}/{pipeline}",
        remedy="run again when it is quiet.",
    )


def _create(ops: Store, manifest: Manifest) -> bool:
    """Create a manifest's file; True also when the file is ours although the store's answer was lost."""
    manifest.check()
    path = _path(manifest.pipeline, manifest.number)
    return create_json(ops, path, manifest.as_dict()) or _read(ops, manifest.pipeline, manifest.number) == manifest


def _numbers(ops: Store, pipeline: str) -> list[int]:
    """Return the numbers of the kept manifests, highest first."""
    names = list_names(ops, _folder(pipeline))
    return sorted((int(match.group(1)) for name in names if (match := _FILE.fullmatch(name))), reverse=True)


def _read(ops: Store, pipeline: str, number: int) -> Manifest:
    path = _path(pipeline, number)
    where = f"{ops.uri}/{path}"
    record = read_json(ops, path)
    if record is None:
        raise StateError(
            "the manifest was listed and is gone.", where=where, remedy="look who deletes in the ops layer."
        )
    manifest = Manifest.from_dict(record, where)
    if (manifest.pipeline, manifest.number) != (pipeline, number):
        raise StateError(
            f"the manifest says it is number {manifest.number} of {manifest.pipeline}.",
            where=where,
            remedy="put the right file back; manifests are not copied by hand, `lakehouse rollback` makes a new one.",
        )
    return manifest


def _folder(pipeline: str) -> str:
    if not _PIPELINE.fullmatch(pipeline):
        raise ParameterError(f'"{pipeline}" is no name of a pipeline.', allowed="small letters, digits and _")
    return f"{pipeline}/publications"


def _path(pipeline: str, number: int) -> str:
    return f"{_folder(pipeline)}/{number:010d}.json"
