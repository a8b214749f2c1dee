"""The oracle itself, against a shop small enough to reckon by hand."""

from __future__ import annotations

from contextlib import closing
from decimal import Decimal
from types import ModuleType
from typing import Any

import duckdb
import psycopg2
import pytest

COLUMNS = {
    "product_category_name_translation": "product_category_name text, product_category_name_english text",
    "customers": "customer_id text, customer_unique_id text, customer_zip_code_prefix text, customer_city text, "
    "customer_state text",
    "geolocation": "geolocation_zip_code_prefix text, geolocation_lat double precision, "
    "geolocation_lng double precision, geolocation_city text, geolocation_state text",
    "sellers": "seller_id text, seller_zip_code_prefix text, seller_city text, seller_state text",
    "products": "product_id text, product_category_name text, product_name_lenght integer, "
    "product_description_lenght integer, product_photos_qty integer, product_weight_g integer, "
    "product_length_cm integer, product_height_cm integer, product_width_cm integer",
    "orders": "order_id text, customer_id text, order_status text, order_purchase_timestamp timestamp, "
    "order_approved_at timestamp, order_delivered_carrier_date timestamp, order_delivered_customer_date timestamp, "
    "order_estimated_delivery_date timestamp",
    "order_items": "order_id text, order_item_id integer, product_id text, seller_id text, "
    "shipping_limit_date timestamp, price numeric(12,2), freight_value numeric(12,2)",
    "order_payments": "order_id text, payment_sequential integer, payment_type text, payment_installments integer, "
    "payment_value numeric(12,2)",
    "order_reviews": "review_id text, order_id text, review_score integer, review_comment_title text, "
    "review_comment_message text, review_creation_date timestamp, review_answer_timestamp timestamp",
}
LOAD = "2026-01-01 00:00:00+00"
Rows = dict[str, list[tuple[Any, ...]]]


def shop() -> Rows:
    """One customer, one delivered order o1 of two items, two payments and two reviews; every row is valid."""
    return {
        "product_category_name_translation": [("perfumaria", "perfumery", LOAD)],
        "customers": [("c1", "u1", "01001", "São  Paulo", "sp", LOAD)],
        "geolocation": [("1001", -23.55, -46.63, "são paulo", "SP", LOAD)],
        "sellers": [("s1", "13023", "campinas", "SP", LOAD)],
        "products": [("p1", "perfumaria", 1, 1, 1, 100, 1, 1, 1, LOAD)],
        "orders": [
            ("o1", "c1", "delivered", "2018-01-01 23:00", None, "2018-01-02", "2018-01-05 01:00", "2018-01-04", LOAD)
        ],
        "order_items": [
            ("o1", 1, "p1", "s1", "2018-01-03", "10.00", "1.50", LOAD),
            ("o1", 2, "p1", "s1", "2018-01-03", "20.00", "2.50", LOAD),
        ],
        "order_payments": [("o1", 1, "boleto", 1, "30.00", LOAD), ("o1", 2, "voucher", 1, "4.00", LOAD)],
        "order_reviews": [
            ("r1", "o1", 5, None, 'bom\r\n"sim"', "2018-01-06", "2018-01-08", LOAD),
            ("r2", "o1", 2, "", None, "2018-01-06", "2018-01-06", LOAD),
        ],
    }


def give(oracle: ModuleType, con: duckdb.DuckDBPyConnection, rows: Rows, **how: Any) -> None:
    """Show the oracle a source that holds these rows now."""
    for table, columns in COLUMNS.items():
        con.execute(f"CREATE OR REPLACE TEMP TABLE given ({columns}, updated_at timestamptz)")
        width = columns.count(",") - columns.count("(12,2)") + 2
        if rows[table]:
            con.executemany(f"INSERT INTO given VALUES ({', '.join('?' * width)})", rows[table])
        oracle.give(con, table, "FROM given")
    oracle.judge(con, **how)


