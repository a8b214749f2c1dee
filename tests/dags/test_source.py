"""`setup_source_db`: where it makes a sample, and what its form asks for."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException

from lakehouse.dags import source
from lakehouse.source.filling import Filling, fill, fill_anew
from lakehouse.source.load import LoadedTable


@pytest.fixture
def folders(monkeypatch, tmp_path: Path) -> tuple[Path, Path]:
    """An empty raw/ and a state folder, named by the environment."""
    raw, state = tmp_path / "raw", tmp_path / "state"
    raw.mkdir()
    for name, value in (("RAW", raw), ("STATE", state), ("CONNECTIONS__SOURCE", "postgresql://u:p@h/d")):
        monkeypatch.setenv(f"LAKEHOUSE_{name}", str(value))
    return raw, state


@pytest.mark.parametrize("writable", [True, False])
def test_a_sample_is_made_where_it_can_be_written(monkeypatch, folders, writable: bool) -> None:
    raw, state = folders
    monkeypatch.setattr("os.access", lambda *_: writable)  # tests run as root, which may write anywhere
    monkeypatch.setattr(source, "SAMPLE_SCALE", 0.001)
    loaded: list[Path] = []

    def load(_: str, folder: Path) -> Filling:
        loaded.append(folder)
        return Filling([])

    source.fill_source(load)
    assert loaded == [raw if writable else state / "sample"]
    assert source.has_csv_files(loaded[0])
    assert source.has_csv_files(raw) == writable


class _Try:
    try_number = 1


@pytest.mark.parametrize(
    ("params", "begun"),
    [({}, fill), ({"replace": None}, fill), ({"replace": False}, fill), ({"replace": True}, fill_anew)],
)
def test_rows_of_another_origin_are_dropped_only_where_the_form_says_so(monkeypatch, folders, params, begun) -> None:
    asked: list[object] = []

    def fill_source(begin: object) -> Filling:
        asked.append(begin)
        return Filling([LoadedTable("orders", "orders.csv", rows=2, inserted=2, deleted=3)], "a sample")

    monkeypatch.setattr(source, "fill_source", fill_source)
    monkeypatch.setattr(source, "get_current_context", lambda: {"run_id": "m", "ti": _Try(), "params": params})
    assert source.source_task() == {"orders": {"rows": 2, "inserted": 2, "updated": 0, "deleted": 3}}
    assert asked == [begun]


def test_what_the_form_does_not_have_is_refused(monkeypatch, folders) -> None:
    context = {"run_id": "m", "ti": _Try(), "params": {"replaced": True}}
    monkeypatch.setenv("LAKEHOUSE_CONNECTIONS__SOURCE", "postgresql://u:secret@h/d")  # a short one would be hidden
    monkeypatch.setattr(source, "get_current_context", lambda: context)
    with pytest.raises(AirflowFailException, match='Did you mean "replace"'):
        source.source_task()
