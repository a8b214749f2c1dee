"""Gate and publication over tables that another writer than the engine has made."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from lakehouse.errors import GateFailed, LeaseLost
from lakehouse.publication import make_public, pass_gate
from lakehouse.settings import Settings
from lakehouse.specs import Catalog, load_catalog

ROOT = Path(__file__).parents[2]
CONTRACT = "silver/product_category_name_translation.odcs.yaml"
NAME = "shop.silver.product_category_name_translation"


class Audit:
    """Notes what it is told of publications."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

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
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, home=ROOT, state=tmp_path / "run")


@pytest.fixture
def audit() -> Audit:
    return Audit()


def write(settings: Settings, names: list[str]) -> None:
    """Make these categories the table's content, in one new version."""
    moment = datetime(2018, 1, 1, tzinfo=UTC)
    rows = pa.table(
        {
            "product_category_name": pa.array(names, pa.string()),
            "product_category_name_english": pa.array(names, pa.string()),
            "updated_at": pa.array([moment] * len(names), pa.timestamp("us", "UTC")),
        }
    )
    uri = settings.table_uri("silver", "shop", "product_category_name_translation")
    Path(uri).mkdir(parents=True, exist_ok=True)
    write_deltalake(uri, rows, mode="overwrite")


def publish(settings, shop, audit, judged, guard=lambda: None):
    return make_public(settings, shop, audit, "r1", judged, guard)


def manifests(settings: Settings) -> list[str]:
    return sorted(path.name for path in Path(settings.table_uri("ops")).rglob("*.json"))


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