def fetch(con: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    return con.execute(query).fetchall()


# rule → (table, a row that breaks this rule and no other)
ORDER = ("c1", "created", "2018-01-01", None, None, None, "2018-01-04", LOAD)
BREAKS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "product_category_name_translation.names_present": ("product_category_name_translation", ("x", None, LOAD)),
    "customers.keys_present": ("customers", ("c2", None, "01001", "x", "SP", LOAD)),
    "geolocation.zip_code_prefix_valid": ("geolocation", ("101", -23.5, -46.6, "x", "SP", LOAD)),
    "geolocation.on_earth": ("geolocation", ("01001", -91.0, -46.6, "x", "SP", LOAD)),
    "geolocation.city_present": ("geolocation", ("01001", -23.5, -46.6, None, "SP", LOAD)),
    "sellers.keys_present": ("sellers", (None, "13023", "campinas", "SP", LOAD)),
    "sellers.city_without_digits": ("sellers", ("s2", "13023", "04482255", "SP", LOAD)),
    "products.keys_present": ("products", (None, None, 1, 1, 1, 1, 1, 1, 1, LOAD)),
    "products.name_length_present": ("products", ("p2", None, None, 1, 1, 1, 1, 1, 1, LOAD)),
    "products.description_length_present": ("products", ("p2", None, 1, None, 1, 1, 1, 1, 1, LOAD)),
    "products.photos_present": ("products", ("p2", None, 1, 1, None, 1, 1, 1, 1, LOAD)),
    "products.weight_present": ("products", ("p2", None, 1, 1, 1, None, 1, 1, 1, LOAD)),
    "products.length_present": ("products", ("p2", None, 1, 1, 1, 1, None, 1, 1, LOAD)),
    "products.height_present": ("products", ("p2", None, 1, 1, 1, 1, 1, None, 1, LOAD)),
    "products.width_present": ("products", ("p2", None, 1, 1, 1, 1, 1, 1, None, LOAD)),
    "orders.keys_present": ("orders", (None, *ORDER)),
    "orders.purchase_time_present": ("orders", ("o2", "c1", "created", None, None, None, None, "2018-01-04", LOAD)),
    "orders.estimate_present": ("orders", ("o2", "c1", "created", "2018-01-01", None, None, None, None, LOAD)),
    "orders.status_known": ("orders", ("o2", "c1", "lost", *ORDER[2:])),
    "orders.delivered_has_a_date": (
        "orders",
        ("o2", "c1", "delivered", "2018-01-01", None, "2018-01-02", None, "2018-01-04", LOAD),
    ),
    "orders.shipped_has_a_carrier_date": ("orders", ("o2", "c1", "shipped", *ORDER[2:])),
    "orders.customer_exists": ("orders", ("o2", "nobody", *ORDER[1:])),
    "order_items.keys_present": ("order_items", ("o1", None, "p1", "s1", None, "1", "1", LOAD)),
    "order_items.price_not_negative": ("order_items", ("o1", 3, "p1", "s1", None, "-0.01", "1", LOAD)),
    "order_items.freight_not_negative": ("order_items", ("o1", 3, "p1", "s1", None, "1", None, LOAD)),
    "order_items.order_exists": ("order_items", ("none", 3, "p1", "s1", None, "1", "1", LOAD)),
    "order_items.product_exists": ("order_items", ("o1", 3, "none", "s1", None, "1", "1", LOAD)),
    "order_items.seller_exists": ("order_items", ("o1", 3, "p1", "none", None, "1", "1", LOAD)),
    "order_payments.keys_present": ("order_payments", ("o1", None, "boleto", 1, "1", LOAD)),
    "order_payments.value_not_negative": ("order_payments", ("o1", 3, "boleto", 1, "-1", LOAD)),
    "order_payments.order_exists": ("order_payments", ("none", 3, "boleto", 1, "1", LOAD)),
    "order_reviews.keys_present": ("order_reviews", (None, "o1", 1, None, None, None, None, LOAD)),
    "order_reviews.score_1_to_5": ("order_reviews", ("r3", "o1", 6, None, None, None, None, LOAD)),
    "order_reviews.order_exists": ("order_reviews", ("r3", "none", 1, None, None, None, None, LOAD)),
}


def test_every_rule_has_a_row_that_breaks_it(oracle: ModuleType) -> None:
    assert set(BREAKS) == set(oracle.RULES)


@pytest.mark.slow
def test_a_rule_rejects_its_row_and_no_other_rule_does(oracle: ModuleType) -> None:
    con, rows = oracle.connect(), shop()
    for table, row in BREAKS.values():
        rows[table].append(row)
    give(oracle, con, rows, errors=oracle.RULES)
    rejected = {}
    for rule, (table, _) in BREAKS.items():
        con.execute(f"DELETE FROM silver.{table}")
        oracle.judge(con, {rule}, replay=True)
        one = len(rows[table]) - fetch(con, f"SELECT count(*) FROM silver.{table}")[0][0]
        con.execute(f"DELETE FROM silver.{table}")
        oracle.judge(con, set(oracle.RULES) - {rule}, replay=True)
        rejected[rule] = (one, fetch(con, f"SELECT count(*) FROM silver.{table}")[0][0] - len(shop()[table]))
    assert rejected == dict.fromkeys(BREAKS, (1, 1))


