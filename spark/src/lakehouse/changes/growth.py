"""What commits did to a table's rows, by the figures that they carry.

Source: operation metrics of Delta's commits (delta.io, "Operation metrics keys").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from lakehouse.changes.log import Action, read_entry
from lakehouse.changes.place import Place
from lakehouse.errors import StateError

FIGURES = {
    "inserted": ("numTargetRowsInserted", "numOutputRows"),
    "updated": ("numTargetRowsUpdated",),
    "deleted": ("numTargetRowsDeleted",),
}


def rows_changed(place: Place, before: int | None, version: int) -> dict[str, int] | None:
    """Return how many rows came, changed and went from one version to a later one; None where none did.

    Maintenance puts rows into other files, and changes none. `before` is None, or a later number, where the table had
    no such version: then all its commits count. Those whose entry is gone are counted as nothing.
    """
    begin = 0 if before is None or before > version else before + 1
    found = [_changed(place, number) for number in range(begin, version + 1)]
    if not any(each is not None for each in found):
        return None
    total: Counter[str] = Counter()
    for each in found:
        total.update(each or {})
    return {name: total[name] for name in FIGURES}


def _changed(place: Place, version: int) -> dict[str, int] | None:
    try:
        entry = read_entry(place, version)
    except StateError:
        return {}
    files = [action[kind] for action in entry for kind in ("add", "remove") if kind in action]
    if not any(file.get("dataChange", True) for file in files):
        return None
    told: Action = next((action["commitInfo"] for action in entry if "commitInfo" in action), {})
    metrics = told.get("operationMetrics", {})
    return {name: _first(metrics, keys) for name, keys in FIGURES.items()}


def _first(metrics: Mapping[str, str | int], keys: tuple[str, ...]) -> int:
    return next((int(metrics[key]) for key in keys if key in metrics), 0)
