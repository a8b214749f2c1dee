"""The made sample: the same bytes for the same seed, keys that resolve, the awkward cases of the real files."""

from __future__ import annotations

import csv
import hashlib
import os
import subprocess
import sys
from collections import Counter
from decimal import Decimal

import pytest

from lakehouse.errors import ParameterError, SourceError, StoreUnavailable
from lakehouse.source.olist import TABLES
from lakehouse.source.sample import write_sample

SCALE = 0.05


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, scale=SCALE)
    return folder


@pytest.fixture(scope="module")
def rows(folder):
    """Every file as a list of dicts of text, read by the csv module."""

    def read(table):
        with (folder / table.file).open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))

    return {name: read(table) for name, table in TABLES.items()}


def test_the_same_seed_gives_the_same_bytes_in_any_process(folder, tmp_path):
    code = (
        "from pathlib import Path; from lakehouse.source.sample import write_sample;"
        f"write_sample(Path({str(tmp_path)!r}), scale={SCALE})"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONHASHSEED": "123", "TZ": "Asia/Tokyo"}
    )
    assert digests(tmp_path) == digests(folder)


def test_another_seed_gives_other_rows_of_every_made_table(folder, tmp_path):
    write_sample(tmp_path, scale=SCALE, seed=43)
    same = {name for name, digest in digests(tmp_path).items() if digests(folder)[name] == digest}
    assert same == {"product_category_name_translation.csv"}


def test_the_returned_counts_are_those_of_the_files(rows, tmp_path):
    assert write_sample(tmp_path, scale=SCALE) == {name: len(found) for name, found in rows.items()}


def test_headers_are_those_of_the_real_files(folder):
    for table in TABLES.values():
        with (folder / table.file).open(encoding="utf-8-sig") as file:
            assert file.readline().rstrip("\n") == ",".join(table.columns)


def test_row_counts_follow_the_scale(rows):
    real = {
        "customers": 99441,
        "orders": 99441,
        "order_items": 112650,
        "order_payments": 103886,
        "order_reviews": 99224,
    }
    real |= {"products": 32951, "sellers": 3095, "geolocation": 1000163}
    for name, count in real.items():
        assert len(rows[name]) == pytest.approx(count * SCALE, rel=0.03), name
    assert len(rows["product_category_name_translation"]) == 71


def test_primary_keys_are_keys(rows):
    for name, table in TABLES.items():
        if table.key:
            keys = Counter(tuple(row[column] for column in table.key) for row in rows[name])
            assert max(keys.values()) == 1, name


@pytest.mark.parametrize(
    ("table", "column", "parent", "key"),
    [
        ("orders", "customer_id", "customers", "customer_id"),
        ("order_items", "order_id", "orders", "order_id"),
        ("order_items", "product_id", "products", "product_id"),
        ("order_items", "seller_id", "sellers", "seller_id"),
        ("order_payments", "order_id", "orders", "order_id"),
        ("order_reviews", "order_id", "orders", "order_id"),
        ("customers", "customer_zip_code_prefix", "geolocation", "geolocation_zip_code_prefix"),
        ("sellers", "seller_zip_code_prefix", "geolocation", "geolocation_zip_code_prefix"),
    ],
)
def test_foreign_keys_resolve(rows, table, column, parent, key):
    assert {row[column] for row in rows[table]} <= {row[key] for row in rows[parent]}


def test_one_customer_id_an_order_and_about_three_in_a_hundred_people_come_back(rows):
    assert len({order["customer_id"] for order in rows["orders"]}) == len(rows["orders"])
    people = Counter(customer["customer_unique_id"] for customer in rows["customers"])
    assert 0.02 < sum(times > 1 for times in people.values()) / len(people) < 0.045


