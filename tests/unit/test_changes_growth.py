"""How many rows came, changed and went between two versions of a table, by its log."""

from __future__ import annotations

import json

import pytest

from lakehouse.changes.growth import rows_changed
from lakehouse.changes.place import place_of

CHANGED, MOVED = {"add": {"path": "x"}}, {"remove": {"path": "y", "dataChange": False}}


def commit(operation: str, **metrics: int) -> dict[str, object]:
    told = {"operationMetrics": {name: str(count) for name, count in metrics.items()}} if metrics else {}
    return {"commitInfo": {"operation": operation, **told}}


@pytest.fixture
def place(settings):
    """Versions: 0 three rows, 1 two more, 2 compacted, 3 a merge, 4 compacted again, 5 a commit that tells nothing."""
    merge = commit("MERGE", numTargetRowsInserted=2, numTargetRowsUpdated=1, numTargetRowsDeleted=3, numOutputRows=9)
    log = [
        [commit("WRITE", numOutputRows=3), CHANGED],
        [commit("WRITE", numOutputRows=2), CHANGED],
        [commit("OPTIMIZE", numAddedFiles=1), MOVED],
        [merge, {"remove": {"path": "z", "dataChange": True}}, CHANGED],
        [commit("OPTIMIZE"), MOVED],
        [CHANGED],
    ]
    place = place_of(settings, settings.table_uri("gold", "shop", "sales"))
    for version, entry in enumerate(log):
        place.create_object(f"_delta_log/{version:020d}.json", "\n".join(map(json.dumps, entry)).encode())
    return place


@pytest.mark.parametrize(
    ("before", "version", "found"),
    [
        (None, 0, (3, 0, 0)),
        (0, 1, (2, 0, 0)),
        (1, 2, None),
        (0, 2, (2, 0, 0)),
        (None, 2, (5, 0, 0)),
        (7, 2, (5, 0, 0)),
        (2, 3, (2, 1, 3)),
        (3, 4, None),
        (1, 4, (2, 1, 3)),
        (4, 5, (0, 0, 0)),
    ],
)
def test_what_came_between_two_versions(place, before, version, found):
    changed = rows_changed(place, before, version)
    assert (tuple(changed.values()) if changed else None) == found


def test_a_commit_whose_entry_is_gone_counts_nothing_and_hides_nothing(place):
    place.delete([f"_delta_log/{1:020d}.json"])
    assert rows_changed(place, 0, 2) == {"inserted": 0, "updated": 0, "deleted": 0}
