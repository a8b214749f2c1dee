"""Gate and publication over tables that another writer than the engine has made."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

from lakehouse.changes.definition import new_table
from lakehouse.changes.files import snapshot
from lakehouse.changes.write import Change, Commit, commit_change
from lakehouse.errors import GateFailed, LeaseLost, ParameterError, StateError, StoreUnavailable
from lakehouse.lake.tables import reading
from lakehouse.publication import covered_tables, go_back, make_public, published_tables
from lakehouse.publication import pass_gate as pass_gate_of
from lakehouse.publish.store import current, roll_back
from lakehouse.settings import Settings
from lakehouse.specs import Catalog, Layer, load_catalog

ROOT = Path(__file__).parents[2]
CONTRACT = "silver/product_category_name_translation.odcs.yaml"
NAME = "shop.silver.product_category_name_translation"


class Audit:
    """Notes what it is told of publications."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.checks: list[tuple[str, str, bool]] = []

    def checks_found(self, run_id, checks) -> None:
        self.checks += [(each.check, each.severity, each.passed) for each in checks]

    def publication(self, manifest) -> None:
        self.numbers.append(manifest.number)


@pytest.fixture
def shop(tmp_path: Path) -> Catalog:
    """A pipeline of one Silver table, whose contract wants at least one row."""
    folder = tmp_path / "pipelines" / "shop"
    (folder / "silver").mkdir(parents=True)
    contract = (ROOT / "spark" / "pipelines" / "olist" / CONTRACT).read_text()
    (folder / CONTRACT).write_text(contract.replace("id: olist.", "id: shop.").replace("domain: olist", "domain: shop"))
    (folder / "pipeline.yaml").write_text("name: shop\ndescription: A shop.\nowner: someone\n")
    catalog = load_catalog(folder)
    catalog.need_sound()
    return catalog


@pytest.fixture
def two(shop: Catalog) -> Catalog:
    """The same with a second table of that shape, `words`."""
    text = (shop.folder / CONTRACT).read_text().replace("product_category_name_translation", "words")
    (shop.folder / "silver" / "words.odcs.yaml").write_text(text)
    catalog = load_catalog(shop.folder)
    catalog.need_sound()
    return catalog


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, home=ROOT, state=tmp_path / "run")


@pytest.fixture
def audit() -> Audit:
    return Audit()


def write(settings: Settings, names: list[str], table: str = NAME.rpartition(".")[2]) -> None:
    """Make these categories the table's content, in one new version."""
    moment = datetime(2018, 1, 1, tzinfo=UTC)
    rows = pa.table(
        {
            "product_category_name": pa.array(names, pa.string()),
            "product_category_name_english": pa.array(names, pa.string()),
            "updated_at": pa.array([moment] * len(names), pa.timestamp("us", "UTC")),
        }
    )
    uri = settings.table_uri("silver", "shop", table)
    Path(uri).mkdir(parents=True, exist_ok=True)
    write_deltalake(uri, rows, mode="overwrite")


def pass_gate(settings, shop):
    return pass_gate_of(settings, shop, Audit(), "r1", published_tables(shop))


def publish(settings, shop, audit, judged, guard=lambda: None):
    return make_public(settings, shop, audit, "r1", published_tables(shop), judged, guard)


def manifests(settings: Settings) -> list[str]:
    return sorted(path.name for path in Path(settings.table_uri("ops")).rglob("*.json"))