def test_shares_of_months_states_scores_statuses_and_payments(rows):
    orders = rows["orders"]
    months = Counter(order["order_purchase_timestamp"][:7] for order in orders)
    assert (min(months), max(months)) == ("2016-10", "2018-09")  # the months with 4 orders vanish at this scale
    assert months["2017-11"] == pytest.approx(7544 * SCALE, abs=2)
    assert Counter(order["order_status"] for order in orders)["delivered"] / len(orders) == pytest.approx(
        0.97, abs=0.01
    )
    states = Counter(customer["customer_state"] for customer in rows["customers"])
    assert [state for state, _ in states.most_common(3)] == ["SP", "RJ", "MG"]
    assert states["SP"] / len(orders) == pytest.approx(0.42, abs=0.03)
    scores = Counter(review["review_score"] for review in rows["order_reviews"])
    assert scores["5"] / len(rows["order_reviews"]) == pytest.approx(0.577, abs=0.03)
    assert scores["1"] / len(rows["order_reviews"]) == pytest.approx(0.115, abs=0.02)
    items = Counter(Counter(item["order_id"] for item in rows["order_items"]).values())
    assert items[1] / sum(items.values()) == pytest.approx(0.9, abs=0.02)
    kinds = Counter(payment["payment_type"] for payment in rows["order_payments"])
    assert kinds["credit_card"] / len(rows["order_payments"]) == pytest.approx(0.74, abs=0.03)
    assert kinds["boleto"] / len(rows["order_payments"]) == pytest.approx(0.19, abs=0.02)


def test_one_november_friday_is_six_ordinary_ones(rows):
    days = Counter(order["order_purchase_timestamp"][:10] for order in rows["orders"])
    assert days.most_common(1)[0][0] == "2017-11-24"


def test_payments_of_an_order_add_up_to_its_items_and_freight(rows):
    owed, paid = Counter(), Counter()
    for item in rows["order_items"]:
        owed[item["order_id"]] += Decimal(item["price"]) + Decimal(item["freight_value"])
    for payment in rows["order_payments"]:
        paid[payment["order_id"]] += Decimal(payment["payment_value"])
    assert all(paid[order] == total for order, total in owed.items())
    assert all(Decimal(item["price"]) > 0 for item in rows["order_items"])


def test_moments_of_an_order_follow_one_another(rows):
    for order in rows["orders"]:
        moments = [order["order_purchase_timestamp"], order["order_approved_at"]]
        moments += [order["order_delivered_carrier_date"], order["order_delivered_customer_date"]]
        told = [moment for moment in moments if moment]
        assert told == sorted(told)


def test_delivered_orders_without_a_date_are_there_in_a_small_sample_too(rows):
    delivered = [order for order in rows["orders"] if order["order_status"] == "delivered"]
    for column in ("order_delivered_customer_date", "order_delivered_carrier_date", "order_approved_at"):
        assert 1 <= sum(not order[column] for order in delivered) <= 5


def test_reviews_hold_line_breaks_and_quotes_and_share_ids(rows):
    texts = [review["review_comment_message"] for review in rows["order_reviews"]]
    assert 0.02 < sum("\n" in text for text in texts) / len(texts) < 0.06
    assert any("\r\n" in text for text in texts)
    assert any('"' in text for text in texts)
    assert any("," in text for text in texts)
    assert 0.35 < sum(bool(text) for text in texts) / len(texts) < 0.5
    ids = Counter(review["review_id"] for review in rows["order_reviews"])
    assert sum(times > 1 for times in ids.values()) > 10
    same = {key: [r for r in rows["order_reviews"] if r["review_id"] == key] for key, times in ids.items() if times > 1}
    assert all(len({review["order_id"] for review in reviews}) == len(reviews) for reviews in same.values())


def test_products_lack_measures_and_categories_lack_translations(rows):
    products = rows["products"]
    assert any(not product["product_weight_g"] and not product["product_width_cm"] for product in products)
    unnamed = [product for product in products if not product["product_category_name"]]
    assert 0.01 < len(unnamed) / len(products) < 0.03
    assert all(not product["product_name_lenght"] for product in unnamed)
    translated = {row["product_category_name"] for row in rows["product_category_name_translation"]}
    strange = {product["product_category_name"] for product in products} - translated - {""}
    assert strange <= {"pc_gamer", "portateis_cozinha_e_preparadores_de_alimentos"}
    assert strange


def test_seller_cities_hold_an_address_and_a_number_and_zips_begin_with_zero(rows):
    cities = {seller["seller_city"] for seller in rows["sellers"]}
    assert any("@" in city for city in cities)
    assert any(city.isdigit() for city in cities)
    assert all(len(seller["seller_zip_code_prefix"]) == 5 for seller in rows["sellers"])
    assert any(seller["seller_zip_code_prefix"].startswith("0") for seller in rows["sellers"])


