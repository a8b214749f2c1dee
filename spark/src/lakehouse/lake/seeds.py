"""Seeds: small tables that come with a pipeline as CSV files, or newer ones that were fetched into the ops layer.

What was fetched is kept as numbered objects, each made once; the highest number is the seed.
"""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

from lakehouse.errors import StateError
from lakehouse.objects import create_json, list_names, read_json, store
from lakehouse.settings import Settings

Rows = list[dict[str, str]]


def read_seed(settings: Settings, folder: Path, name: str) -> Rows:
    """Return a seed's rows, every value as text: the newest that was fetched, or those of its CSV file."""
    fetched = _newest(settings, folder.name, name)
    return fetched[1] if fetched else read_csv(folder, name)


def read_csv(folder: Path, name: str) -> Rows:
    """Return the rows of a seed's CSV file."""
    with (folder / "seeds" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def seed_digest(settings: Settings, folder: Path, name: str) -> str:
    """Return a digest of a seed's rows."""
    return hashlib.sha256(json.dumps(read_seed(settings, folder, name)).encode()).hexdigest()


def store_seed(settings: Settings, folder: Path, name: str, rows: Rows) -> bool:
    """Make rows the seed; return False, with nothing stored, where they are it already."""
    newest = _newest(settings, folder.name, name)
    if rows == (newest[1] if newest else read_csv(folder, name)):
        return False
    number = newest[0] + 1 if newest else 1
    if not create_json(store(settings, "ops"), _path(folder.name, name, number), {"rows": rows}):
        raise StateError(f"another run has stored the seed {name} meanwhile.", remedy="run again.")
    return True


def _newest(settings: Settings, pipeline: str, name: str) -> tuple[int, Rows] | None:
    ops = store(settings, "ops")
    folder = _path(pipeline, name, 0).rpartition("/")[0]
    numbers = [int(each.removesuffix(".json")) for each in list_names(ops, folder)]
    if not numbers:
        return None
    record = read_json(ops, _path(pipeline, name, max(numbers)))
    if record is None:
        raise StateError("the seed was listed and is gone.", where=f"{ops.uri}/{folder}")
    return max(numbers), [dict(row) for row in record["rows"]]


def _path(pipeline: str, name: str, number: int) -> str:
    return f"{pipeline}/seeds/{name}/{number:010d}.json"
