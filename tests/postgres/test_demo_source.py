"""What the demo remembers of its source's files, and what it concludes."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from lakehouse.errors import ParameterError
from lakehouse.settings import Settings
from lakehouse.source.filling import fill
from lakehouse.source.load import setup_source
from lakehouse.source.olist import TABLES
from lakehouse.source.origin import Origin, origin_of
from lakehouse.source.sample import write_sample
from lakehouse.stack.demo import SOURCE_DAG, prepare_source
from lakehouse.stack.demo_source import empty, need_of, origin_in

pytestmark = pytest.mark.postgres
ORDERS = "olist_orders_dataset.csv"


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    write_sample(tmp_path, scale=0.001)
    return tmp_path


def test_a_sample_is_known_by_scale_and_seed_and_a_persons_files_are_not(raw, tmp_path):
    made = origin_of(raw)
    assert made.name == "a sample of scale 0.001, seed 42"
    assert origin_of(raw) == made
    with (raw / ORDERS).open("a") as file:
        file.write("\n")
    corrected = origin_of(raw)
    assert corrected.name == made.name
    assert corrected.digest != made.digest
    for table in TABLES.values():
        with (raw / table.file).open("a") as file:
            file.write("\n")
    theirs = origin_of(raw)
    assert "sample" not in theirs.name
    assert (made.is_made, corrected.is_made, theirs.is_made) == (True, True, False)
    assert theirs.digest != made.digest


def test_packed_files_are_files_and_an_empty_folder_has_no_origin(tmp_path):
    assert origin_of(tmp_path) is None
    assert origin_of(tmp_path / "nowhere") is None
    (tmp_path / f"{ORDERS}.gz").write_bytes(gzip.compress(b"order_id\n"))
    assert origin_of(tmp_path) is not None


@pytest.mark.parametrize(
    ("now", "before", "need"),
    [
        (None, None, "setup"),
        (Origin("a", "1"), None, "setup"),
        (None, Origin("a", "1"), "setup"),
        (Origin("a", "1"), Origin("a", "1"), "nothing"),
        (Origin("a", "2"), Origin("a", "1"), "setup"),
        (Origin("b", "2"), Origin("a", "1"), "replace"),
    ],
)
def test_only_the_same_files_need_nothing_and_only_another_origin_begins_anew(now, before, need):
    assert need_of(now, before) == need


def test_the_origin_is_remembered_as_long_as_the_schema_is_there(raw, database, ask):
    assert origin_in(database) is None
    setup_source(database, raw)
    assert origin_in(database) is None
    fill(database, raw)
    assert origin_in(database) == origin_of(raw)
    assert ask("SELECT count(*) > 0 FROM olist.orders") == [(True,)]
    empty(database)
    assert ask("SELECT to_regnamespace('olist')") == [(None,)]
    assert origin_in(database) is None
    empty(database)


def test_a_note_that_somebody_else_wrote_is_no_origin(database, ask):
    ask("CREATE SCHEMA olist")
    for note in ("the shop", "{}", "7", '{"name": "x"}'):
        ask("COMMENT ON SCHEMA olist IS %s", note)
        assert origin_in(database) is None


@pytest.fixture
def shop(raw, database) -> Settings:
    """Settings whose source holds the files of `raw`, and remembers that it does."""
    fill(database, raw)
    return Settings(_env_file=None, raw=raw, connections={"source": database})


def test_a_source_of_the_same_files_is_left_alone_and_a_day_changes_some_orders(shop, ask):
    told: list[str] = []
    seen = "SELECT order_id, updated_at FROM olist.orders"
    before = set(ask(seen))
    assert prepare_source(shop, told.append, 0) == []
    assert set(ask(seen)) == before
    assert prepare_source(shop, told.append, 0.2) == []
    after = set(ask(seen))
    assert 0 < len(after - before) < len(before)
    assert [line.partition(":")[0] for line in told] == ["Source"] * 2 + ["A day in the shop"]


def test_a_day_needs_a_shop(raw, database):
    settings = Settings(_env_file=None, raw=raw, connections={"source": database})
    assert prepare_source(settings, print, 0) == [SOURCE_DAG]
    with pytest.raises(ParameterError, match="no shop to live a day in"):
        prepare_source(settings, print, 0.01)


def test_rows_of_another_origin_go_before_the_new_ones_come(shop, raw, ask):
    write_sample(raw, scale=0.002)
    told: list[str] = []
    assert prepare_source(shop, told.append, 0) == [SOURCE_DAG]
    assert ask("SELECT to_regnamespace('olist')") == [(None,)]
    assert "held a sample of scale 0.001, seed 42" in told[0]
