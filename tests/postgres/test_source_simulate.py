"""A shop's day on the source: what it says it did is what the tables show, and its keys go on resolving."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from lakehouse.errors import ParameterError, SourceError
from lakehouse.source.load import setup_source
from lakehouse.source.olist import TABLES
from lakehouse.source.sample import write_sample
from lakehouse.source.simulate import simulate

pytestmark = pytest.mark.postgres

REFERENCES = [
    ("orders", "customers", "customer_id"),
    ("order_items", "orders", "order_id"),
    ("order_items", "products", "product_id"),
    ("order_items", "sellers", "seller_id"),
    ("order_payments", "orders", "order_id"),
    ("order_reviews", "orders", "order_id"),
]


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, scale=0.02)
    for name in ("geolocation", "product_category_name_translation"):
        (folder / TABLES[name].file).unlink()
    return folder


@pytest.fixture
def shop(database, sample):
    setup_source(database, sample)
    return database


@pytest.fixture
def tables(ask):
    """Rows by key of every table with a key; `updated_at` is the last field."""

    def read():
        found = {}
        for name, table in TABLES.items():
            if table.key:
                rows = ask(f"SELECT {', '.join([*table.columns, 'updated_at'])} FROM olist.{name}")
                places = [list(table.columns).index(column) for column in table.key]
                found[name] = {tuple(row[place] for place in places): row for row in rows}
        return found

    return read


def contents(tables):
    return {name: Counter(row[:-1] for row in rows.values()) for name, rows in tables.items()}


def test_the_counts_are_the_difference_of_the_tables(shop, tables):
    before = tables()
    counts = simulate(shop, changes=0.05, seed=1)
    after = tables()
    for name in before:
        old, new = before[name], after[name]
        stamped = {key for key in old.keys() & new.keys() if old[key][-1] != new[key][-1]}
        assert counts[name].inserted == len(new.keys() - old.keys()), name
        assert counts[name].deleted == len(old.keys() - new.keys()), name
        assert counts[name].updated == len(stamped), name
        assert {key for key in old.keys() & new.keys() if old[key][:-1] != new[key][:-1]} <= stamped, name
    assert counts["geolocation"].inserted == counts["geolocation"].updated == counts["geolocation"].deleted == 0


def test_about_so_many_orders_change(shop, tables):
    before = tables()
    simulate(shop, changes=0.05, seed=1)
    after = tables()
    touched = {key[0] for key, row in after["orders"].items() if before["orders"].get(key) != row}
    touched |= {key[0] for key in before["orders"].keys() - after["orders"].keys()}
    touched |= {key[1] for key, row in after["order_reviews"].items() if before["order_reviews"].get(key) != row}
    assert 0.5 * 0.05 < len(touched) / len(before["orders"]) < 1.2 * 0.05


def test_every_kind_of_change_happens(shop):
    counts = simulate(shop, changes=0.05, seed=1)
    kinds = {(name, kind) for name, count in counts.items() for kind, rows in vars(count).items() if rows}
    every = {"inserted", "updated", "deleted"}
    expected = {(name, kind) for name in ("customers", "orders", "order_items", "order_reviews") for kind in every}
    expected |= {("order_payments", "inserted"), ("order_payments", "deleted"), ("sellers", "updated")}
    assert kinds == expected | {("products", "updated"), ("products", "deleted")}


def test_the_same_state_and_seed_live_the_same_day(database, sample, tables, ask):
    days = []
    for seed in (1, 1, 2):
        ask("DROP SCHEMA IF EXISTS olist CASCADE")
        setup_source(database, sample)
        counts = [simulate(database, changes=0.03, seed=seed) for _ in range(2)]
        days.append((counts, contents(tables())))
    assert days[0] == days[1]
    assert days[0][1] != days[2][1]


def test_keys_go_on_resolving_day_after_day(shop, ask):
    for day in range(4):
        simulate(shop, changes=0.2, seed=day)
        for child, parent, key in REFERENCES:
            assert ask(f"SELECT {key} FROM olist.{child} EXCEPT SELECT {key} FROM olist.{parent}") == [], child


def test_what_is_bought_has_all_that_an_order_has(shop, ask):
    simulate(shop, changes=0.05, seed=1)
    (newest,) = ask("SELECT max(order_purchase_timestamp)::date FROM olist.orders")[0]
    new = f"FROM olist.orders o WHERE order_purchase_timestamp >= '{newest}'"
    assert ask(f"SELECT count(*) > 10 {new}") == [(True,)]
    for table in ("order_items", "order_payments"):
        has = f"EXISTS (SELECT FROM olist.{table} t WHERE t.order_id = o.order_id)"
        assert ask(f"SELECT avg(({has})::int) > 0.95 {new}") == [(True,)]
    reviewed = "EXISTS (SELECT FROM olist.order_reviews t WHERE t.order_id = o.order_id)"
    assert ask(f"SELECT DISTINCT order_status = 'delivered' {new} AND {reviewed}") == [(True,)]


def test_each_day_is_a_day_later(shop, ask):
    newest = "SELECT max(order_purchase_timestamp)::date FROM olist.orders"
    days = [ask(newest)[0][0]]
    for _ in range(3):
        simulate(shop, changes=0.01, seed=7)
        days.append(ask(newest)[0][0])
    assert [(later - earlier).days for earlier, later in pairwise(days)] == [1, 1, 1]


def test_open_orders_come_further_and_never_back(shop, tables):
    steps = ["created", "approved", "invoiced", "processing", "shipped", "delivered"]
    before = tables()["orders"]
    simulate(shop, changes=0.2, seed=3)
    after = tables()["orders"]
    moved = [(before[key][2], after[key][2]) for key in before.keys() & after.keys() if before[key][2] != after[key][2]]
    assert len(moved) > 5
    assert all(new == "canceled" or steps.index(new) == steps.index(old) + 1 for old, new in moved)


def test_some_garbage_arrives_and_not_much(shop, ask):
    questions = [
        "SELECT count(*) FROM olist.order_items WHERE price < 0",
        "SELECT count(*) FROM olist.order_reviews WHERE review_score NOT BETWEEN 1 AND 5",
        "SELECT count(*) FROM olist.orders WHERE order_status = 'delivered' AND order_delivered_customer_date IS NULL",
    ]
    before = [ask(question)[0][0] for question in questions]
    simulate(shop, changes=0.01, seed=5)
    assert all(1 <= ask(q)[0][0] - n <= 5 for q, n in zip(questions, before, strict=True))


def test_all_that_a_day_writes_has_one_new_stamp(shop, tables, ask):
    began = ask("SELECT clock_timestamp()")[0][0]
    simulate(shop, changes=0.02, seed=1)
    stamps = {row[-1] for rows in tables().values() for row in rows.values() if row[-1] > began}
    assert len(stamps) == 1


def test_the_smallest_day_still_changes_something(shop):
    counts = simulate(shop, changes=0.000001, seed=1)
    assert counts["orders"].inserted == 1


def test_a_day_that_fails_leaves_the_shop_as_it_was(shop, tables, ask):
    ask("ALTER TABLE olist.order_reviews ADD CHECK (review_score <> 9)")
    before = tables()
    with pytest.raises(SourceError, match="check constraint"):
        simulate(shop, changes=0.02, seed=1)
    assert tables() == before


@pytest.mark.parametrize("changes", [0, -0.1, 1.1, float("nan")])
def test_shares_that_make_no_sense_are_refused(changes):
    with pytest.raises(ParameterError, match="changes"):
        simulate("postgresql://nowhere.invalid/x", changes=changes, seed=1)


def test_an_empty_shop_and_no_shop_are_told_apart(database, ask):
    with pytest.raises(SourceError, match="olist has no tables"):
        simulate(database, changes=0.1, seed=1)
    ask("CREATE SCHEMA olist; CREATE TABLE olist.orders (a int)")
    with pytest.raises(SourceError, match="is empty"):
        simulate(database, changes=0.1, seed=1)