def test_figures_reckoned_by_hand(oracle: ModuleType) -> None:
    con = oracle.connect()
    give(oracle, con, shop())
    oracle.build_gold(con)
    order = "items, items_value, freight_value, payments, payments_value, reviews, mean_review_score, delivery_days"
    assert fetch(con, f"SELECT {order}, days_late FROM gold.fact_orders") == [
        (2, Decimal("30.00"), Decimal("4.00"), 2, Decimal("34.00"), 2, 3.5, 4, 1)
    ]
    assert fetch(con, "SELECT total_value, date_key, known_product_id FROM gold.fact_sales ORDER BY order_item_id") == [
        (Decimal("11.50"), 20180101, "p1"),
        (Decimal("22.50"), 20180101, "p1"),
    ]
    assert fetch(con, "SELECT has_comment, comment_length, answer_days FROM gold.fact_reviews ORDER BY review_id") == [
        (True, 10, 2),
        (False, 0, 0),
    ]
    assert fetch(con, "FROM gold.dim_customers") == [("u1", "01001", "sao paulo", "SP")]
    assert fetch(con, "SELECT product_category_name_english FROM gold.dim_products") == [("perfumery",)]
    assert fetch(con, "SELECT orders, units, revenue, reviews, mean_price FROM gold.feature_product_performance") == [
        (1, 2, Decimal("30.00"), 2, 15.0)
    ]
    assert fetch(con, "SELECT orders, items, late_share, late_dispatch_share FROM gold.feature_seller_reliability") == [
        (1, 2, 1.0, 0.0)
    ]
    assert fetch(con, "SELECT frequency, monetary FROM gold.feature_customer_rfm") == [(1, Decimal("34.00"))]


def test_a_place_is_the_middle_of_its_fullest_cell(oracle: ModuleType) -> None:
    con, rows = oracle.connect(), shop()
    near = [("01001", -23.51, -46.61), ("01001", -23.53, -46.63), ("01001", -23.53, -46.63), ("1001", -24.01, -46.63)]
    rows["geolocation"] = [(*place, "sao paulo", "SP", LOAD) for place in near]
    give(oracle, con, rows)
    oracle.build_gold(con)
    ((code, latitude, longitude, city, state, readings),) = fetch(con, "FROM gold.dim_location")
    assert (code, city, state, readings) == ("01001", "sao paulo", "SP", 3)
    assert (latitude, longitude) == (pytest.approx(-23.52), pytest.approx(-46.62))


def test_the_holidays_of_a_year(oracle: ModuleType) -> None:
    con = oracle.connect()
    give(oracle, con, shop())
    oracle.build_gold(con)
    free = fetch(con, "SELECT date_key FROM gold.dim_date WHERE is_holiday AND year = 2018 AND month >= 9")
    assert sorted(day for (day,) in free) == [20180907, 20181012, 20181102, 20181115, 20181225]


def test_an_invalid_newer_row_leaves_the_older_and_a_deleted_one_goes(oracle: ModuleType) -> None:
    con, rows = oracle.connect(), shop()
    give(oracle, con, rows)
    later = "2026-01-02 00:00:00+00"
    rows["order_items"] = [("o1", 1, "p1", "s1", "2018-01-03", "-1", "1.50", later)]
    give(oracle, con, rows)
    assert fetch(con, "SELECT order_item_id, price FROM silver.order_items") == [(1, Decimal("10.00"))]


def test_a_child_waits_for_its_parent(oracle: ModuleType) -> None:
    con, whole = oracle.connect(), shop()
    give(oracle, con, {**whole, "orders": []})
    assert fetch(con, "SELECT count(*) FROM silver.order_items") == [(0,)]
    give(oracle, con, whole)
    assert fetch(con, "SELECT order_item_id, price FROM silver.order_items ORDER BY ALL") == fetch(
        con, "SELECT order_item_id, price FROM source.order_items ORDER BY ALL"
    )


def test_a_child_that_is_wrong_by_then_comes_as_it_was(oracle: ModuleType) -> None:
    con, whole = oracle.connect(), shop()
    give(oracle, con, {**whole, "orders": []})
    later = "2026-01-02 00:00:00+00"
    wrong = [("o1", 1, "p1", "s1", "2018-01-03", "-1", "1.50", later)]
    give(oracle, con, {**whole, "orders": [], "order_items": wrong})
    give(oracle, con, {**whole, "order_items": wrong})
    assert fetch(con, "SELECT order_item_id, price FROM silver.order_items") == [(1, Decimal("10.00"))]