def test_geolocation_repeats_rows_and_spells_cities_in_several_ways(rows):
    readings = Counter(tuple(row.values()) for row in rows["geolocation"])
    assert 0.2 < 1 - len(readings) / len(rows["geolocation"]) < 0.35
    spellings = {row["geolocation_city"] for row in rows["geolocation"]}
    assert {"sao paulo", "são paulo", "saopaulo"} <= spellings
    assert all(len(row["geolocation_zip_code_prefix"]) == 5 for row in rows["geolocation"])


def test_the_translation_has_a_mark_and_crlf_and_no_other_file_has(folder):
    for table in TABLES.values():
        content = (folder / table.file).read_bytes()
        strange = table.name == "product_category_name_translation"
        assert content.startswith(b"\xef\xbb\xbf") is strange
        assert (content.count(b"\r\n") > 50 and content.count(b"\n") == content.count(b"\r\n")) is strange


def test_a_sample_that_is_there_already_is_left_alone(tmp_path):
    first = write_sample(tmp_path, scale=0.001)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert write_sample(tmp_path, scale=0.001) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_a_sample_of_another_scale_or_seed_takes_the_place_of_a_sample(tmp_path):
    small = write_sample(tmp_path, scale=0.001)
    assert write_sample(tmp_path, scale=0.002)["orders"] > small["orders"]
    before = digests(tmp_path)
    write_sample(tmp_path, scale=0.002, seed=1)
    assert digests(tmp_path) != before


@pytest.mark.parametrize("name", ["olist_orders_dataset.csv", "olist_orders_dataset.csv.gz"])
def test_files_of_others_are_not_written_over_unless_told(tmp_path, name):
    own = tmp_path / name
    own.write_text("mine")
    with pytest.raises(SourceError, match=r"olist_orders_dataset\.csv"):
        write_sample(tmp_path, scale=0.001)
    assert digests(tmp_path) == {name: hashlib.sha256(b"mine").hexdigest()}
    write_sample(tmp_path, scale=0.001, overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {table.file for table in TABLES.values()} | {".sample"}


def test_a_made_file_that_somebody_edited_is_theirs(tmp_path):
    write_sample(tmp_path, scale=0.001)
    path = tmp_path / "olist_orders_dataset.csv"
    path.write_bytes(path.read_bytes().replace(b"delivered", b"Delivered", 1))
    with pytest.raises(SourceError, match="changed since"):
        write_sample(tmp_path, scale=0.002)


def test_a_link_is_not_written_through(tmp_path):
    precious = tmp_path / "precious.csv"
    precious.write_text("mine")
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "olist_orders_dataset.csv").symlink_to(precious)
    with pytest.raises(SourceError):
        write_sample(raw, scale=0.001)
    write_sample(raw, scale=0.001, overwrite=True)
    assert precious.read_text() == "mine"


def test_a_note_that_is_not_ours_is_named(tmp_path):
    (tmp_path / ".sample").write_text("hello")
    with pytest.raises(SourceError, match=r"\.sample"):
        write_sample(tmp_path, scale=0.001)


@pytest.mark.parametrize("scale", [0, -1, 0.0001, 101, float("nan"), float("inf")])
def test_scales_that_make_no_sense_are_refused(tmp_path, scale):
    with pytest.raises(ParameterError, match="scale"):
        write_sample(tmp_path, scale=scale)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_leaves_one_clear_error(tmp_path):
    blocker = tmp_path / "raw"
    blocker.write_text("a file, not a folder")
    with pytest.raises(StoreUnavailable, match="raw"):
        write_sample(blocker, scale=0.001)


def test_a_failure_in_the_middle_leaves_the_files_as_they_were(tmp_path, monkeypatch):
    write_sample(tmp_path, scale=0.001)
    before = digests(tmp_path)

    def broken(self):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lakehouse.source.sample.Orders.lines", broken)
    with pytest.raises(StoreUnavailable, match="No space"):
        write_sample(tmp_path, scale=0.002)
    assert digests(tmp_path) == before
