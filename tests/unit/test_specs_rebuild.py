"""An incremental table's SQL makes for a key the same rows from that key's inputs alone as from the whole inputs."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
import sqlglot

from lakehouse.specs import Catalog, Incremental, Layer, load_catalog

OLIST = Path(__file__).parents[2] / "spark" / "pipelines" / "olist"
CATALOG: Catalog = load_catalog(OLIST)
GOLD = CATALOG.layer(Layer.GOLD)
BLOCKS = {table.name: table.block for table in GOLD if isinstance(table.block, Incremental)}
TABLES = list(BLOCKS)
# Whatever keys are rebuilt, these are read whole.
WHOLE = {name for block in BLOCKS.values() for name in block.read_whole}
DIALECT = {"tinyint": "TINYINT", "timestamp": "TIMESTAMP", "string": "VARCHAR"}


def shop(con: duckdb.DuckDBPyConnection, chance: random.Random) -> None:
    """Silver tables of a few orders, shared products and sellers, orphans, and orders without one side or another."""

    def some(kind: str, count: int) -> str:
        return f"'{kind}{chance.randrange(count)}'"

    def day() -> str:
        return f"TIMESTAMP '2018-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02} 12:00:00'"

    for table in CATALOG.layer(Layer.SILVER):
        columns = ", ".join(f"{column.name} {DIALECT.get(column.type, column.type)}" for column in table.columns)
        con.execute(f"CREATE TABLE {table.name} ({columns})")
    for n in range(12):
        con.execute(f"INSERT INTO customers VALUES ('c{n}', {some('u', 6)}, '0100{n % 3}', 'x', 'SP', {day()})")
        status = chance.choice(["delivered", "shipped", "canceled"])
        arrived = day() if status == "delivered" else "NULL"
        times = f"{day()}, {day()}, {day()}, {arrived}, {day()}, {day()}"
        con.execute(f"INSERT INTO orders VALUES ('o{n}', {some('c', 14)}, '{status}', {times})")
    for order in range(14):
        for n in range(chance.randrange(4)):
            item = f"{some('p', 5)}, {some('s', 3)}, {day()}, {chance.randrange(9999)} / 100, 1.5, {day()}"
            con.execute(f"INSERT INTO order_items VALUES ('o{order}', {n}, {item})")
            con.execute(f"INSERT INTO order_payments VALUES ('o{order}', {n}, 'voucher', 1, 2.5, {day()})")
        for n in range(chance.randrange(3)):
            words = chance.choice(["NULL", "'ok'"])
            review = f"{chance.randrange(1, 6)}, NULL, {words}, {day()}, {day()}, {day()}"
            con.execute(f"INSERT INTO order_reviews VALUES ('r{n}', 'o{order}', {review})")


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        shop(con, random.Random(3))
        for name in [table.name for table in GOLD if table.name in BLOCKS.keys() | WHOLE]:
            con.execute(f"CREATE TABLE {name} AS {sql(name)}")
        yield con


def sql(name: str) -> str:
    return sqlglot.transpile(str(CATALOG.table(name).sql), read="spark", write="duckdb")[0]


@contextmanager
def restricted(con: duckdb.DuckDBPyConnection, block: Incremental, keys: str) -> Iterator[None]:
    """Put tables before the inputs: each with only the rows that lead to the keys."""
    inputs = sorted(block.inputs.items(), key=lambda item: item[1].through is not None)
    for name, source in inputs:
        leading = f"SELECT {source.column} FROM temp.{source.through}" if source.through else keys
        con.execute(f"CREATE TEMP TABLE {name} AS FROM memory.main.{name} WHERE {source.column} IN ({leading})")
    yield
    for name, _ in reversed(inputs):
        con.execute(f"DROP TABLE temp.{name}")


@pytest.mark.parametrize("name", TABLES)
def test_rows_of_a_key_depend_on_its_own_inputs_alone(con: duckdb.DuckDBPyConnection, name: str) -> None:
    block = CATALOG.table(name).block
    assert isinstance(block, Incremental)
    keys = [key for (key,) in con.execute(f"SELECT DISTINCT {block.rebuild_by} FROM {name} ORDER BY 1").fetchall()]
    assert len(keys) > 2
    for n in range(len(keys)):
        chosen = ", ".join(f"'{key}'" for key in (keys[n], keys[n - 1]))
        whole = con.execute(f"FROM {name} WHERE {block.rebuild_by} IN ({chosen})").fetchall()
        with restricted(con, block, chosen):
            part = con.execute(sql(name)).fetchall()
        assert sorted(map(repr, part)) == sorted(map(repr, whole))


def same(con: duckdb.DuckDBPyConnection, made: str, plain: str) -> None:
    assert con.execute(f"SELECT {made}").fetchall() == con.execute(f"SELECT {plain}").fetchall(), made


def test_no_join_multiplies_a_measure(con: duckdb.DuckDBPyConnection) -> None:
    """Totals of the facts against the plain sums of what they are made from."""
    sold, paid = "sum(price), sum(freight_value), count(*)", "sum(payment_value), count(*)"
    same(con, f"{sold} FROM fact_sales", f"{sold} FROM order_items")
    same(con, f"{paid} FROM fact_payments", f"{paid} FROM order_payments")
    same(con, "count(*) FROM fact_reviews", "count(*) FROM order_reviews")
    same(con, "count(*) FROM fact_orders", "count(*) FROM orders")
    same(con, "sum(units) FROM feature_product_performance", "count(*) FROM order_items")
    same(con, "sum(items) FROM feature_seller_reliability", "count(*) FROM order_items")
    # Rows without their order are in no total of an order.
    known = "WHERE order_id IN (SELECT order_id FROM orders)"
    made = "sum(items_value), sum(freight_value), sum(items)"
    same(con, f"{made} FROM fact_orders", f"{sold} FROM order_items {known}")
    same(con, "sum(payments_value), sum(payments) FROM fact_orders", f"{paid} FROM order_payments {known}")
    same(con, "sum(reviews) FROM fact_orders", f"count(*) FROM order_reviews {known}")


def test_an_item_without_its_order_is_kept(con: duckdb.DuckDBPyConnection) -> None:
    lost = con.execute(
        "SELECT order_status, customer_unique_id, date_key FROM fact_sales ANTI JOIN orders USING (order_id)"
    )
    assert set(lost.fetchall()) == {(None, None, None)}