def test_a_customer_gone_stays_in_the_dimension(oracle: ModuleType) -> None:
    con, rows = oracle.connect(), shop()
    give(oracle, con, rows)
    give(oracle, con, {**rows, "customers": []})
    oracle.build_gold(con)
    assert fetch(con, "SELECT customer_unique_id FROM gold.dim_customers") == [("u1",)]
    assert fetch(con, "SELECT known_customer_unique_id FROM gold.fact_orders") == [(None,)]


def test_versions_and_the_one_that_a_fact_refers_to(oracle: ModuleType) -> None:
    con, rows = oracle.connect(), shop()
    moved, back, edited = "2018-01-01 12:00:00+00", "2018-06-01 00:00:00+00", "2018-07-01 00:00:00+00"
    early = "2017-01-01 00:00:00+00"
    rows["customers"] = [("c1", "u1", "01001", "a", "SP", early), ("c0", "u1", "01002", "a", "SP", early)]
    rows["products"] = [("p1", "perfumaria", 1, 1, 1, 100, 1, 1, 1, early), ("p2", None, 1, 1, 1, 9, 1, 1, 1, early)]
    give(oracle, con, rows)
    rows["customers"] = [("c1", "u1", "02002", "a", "SP", moved), rows["customers"][1]]
    rows["products"] = [("p1", "perfumaria", 1, 1, 1, 200, 1, 1, 1, back)]
    give(oracle, con, rows)
    rows["customers"] = [("c1", "u1", "02002", "A", "sp", back), rows["customers"][1]]
    rows["products"] = [("p1", "perfumaria", 7, 7, 7, 200, 1, 1, 1, edited)]
    give(oracle, con, rows)
    oracle.build_gold(con)
    interval = "valid_from::VARCHAR, valid_to::VARCHAR"
    past, gone = "1900-01-01 00:00:00+00", "9999-01-01 00:00:00+00"
    query = "SELECT split_part(said, '|', 1), {} FROM gold.dim_customers_versions ORDER BY valid_from"
    assert fetch(con, query.format(interval)) == [("01001", past, moved), ("02002", moved, None)]
    query = "SELECT product_id, {} FROM gold.dim_products_versions ORDER BY ALL"
    assert fetch(con, query.format(interval)) == [("p1", past, back), ("p1", back, None), ("p2", past, gone)]
    query = "SELECT DISTINCT known_customer_unique_id_since::VARCHAR, known_product_id_since::VARCHAR FROM {}"
    assert fetch(con, query.format("gold.fact_sales")) == [(moved, past)]


def test_difference_names_the_cell_the_row_and_the_double(oracle: ModuleType) -> None:
    con = oracle.connect()
    give(oracle, con, shop())
    oracle.build_gold(con)
    same = con.sql("SELECT * FROM gold.fact_payments").to_arrow_table()
    assert oracle.difference(con, "fact_payments", same) == []
    wrong = "SELECT * REPLACE (if(payment_sequential = 1, 31, payment_value) AS payment_value) FROM gold.fact_payments"
    double = f"({wrong}) UNION ALL FROM gold.fact_payments WHERE payment_sequential = 2"
    assert oracle.difference(con, "fact_payments", con.sql(double).to_arrow_table()) == [
        ("o1", 1, "payment_value", "30.00", "31.00"),
        ("o1", 2, "(rows)", "1", "2"),
    ]
    rounded = con.sql("SELECT * REPLACE (CAST(3.49 AS DECIMAL(3, 2)) AS mean_review_score) FROM gold.fact_orders")
    assert oracle.difference(con, "fact_orders", rounded.to_arrow_table(), ["mean_review_score"]) == [
        ("o1", "mean_review_score", "3.5", "3.49")
    ]


@pytest.mark.postgres
def test_what_is_taken_from_postgres_is_what_stands_there(oracle: ModuleType, database: str) -> None:
    rows = shop()
    with closing(psycopg2.connect(database)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA olist")
        for table, columns in COLUMNS.items():
            cursor.execute(f"CREATE TABLE olist.{table} ({columns}, updated_at timestamptz)")
            for row in rows[table]:
                cursor.execute(f"INSERT INTO olist.{table} VALUES %s", [row])
    taken, given = oracle.connect(), oracle.connect()
    oracle.take(taken, database)
    give(oracle, given, rows)
    for table in COLUMNS:
        query = f"FROM silver.{table} ORDER BY ALL"
        assert fetch(taken, query) == fetch(given, query)
