"""Cycles are refused with every table in them named; what stands beside a cycle stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse.specs import Layer, load_catalog

CONTRACT = """apiVersion: v3.1.0
kind: DataContract
id: shop.{layer}.{name}
name: {name}
version: 1.0.0
status: active
team: {{name: shop}}
schema:
  - name: {name}
    properties:
      - {{name: id, logicalType: string, physicalType: string, primaryKey: true{parent}}}
customProperties:
  - property: lakehouse
    value: {block}
"""
SILVER = "{{source: shop.{name}, watermark: updated_at, latest_by: [id]}}"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    for layer in ("silver", "gold"):
        (folder / layer).mkdir(parents=True)
    (folder / "pipeline.yaml").write_text("name: shop\ndescription: A shop.\nowner: shop\n")
    return folder


def silver(folder: Path, name: str, parent: str = "") -> None:
    parent = f", relationships: [{{to: {parent}.id}}]" if parent else ""
    text = CONTRACT.format(layer="silver", name=name, parent=parent, block=SILVER.format(name=name))
    (folder / "silver" / f"{name}.odcs.yaml").write_text(text)


def gold(folder: Path, name: str, reads: str) -> None:
    block = f"{{kind: full, inputs: [{reads}]}}"
    text = CONTRACT.format(layer="gold", name=name, parent="", block=block)
    (folder / "gold" / f"{name}.odcs.yaml").write_text(text)
    (folder / "gold" / f"{name}.sql").write_text(f"SELECT id FROM {reads}\n")


def told(folder: Path) -> list[tuple[str, int, str]]:
    return sorted((each.path.name.partition(".")[0], each.line, each.message) for each in load_catalog(folder).problems)


def test_a_cycle_in_gold(shop: Path) -> None:
    silver(shop, "orders")
    for name, reads in (("a", "b"), ("b", "c"), ("c", "a"), ("beside", "orders")):
        gold(shop, name, reads)
    assert told(shop) == [
        ("a", 14, "a cycle: a → b → c → a."),
        ("b", 14, "a cycle: b → c → a → b."),
        ("c", 14, "a cycle: c → a → b → c."),
    ]
    assert set(load_catalog(shop).tables) == {"shop.silver.orders", "shop.gold.beside"}


def test_a_table_that_reads_itself(shop: Path) -> None:
    gold(shop, "a", "a")
    assert told(shop) == [("a", 14, 'it reads "a", and no table is named so.')]


def test_parents_of_each_other(shop: Path) -> None:
    silver(shop, "a", parent="b")
    silver(shop, "b", parent="a")
    assert [(name, message) for name, _, message in told(shop)] == [
        ("a", "a cycle: a → b → a."),
        ("b", "a cycle: b → a → b."),
    ]


def test_who_reads_a_cycle_is_told(shop: Path) -> None:
    gold(shop, "a", "b")
    gold(shop, "b", "a")
    gold(shop, "after", "a")
    assert ("after", 14, 'it reads "a", which has problems of its own.') in told(shop)
    assert load_catalog(shop).tables == {}


def test_gold_may_carry_the_name_of_its_silver_table(shop: Path) -> None:
    """A name means another Gold table first, then Silver; never the table itself."""
    silver(shop, "orders")
    silver(shop, "items", parent="orders")
    gold(shop, "orders", "orders")
    gold(shop, "sales", "orders")
    assert told(shop) == []
    silver_first = ["shop.silver.orders", "shop.silver.items"]
    in_order = [table.full_name for layer in Layer for table in load_catalog(shop).layer(layer)]
    assert in_order == [*silver_first, "shop.gold.orders", "shop.gold.sales"]


def test_a_table_that_refers_to_itself_is_refused(shop: Path) -> None:
    silver(shop, "staff", parent="staff")
    assert any("rows cannot be checked against the table itself" in each for each in map(str, told(shop)))