def read_no_row(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("rows are read")

    monkeypatch.setattr(DeltaTable, "scan", refuse)


def test_rows_are_counted_by_the_log_without_those_that_were_deleted(settings, shop, monkeypatch):
    uri, application = settings.table_uri("silver", "shop", NAME.rpartition(".")[2]), itertools.count(1)
    rows = pa.table({name: pa.array(["a", "b", "c"]) for name in shop.table(NAME.partition(".")[2]).column_names})
    table = new_table(settings, uri, rows.schema)
    commit_change(table, Change.appending(rows, table), Commit("test", next(application)))
    read_no_row(monkeypatch)
    for left, keys in ((1, ["a", "c"]), (0, ["b"])):
        table = snapshot(settings, DeltaTable(uri), uri)
        deleted = table.read(among={table.schema.names[0]: pa.array(keys)})
        none = table.none()
        commit_change(table, Change(none, none, none, deleted), Commit("test", next(application)))
        if left:
            assert [check.value for check in pass_gate(settings, shop).checks] == [left]
    with pytest.raises(GateFailed, match="some_rows is 0"):
        pass_gate(settings, shop)


def test_rows_of_a_file_without_statistics_are_read(settings, shop):
    write(settings, ["toys", "books"])
    log = Path(settings.table_uri("silver", "shop", NAME.rpartition(".")[2])) / "_delta_log" / f"{0:020d}.json"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        line.get("add", {}).pop("stats", None)
    log.write_text("\n".join(map(json.dumps, lines)))
    assert [check.value for check in pass_gate(settings, shop).checks] == [2]


def test_what_passes_is_published_once(settings, shop, audit):
    write(settings, ["toys"])
    judged = pass_gate(settings, shop)
    assert judged.versions == {NAME: 0}
    assert [(check.check, check.value, check.passed) for check in judged.checks] == [("some_rows", 1, True)]
    first = publish(settings, shop, audit, judged.versions)
    assert (first.manifest.number, first.manifest.tables, first.before, first.is_new) == (1, {NAME: 0}, None, True)
    again = publish(settings, shop, audit, pass_gate(settings, shop).versions)
    assert (again.manifest.number, again.before, again.is_new) == (1, 1, False)
    assert len(manifests(settings)) == 1
    assert audit.numbers == [1, 1]


def test_a_publication_whose_copy_was_lost_is_copied_with_the_next(settings, shop, audit):
    write(settings, ["toys"])
    publish(settings, shop, Audit(), pass_gate(settings, shop).versions)
    write(settings, ["games"])
    publish(settings, shop, audit, pass_gate(settings, shop).versions)
    assert audit.numbers == [1, 2]


def test_where_no_table_is_nothing_is_published(settings, shop, audit):
    done = publish(settings, shop, audit, pass_gate(settings, shop).versions)
    assert (done.manifest, done.before, done.is_new) == (None, None, False)
    assert manifests(settings) == []


def test_a_failed_check_leaves_the_publication_before(settings, shop, audit):
    write(settings, ["toys"])
    publish(settings, shop, audit, pass_gate(settings, shop).versions)
    write(settings, [])
    with pytest.raises(GateFailed, match=f"{NAME}: some_rows is 0"):
        pass_gate(settings, shop)
    assert len(manifests(settings)) == 1


def test_what_was_written_after_the_gate_is_judged_before_it_is_published(settings, shop, audit):
    write(settings, ["toys"])
    judged = pass_gate(settings, shop).versions
    write(settings, [])
    with pytest.raises(GateFailed, match="some_rows"):
        publish(settings, shop, audit, judged)
    assert manifests(settings) == []
    write(settings, ["toys", "games"])
    assert publish(settings, shop, audit, judged).manifest.tables == {NAME: 2}


def test_an_attempt_that_lost_its_lease_publishes_nothing(settings, shop, audit):
    def lost() -> None:
        raise LeaseLost("gone")

    write(settings, ["toys"])
    with pytest.raises(LeaseLost):
        publish(settings, shop, audit, pass_gate(settings, shop).versions, lost)
    assert manifests(settings) == []
    assert audit.numbers == []


def publish_run(settings, catalog, audit, *names):
    """Judge and publish as a run of these tables does; return what readers see."""
    tables = covered_tables(catalog, list(Layer), names)
    judged = pass_gate_of(settings, catalog, audit, "r1", tables)
    return make_public(settings, catalog, audit, "r1", tables, judged.versions, lambda: None).manifest.tables


def test_a_run_of_some_tables_publishes_those_and_leaves_the_others_as_they_are_published(settings, two, audit):
    write(settings, ["toys"])
    write(settings, ["toys"], "words")
    assert publish_run(settings, two, audit) == {NAME: 0, "shop.silver.words": 0}
    write(settings, ["left by a failed run"])
    write(settings, ["games"], "words")
    assert publish_run(settings, two, audit, "words") == {NAME: 0, "shop.silver.words": 1}
    roll_back(settings, "shop", 1, "by hand")
    write(settings, ["more"], "words")
    assert publish_run(settings, two, audit, "silver.words") == {NAME: 0, "shop.silver.words": 2}
    assert publish_run(settings, two, audit) == {NAME: 1, "shop.silver.words": 2}


def test_a_publication_whose_versions_are_not_there_any_more_is_not_gone_back_to(settings, two, audit):
    for names in (["toys"], ["games"]):
        write(settings, names)
        write(settings, names, "words")
        publish_run(settings, two, audit)
    assert go_back(settings, "shop", 1, "by hand").tables == {NAME: 0, "shop.silver.words": 0}
    folder = Path(settings.table_uri("silver", "shop", "words"))
    told = "publication 2 names version 1 of shop.silver.words, which"
    (folder / "_delta_log" / "00000000000000000001.json").unlink()
    with pytest.raises(StateError, match=rf"{told} cannot be read: .*`lakehouse publications shop` lists them"):
        go_back(settings, "shop", 2, "by hand")
    shutil.rmtree(folder)
    with pytest.raises(StateError, match=f"{told} is not there"):
        go_back(settings, "shop", 2, "by hand")
    for names in (["toys"], ["games"]):
        write(settings, names, "words")
    with pytest.raises(StateError, match=f"{told} is of a table that was made anew at"):
        go_back(settings, "shop", 2, "by hand")
    assert current(settings, "shop").number == 3
    with pytest.raises(ParameterError, match="publication 9 of shop is not kept"):
        go_back(settings, "shop", 9, "by hand")


def test_what_a_run_does_not_cover_does_not_hold_it_up_and_is_not_published_for_the_first_time(settings, two, audit):
    write(settings, [])
    write(settings, ["toys"], "words")
    assert publish_run(settings, two, audit, "words") == {"shop.silver.words": 0}
    with pytest.raises(GateFailed, match=f"{NAME}: some_rows is 0"):
        publish_run(settings, two, audit)


def test_what_checks_found_is_told_though_one_of_them_stops_the_run(settings, shop, audit):
    write(settings, [])
    with pytest.raises(GateFailed):
        publish_run(settings, shop, audit)
    assert audit.checks == [("some_rows", "error", False)]


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"no Parquet")])
def test_a_data_file_that_cannot_be_read_is_said_with_its_table_and_a_remedy(settings, shop, audit, damage):
    write(settings, ["toys"])
    folder = Path(settings.table_uri("silver", "shop", NAME.rpartition(".")[2]))
    log = folder / "_delta_log" / "00000000000000000000.json"
    log.write_text(re.sub(r'"stats":"(?:[^"\\]|\\.)*"', '"stats":null', log.read_text()))
    (file,) = folder.glob("*.parquet")
    damage(file)
    with pytest.raises(StateError, match=r"a file .*restore"):
        publish_run(settings, shop, audit)


def test_what_the_store_says_heals_and_what_the_log_lacks_does_not(tmp_path):
    with pytest.raises(StoreUnavailable) as away, reading("s3://silver/t"):
        raise DeltaError("Generic S3 error: error sending request for url (http://127.0.0.1:1/t)")
    assert away.value.exit_code == 75
    with pytest.raises(StateError, match="gone"), reading("s3://silver/t"):
        raise duckdb.InvalidInputException("Object at location t/a.parquet not found: Generic S3 error: 404")
    with (
        pytest.raises(StateError, match=r"log of the table cannot be read.*under _delta_log"),
        reading("s3://silver/t"),
    ):
        raise DeltaError("Expected contiguous commit files, but found gap")


def test_a_run_covers_the_tables_of_its_layers(two):
    assert [table.name for table in covered_tables(two, [Layer.SILVER], [])] == [NAME.rpartition(".")[2], "words"]
    assert covered_tables(two, [Layer.BRONZE, Layer.GOLD], []) == []
