"""Where `setup_source_db` makes a sample: beside what a person put there, or where it can be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse.dags import source
from lakehouse.source.load import LoadedTable


@pytest.mark.parametrize("writable", [True, False])
def test_a_sample_is_made_where_it_can_be_written(monkeypatch, tmp_path: Path, writable: bool) -> None:
    raw, state = tmp_path / "raw", tmp_path / "state"
    raw.mkdir()
    for name, value in (("RAW", raw), ("STATE", state), ("CONNECTIONS__SOURCE", "postgresql://u:p@h/d")):
        monkeypatch.setenv(f"LAKEHOUSE_{name}", str(value))
    monkeypatch.setattr("os.access", lambda *_: writable)  # tests run as root, which may write anywhere
    monkeypatch.setattr(source, "SAMPLE_SCALE", 0.001)
    loaded: list[Path] = []

    def load(_: str, folder: Path) -> list[LoadedTable]:
        loaded.append(folder)
        return []

    monkeypatch.setattr(source, "setup_source", load)
    source.fill_source()
    assert loaded == [raw if writable else state / "sample"]
    assert source.has_csv_files(loaded[0])
    assert source.has_csv_files(raw) == writable
