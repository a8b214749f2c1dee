"""The Olist pipeline as its files say it: tables, graph, severities, normalisation, calendar."""

from __future__ import annotations

import csv
import re
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest
import sqlglot

from lakehouse.specs import Catalog, Full, Incremental, Layer, Scd2, Silver, load_catalog

OLIST = Path(__file__).parents[2] / "spark" / "pipelines" / "olist"
FACTS = {"fact_sales", "fact_orders", "fact_payments", "fact_reviews"}
FEATURES = {
    "feature_customer_purchases",
    "feature_customer_rfm",
    "feature_product_performance",
    "feature_seller_reliability",
}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    found = load_catalog(OLIST)
    assert found.problems == []
    return found


def names(catalog: Catalog, kind: type) -> set[str]:
    return {table.name for table in catalog.tables.values() if isinstance(table.block, kind)}


def test_the_tables_and_their_kinds(catalog: Catalog) -> None:
    sources = "customers geolocation order_items order_payments order_reviews orders products sellers"
    assert names(catalog, Silver) == {*sources.split(), "product_category_name_translation"}
    assert names(catalog, Scd2) == {"dim_customers", "dim_products", "dim_sellers"}
    assert names(catalog, Incremental) == FACTS | FEATURES
    assert names(catalog, Full) == {"dim_location", "dim_date", "feature_rfm_fifths"}


def test_each_table_stands_after_what_it_reads(catalog: Catalog) -> None:
    """Read from the texts themselves: FROM and JOIN, parents, references, dimensions."""
    place = {table.full_name: n for n, table in enumerate([*catalog.layer(Layer.SILVER), *catalog.layer(Layer.GOLD)])}
    silver = {table.name for table in catalog.layer(Layer.SILVER)}
    assert len(place) == 23
    for full, position in place.items():
        _, layer, name = full.split(".")
        text = (OLIST / layer / f"{name}.odcs.yaml").read_text("utf-8")
        read = set(re.findall(r"\bto: (\w+)\.|\btable: (\w+)|\bdimension: (\w+)", text))
        words = {word for found in read for word in found if word}
        if layer == "gold":
            sql = (OLIST / layer / f"{name}.sql").read_text("utf-8")
            words |= set(re.findall(r"\b(?:FROM|JOIN) (\w+)", sql)) & {each.rpartition(".")[2] for each in place}
        for word in words - {name}:
            above = f"olist.silver.{word}" if word in silver else f"olist.gold.{word}"
            assert place[above] < position, f"{full} before {above}"


def test_silver_is_fed_by_its_own_source_table(catalog: Catalog) -> None:
    for table in catalog.layer(Layer.SILVER):
        assert isinstance(table.block, Silver)
        assert (table.block.source, table.block.watermark) == (f"olist.{table.name}", "updated_at")
        assert table.column_names[-1] == "updated_at"
        assert table.block.quarantine_limit == 0.05
        keyless = table.name in ("geolocation", "product_category_name_translation")
        assert table.block.deletes == ("none" if keyless else "key-scan")
        assert table.block.history == (table.name in ("customers", "products", "sellers"))


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("silver.order_items", ("order_id", "order_item_id")),
        ("silver.order_payments", ("order_id", "payment_sequential")),
        ("silver.order_reviews", ("review_id", "order_id")),
        ("gold.fact_sales", ("order_id", "order_item_id")),
        ("gold.fact_orders", ("order_id",)),
        ("gold.fact_payments", ("order_id", "payment_sequential")),
        ("gold.fact_reviews", ("review_id", "order_id")),
        ("gold.dim_location", ("zip_code_prefix",)),
        ("gold.dim_customers", ("customer_key",)),
    ],
)
def test_grain(catalog: Catalog, table: str, key: tuple[str, ...]) -> None:
    assert catalog.table(table).key == key


def test_severities(catalog: Catalog) -> None:
    """What stops a row, and what only warns: a sale outlives its product, its seller and a bad postal code."""
    warnings = {
        (table.name, rule.name)
        for table in catalog.layer(Layer.SILVER)
        for rule in (*table.rules, *table.foreign_keys)
        if rule.severity == "warning"
    }
    assert warnings == {
        ("customers", "customer_zip_code_prefix_valid"),
        ("customers", "customer_state_valid"),
        ("sellers", "seller_zip_code_prefix_valid"),
        ("sellers", "seller_state_valid"),
        ("sellers", "seller_city_without_at"),
        ("geolocation", "geolocation_state_valid"),
        ("order_payments", "payment_type_valid"),
        ("order_items", "orphan_product_id"),
        ("order_items", "orphan_seller_id"),
    }


