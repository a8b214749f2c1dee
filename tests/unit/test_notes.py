"""What a commit says of itself, also where somebody else has made it."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import CommitProperties, write_deltalake

from lakehouse.audit.result import Ledger, TableResult
from lakehouse.lake import Lake
from lakehouse.lake.notes import last_note, newest_note
from lakehouse.settings import Settings

RESULT = TableResult(
    table="olist.silver.orders", layer="silver", status="SUCCESS", ledger=Ledger(rows_in=1, inserted=1)
)


def noted(folder: Path, text: str | None):
    """The note of a table whose newest commit has this text beside it."""
    lake = Lake(Settings(_env_file=None, state=folder), "olist")
    uri = lake.uri("silver", "orders")
    Path(uri).parent.mkdir(parents=True, exist_ok=True)
    said = CommitProperties(custom_metadata={"userMetadata": text}) if text is not None else None
    write_deltalake(uri, pa.table({"order_id": ["o1"]}), mode="append", commit_properties=said)
    return last_note(lake, uri)


def test_a_commit_of_a_run_names_it_and_its_result(tmp_path):
    note = noted(tmp_path, json.dumps({"run_id": "r1", "attempt": 2, "result": json.loads(RESULT.as_json())}))
    assert note is not None
    assert (note.run_id, note.attempt, note.result, note.version) == ("r1", 2, RESULT, 0)


OTHERS = ["corrected by hand", '"text"', "[1]", "7", "null", "{}", '{"run_id": "r1"}', '{"result": {}}', "[" * 100_000]
OTHERS += ['{"run_id": "r1", "result": {"rows": 3}}', '{"run_id": "r1", "result": 3}', '{"run_id": "r1", "result": []}']


@pytest.mark.parametrize("text", [None, "", *OTHERS], ids=range(len(OTHERS) + 2))
def test_a_commit_of_somebody_else_has_no_note_whatever_it_says(tmp_path, text):
    assert noted(tmp_path, text) is None


def test_the_newest_note_is_found_behind_commits_of_others_and_of_maintenance(tmp_path):
    of_run = json.dumps({"run_id": "r1", "result": json.loads(RESULT.as_json())})
    for text in (of_run, "corrected by hand", None):
        newest = noted(tmp_path, text)
    lake = Lake(Settings(_env_file=None, state=tmp_path), "olist")
    found = newest_note(lake, lake.uri("silver", "orders"))
    assert (newest, found and (found.run_id, found.version, found.result)) == (None, ("r1", 0, RESULT))
    assert newest_note(lake, lake.uri("silver", "nothing")) is None
