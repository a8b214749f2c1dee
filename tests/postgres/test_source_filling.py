"""Filling the source again: the same origin as ever, and never rows of two origins beside each other."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from lakehouse.cli.app import app
from lakehouse.errors import SourceError
from lakehouse.source.filling import fill, fill_anew
from lakehouse.source.load import setup_source
from lakehouse.source.made.marker import NAME
from lakehouse.source.olist import TABLES
from lakehouse.source.origin import FILES
from lakehouse.source.sample import write_sample
from lakehouse.source.simulate import simulate
from lakehouse.stack.demo_source import origin_in

pytestmark = pytest.mark.postgres
SAMPLE = "a sample of scale 0.001, seed 42"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with a sample."""
    folder = tmp_path_factory.mktemp("made")
    write_sample(folder, scale=0.001)
    return folder


@pytest.fixture(scope="module")
def other(tmp_path_factory) -> Path:
    """A folder with a larger sample of another seed."""
    folder = tmp_path_factory.mktemp("other")
    write_sample(folder, scale=0.002, seed=7)
    return folder


@pytest.fixture
def raw(made, tmp_path) -> Path:
    """A copy of the sample that a test may change."""
    return shutil.copytree(made, tmp_path / "raw")


@pytest.fixture
def theirs(other, tmp_path) -> Path:
    """A person's nine files: nothing notes that they are made."""
    folder = shutil.copytree(other, tmp_path / "theirs")
    (folder / NAME).unlink()
    return folder


@pytest.fixture
def stored(ask):
    """Read every table's rows as bags, each row with its place and its stamp."""

    def read() -> dict[str, Counter]:
        return {name: Counter(ask(f"SELECT *, ctid::text FROM olist.{name}")) for name in TABLES}

    return read


@pytest.fixture
def keys(ask):
    """Read the first column of every table's key."""

    def read() -> dict[str, Counter]:
        return {
            name: Counter(key for (key,) in ask(f"SELECT {table.key[0]} FROM olist.{name}"))
            for name, table in TABLES.items()
            if table.key
        }

    return read


def keys_in(folder: Path) -> dict[str, Counter]:
    return {
        name: Counter(row[table.key[0]] for row in rows_of(folder / table.file))
        for name, table in TABLES.items()
        if table.key
    }


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def correct(folder: Path, name: str = "sellers") -> None:
    """Change one row of a file, as a person would."""
    path = folder / TABLES[name].file
    text = path.read_text()
    line = text.splitlines()[1]
    path.write_text(text.replace(line, f"{line.rpartition(',')[0]},XX", 1))


def changes(filling) -> dict[str, tuple[int, int, int]]:
    figures = {table.name: (table.inserted, table.updated, table.deleted) for table in filling.tables}
    return {name: figure for name, figure in figures.items() if any(figure)}


def refused(database, folder: Path) -> str:
    with pytest.raises(SourceError) as caught:
        fill(database, folder)
    return str(caught.value)


@pytest.mark.parametrize("whose", ["raw", "theirs"])
def test_the_same_files_again_write_nothing(database, stored, request, whose):
    folder = request.getfixturevalue(whose)
    assert fill(database, folder).remark == ""
    before, origin = stored(), origin_in(database)
    again = fill(database, folder)
    assert (changes(again), again.remark) == ({}, "")
    assert (stored(), origin_in(database)) == (before, origin)


@pytest.mark.parametrize("whose", ["raw", "theirs"])
def test_a_corrected_row_is_one_row_updated(database, stored, request, whose):
    folder = request.getfixturevalue(whose)
    fill(database, folder)
    before, name = stored(), origin_in(database).name
    correct(folder)
    assert changes(fill(database, folder)) == {"sellers": (0, 1, 0)}
    after = stored()
    assert [table for table in TABLES if after[table] != before[table]] == ["sellers"]
    assert (after["sellers"] - before["sellers"]).total() == 1
    assert origin_in(database).name == name


def test_a_persons_new_rows_alone_come_beside_those_they_brought_before(database, theirs, keys):
    fill(database, theirs)
    path = theirs / TABLES["sellers"].file
    header, first, *_ = path.read_text().splitlines()
    path.write_text(f"{header}\nnew{first}\n")
    assert changes(fill(database, theirs)) == {"sellers": (1, 0, 0)}