@pytest.mark.parametrize(
    ("table", "rules"),
    [
        ("orders", "order_id_required delivered_has_a_date shipped_has_a_carrier_date orphan_customer_id"),
        ("order_items", "price_minimum freight_value_minimum product_id_required seller_id_required orphan_order_id"),
        ("order_payments", "payment_value_minimum orphan_order_id"),
        ("order_reviews", "review_score_minimum review_score_maximum orphan_order_id"),
        ("sellers", "seller_city_without_digits"),
        (
            "products",
            "product_name_lenght_required product_description_lenght_required product_photos_qty_required "
            "product_weight_g_required product_length_cm_required product_height_cm_required product_width_cm_required",
        ),
    ],
)
def test_rules_that_stop_a_row(catalog: Catalog, table: str, rules: str) -> None:
    found = catalog.table(f"silver.{table}")
    stopping = {rule.name for rule in (*found.rules, *found.foreign_keys) if rule.severity == "error"}
    assert set(rules.split()) <= stopping


def test_money_says_its_currency(catalog: Catalog) -> None:
    money = {
        (table.name, column.name): (column.type, "BRL" in column.description)
        for table in catalog.tables.values()
        for column in table.columns
        if re.search("price|value|revenue|monetary|freight", column.name)
    }
    assert len(money) == 16
    wrong = {name for name, (type_, said) in money.items() if not said or not re.match(r"decimal\(\d\d,2\)", type_)}
    assert wrong == set()


def test_what_is_personal(catalog: Catalog) -> None:
    personal = re.compile(
        "(customer|seller)_(zip_code_prefix|city|state)|customer_unique_id|review_comment_(title|message)"
    )
    for table in catalog.tables.values():
        marked = {column.name for column in table.columns if column.classification == "personal"}
        assert {name for name in table.column_names if personal.fullmatch(name)} <= marked, table.full_name


def normalised(catalog: Catalog, table: str, column: str, value: str) -> str:
    expression = next(each.expression for each in catalog.table(table).columns if each.name == column)
    sql = sqlglot.transpile(f"SELECT {expression} FROM row", read="spark", write="duckdb")[0]
    sql = re.sub(r"(REGEXP_REPLACE\(.*), ' '\)", r"\1, ' ', 'g')", sql)
    with duckdb.connect() as connection:
        return str(connection.execute(f"WITH row AS (SELECT ? AS {column}) {sql}", [value]).fetchall()[0][0])


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("São Paulo", "sao paulo"),
        ("  SAO   PAULO ", "sao paulo"),
        ("sa\u0303o paulo", "sao paulo"),
        ("são\u00a0paulo", "sao paulo"),
        ("s\u200bao\tpaulo\n", "sao paulo"),
        ("AÇAÍLÂNDIA", "acailandia"),
        ("santa barbara d\u00b4oeste", "santa barbara d'oeste"),
        ("lages - sc", "lages - sc"),
        ("", ""),
    ],
)
@pytest.mark.parametrize("table", ["customers", "sellers", "geolocation"])
def test_cities_are_normalised(catalog: Catalog, table: str, said: str, meant: str) -> None:
    column = next(name for name in catalog.table(table).column_names if name.endswith("_city"))
    assert normalised(catalog, f"silver.{table}", column, said) == meant


@pytest.mark.parametrize(
    ("said", "meant"), [("01007", "01007"), ("1007", "01007"), (" 1007 ", "01007"), ("107", "107"), ("a007", "a007")]
)
def test_a_lost_leading_zero_comes_back(catalog: Catalog, said: str, meant: str) -> None:
    assert normalised(catalog, "silver.geolocation", "geolocation_zip_code_prefix", said) == meant


def easter(year: int) -> date:
    """The Gregorian computus (Meeus, Jones, Butcher)."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    h = (19 * a + b - d - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    i, k = divmod(c, 4)
    m = (32 + 2 * e + 2 * i - h - k) % 7
    month, day = divmod(h + m - 7 * ((a + 11 * h + 22 * m) // 451) + 114, 31)
    return date(year, month, day + 1)


def test_the_holidays_of_five_years() -> None:
    fixed = [(1, 1), (4, 21), (5, 1), (9, 7), (10, 12), (11, 2), (11, 15), (12, 25)]
    years = range(2016, 2021)
    expected = {date(year, *day) for year in years for day in fixed}
    expected |= {easter(year) - timedelta(days=2) for year in years}
    with (OLIST / "seeds" / "holidays.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {date.fromisoformat(row["date"]) for row in rows} == expected
    assert len(rows) == len(expected)
    assert all(row["name"].strip() for row in rows)