def test_a_persons_files_take_the_place_of_a_sample_also_after_a_day_in_its_shop(database, raw, theirs, keys, ask):
    fill(database, raw)
    simulate(database, changes=0.2, seed=1)
    ask("CREATE VIEW public.mine AS SELECT count(*) FROM olist.orders")
    before = keys()
    for name, table in TABLES.items():  # over the sample's own, whose note stays
        shutil.copy(theirs / table.file, raw / table.file)
        assert (raw / NAME).exists(), name
    filling = fill(database, raw)
    assert keys() == keys_in(theirs)
    assert {name: row[2] for name, row in changes(filling).items() if name in before} == {
        name: count.total() for name, count in before.items()
    }
    assert f"rows of {SAMPLE} were dropped first" in filling.remark
    assert origin_in(database).name == FILES
    assert ask("SELECT * FROM public.mine") == [(len(rows_of(raw / TABLES["orders"].file)),)]
    assert changes(fill(database, raw)) == {}


def test_of_a_sample_nothing_is_left_where_a_person_brings_some_files_only(database, made, theirs, keys):
    fill(database, made)
    for name in ("orders", "customers"):
        path = theirs / TABLES[name].file
        (theirs / f"{TABLES[name].file}.gz").write_bytes(gzip.compress(path.read_bytes()))
    for table in TABLES.values():
        (theirs / table.file).unlink()
    fill(database, theirs)
    assert {name for name, found in keys().items() if found} == {"orders", "customers"}


def test_files_that_cannot_be_loaded_leave_the_sample_whole(database, made, theirs, stored):
    fill(database, made)
    before, origin = stored(), origin_in(database)
    with (theirs / TABLES["sellers"].file).open("a") as file:
        file.write("one field\n")
    for begin in (fill, fill_anew):
        with pytest.raises(SourceError, match="sellers"):
            begin(database, theirs)
        assert (stored(), origin_in(database)) == (before, origin)


@pytest.mark.parametrize(("first", "then"), [("made", "other"), ("theirs", "made")])
def test_a_sample_takes_nobodys_place_unless_it_is_asked_for(database, stored, keys, request, first, then):
    first, then = request.getfixturevalue(first), request.getfixturevalue(then)
    fill(database, first)
    before, origin = stored(), origin_in(database)
    said = refused(database, then)
    for words in (origin.name, str(then), "setup-source --replace", "Replace in the form of setup_source_db"):
        assert words in said
    assert (stored(), origin_in(database)) == (before, origin)
    assert f"of {origin.name} were dropped" in fill_anew(database, then).remark
    assert keys() == keys_in(then)
    assert changes(fill(database, then)) == {}


def test_a_folder_half_of_a_sample_and_half_of_a_person_is_not_loaded_over_the_sample(database, raw, theirs, stored):
    fill(database, raw)
    before = stored()
    for name in ("orders", "order_items"):
        shutil.copy(theirs / TABLES[name].file, raw / TABLES[name].file)
    said = refused(database, raw)
    assert TABLES["order_items"].file in said
    assert "no row of the" in said
    assert stored() == before
    for table in TABLES.values():
        shutil.copy(theirs / table.file, raw / table.file)
    assert "were dropped first" in fill(database, raw).remark


def test_rows_that_nobody_noted_the_origin_of_are_mixed_with_no_others(database, made, theirs, stored, keys):
    setup_source(database, made)
    before = stored()
    assert "another origin" in refused(database, theirs)
    assert (stored(), origin_in(database)) == (before, None)
    assert changes(fill(database, made)) == {}
    assert origin_in(database).name == SAMPLE
    fill(database, theirs)
    assert keys() == keys_in(theirs)


def test_an_empty_source_is_filled_anew_without_a_word(database, made):
    assert fill_anew(database, made).remark == ""
    assert origin_in(database).name == SAMPLE


def test_the_command_drops_only_when_it_is_told_to(
    audit_url, database, made, other, keys, tmp_path, monkeypatch, capsys
):
    told = {
        "STATE": tmp_path,
        "RAW": made,
        "CONNECTIONS__SOURCE": database,
        "AUDIT_URL": audit_url,
    }
    monkeypatch.chdir(tmp_path)
    for name, value in told.items():
        monkeypatch.setenv(f"LAKEHOUSE_{name}", str(value))
    app(["setup-source"], standalone_mode=False)
    monkeypatch.setenv("LAKEHOUSE_RAW", str(other))
    with pytest.raises(SourceError, match="--replace"):
        app(["setup-source"], standalone_mode=False)
    capsys.readouterr()
    app(["setup-source", "--replace", "--json"], standalone_mode=False)
    printed = capsys.readouterr()
    assert {table["name"] for table in json.loads(printed.out)} == set(TABLES)
    assert "were dropped first" in printed.err
    assert keys() == keys_in(other)
