"""Loading the source from CSV files: by name, exactly, all or nothing, and nothing at all the second time."""

from __future__ import annotations

import csv
import gzip
import io
import shutil
import threading
from collections import Counter
from datetime import datetime
from decimal import Decimal

import psycopg2
import pytest

from lakehouse.errors import SourceError
from lakehouse.source.load import setup_source
from lakehouse.source.olist import TABLES
from lakehouse.source.sample import write_sample

pytestmark = pytest.mark.postgres

PYTHON = {"integer": int, "numeric(12,2)": Decimal, "double precision": float, "timestamp": datetime.fromisoformat}


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, scale=0.003)
    return folder


@pytest.fixture
def raw(sample, tmp_path):
    """A copy of the sample that a test may spoil."""
    return shutil.copytree(sample, tmp_path / "raw")


@pytest.fixture
def stored(ask):
    """Every table's rows as a bag; with `stamps`, each row with its place, its writer and its stamp."""

    def read(name, schema="olist", stamps=False):
        columns = ", ".join(TABLES[name].columns)
        extra = ", ctid::text, xmin::text, updated_at" if stamps else ""
        return Counter(ask(f'SELECT {columns}{extra} FROM "{schema}".{name}'))

    return read


def in_file(path, table):
    """What the csv module and Python's own types make of a file; an empty field is NULL."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    kinds = {column: PYTHON.get(kind, str) for column, kind in table.columns.items()}
    return Counter(tuple(kind(row[column]) if row[column] else None for column, kind in kinds.items()) for row in rows)


def everything(stored):
    return {name: stored(name, stamps=True) for name in TABLES}


def write_csv(path, rows, **form):
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n", **form).writerows(rows)
    path.write_bytes(text.getvalue().encode())


def read_csv(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def sellers(raw, *lines, header="seller_id,seller_zip_code_prefix,seller_city,seller_state"):
    """Leave `raw` with nothing but a sellers file of these lines."""
    shutil.rmtree(raw, ignore_errors=True)
    raw.mkdir()
    path = raw / "olist_sellers_dataset.csv"
    path.write_bytes("\n".join([header, *lines, ""]).encode())
    return path


def test_every_row_is_there_as_an_independent_reader_reads_it(database, raw, stored):
    loaded = {table.name: table for table in setup_source(database, raw)}
    for name, table in TABLES.items():
        expected = in_file(raw / table.file, table)
        assert stored(name) == expected, name
        assert (loaded[name].rows, loaded[name].inserted) == (expected.total(), expected.total())
        assert loaded[name].warnings == []


def test_types_and_keys_are_the_natural_ones(database, raw, ask):
    setup_source(database, raw)
    types = dict(
        ask(
            "SELECT table_name || '.' || column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = 'olist' AND data_type <> 'text'"
        )
    )
    assert types["orders.order_purchase_timestamp"] == "timestamp without time zone"
    assert types["order_items.price"] == "numeric"
    assert types["geolocation.geolocation_lat"] == "double precision"
    assert {name for name, kind in types.items() if kind == "timestamp with time zone"} == {
        f"{t}.updated_at" for t in TABLES
    }
    keys = dict(
        ask(
            "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE contype = 'p' AND connamespace = 'olist'::regnamespace"
        )
    )
    assert keys["olist.order_reviews"] == "PRIMARY KEY (review_id, order_id)"
    assert "olist.geolocation" not in keys
    assert len(keys) == 8


def test_the_same_files_a_second_time_write_nothing(database, raw, stored):
    setup_source(database, raw)
    before = everything(stored)
    for again in setup_source(database, raw):
        assert (again.inserted, again.updated, again.deleted) == (0, 0, 0)
        assert again.unchanged == again.rows > 0
    assert everything(stored) == before


def test_only_what_differs_is_written_and_stamped(database, raw, stored, ask):
    setup_source(database, raw)
    before = everything(stored)
    path = raw / TABLES["products"].file
    header, first, second, *rest = read_csv(path)
    write_csv(path, [header, [*first[:-1], "99"], [second[0], *[""] * 8], *rest, ["new", "artes", *["1"] * 7]])
    products = {table.name: table for table in setup_source(database, raw)}["products"]
    assert (products.inserted, products.updated, products.unchanged) == (1, 2, len(rest))
    after = everything(stored)
    assert {row[0] for row in after["products"] - before["products"]} == {"new", first[0], second[0]}
    assert [name for name in TABLES if after[name] != before[name]] == ["products"]
    assert stored("products") == in_file(path, TABLES["products"])


def test_a_row_that_left_the_file_stays_in_a_table_with_a_key(database, raw, stored):
    setup_source(database, raw)
    path = raw / TABLES["sellers"].file
    header, gone, *rest = read_csv(path)
    write_csv(path, [header, *rest])
    setup_source(database, raw)
    assert gone[0] in {row[0] for row in stored("sellers")}


def test_repeated_rows_without_a_key_are_kept_as_often_as_the_file_has_them(database, raw, stored):
    setup_source(database, raw)
    before = stored("geolocation", stamps=True)
    path, table = raw / TABLES["geolocation"].file, TABLES["geolocation"]
    header, first, *rest = read_csv(path)
    write_csv(path, [header, first, first, first, *rest[:-3], ["", "", "", "NA", ""]])
    loaded = {each.name: each for each in setup_source(database, raw)}["geolocation"]
    assert stored("geolocation") == in_file(path, table)
    after = stored("geolocation", stamps=True)
    assert (loaded.inserted, loaded.deleted) == ((after - before).total(), (before - after).total()) == (3, 3)
    write_csv(path, [header, first, *rest])
    setup_source(database, raw)
    assert stored("geolocation") == in_file(path, table)


@pytest.mark.parametrize("name", ["sellers", "geolocation"])
def test_a_header_alone_loads_nothing_and_deletes_nothing(database, raw, stored, name):
    setup_source(database, raw)
    before = everything(stored)
    write_csv(raw / TABLES[name].file, [list(TABLES[name].columns)])
    loaded = {table.name: table for table in setup_source(database, raw)}[name]
    assert (loaded.rows, loaded.inserted, loaded.updated, loaded.deleted) == (0, 0, 0, 0)
    assert "no rows" in loaded.warnings[0]
    assert everything(stored) == before


def test_a_table_without_a_file_is_made_and_left_empty(database, raw, ask):
    sellers(raw, "a,01234,x,SP")
    loaded = {table.name: table for table in setup_source(database, raw)}
    assert [name for name, table in loaded.items() if table.file] == ["sellers"]
    assert ask("SELECT count(*) FROM olist.orders") == [(0,)]


def test_null_empty_na_and_blanks_stay_apart(database, raw, ask):
    sellers(raw, 'a,,"",NA', 'b,"  ", ,"NULL"')
    for _ in range(2):
        setup_source(database, raw)
        assert ask("SELECT * FROM olist.sellers ORDER BY 1")[0][:4] == ("a", None, "", "NA")
        assert ask("SELECT * FROM olist.sellers ORDER BY 1")[1][:4] == ("b", "  ", " ", "NULL")


def test_columns_may_stand_in_another_order_and_case(database, raw, ask):
    sellers(raw, 'SP,"são ""x"", y\r\nz",01234,a', header="Seller_State,SELLER_CITY,seller_zip_code_prefix,seller_id")
    setup_source(database, raw)
    assert ask("SELECT * FROM olist.sellers")[0][:4] == ("a", "01234", 'são "x", y\r\nz', "SP")


def test_marks_crlf_and_packing_change_nothing(database, raw, stored):
    setup_source(database, raw)
    before = everything(stored)
    for name in ("sellers", "orders", "products"):
        path = raw / TABLES[name].file
        content = b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n")
        path.unlink()
        path.with_suffix(".csv.gz").write_bytes(gzip.compress(content))
    setup_source(database, raw)
    assert everything(stored) == before


def test_an_integer_written_as_51_0_is_51_and_numbers_are_taken_in_any_exact_spelling(database, raw, ask):
    shutil.rmtree(raw)
    raw.mkdir()
    columns = list(TABLES["products"].columns)
    path = raw / TABLES["products"].file
    write_csv(path, [columns, ["a", "artes", "51.0", "1e3", "", "2147483647", '"', "0", "-1"]])
    path.write_bytes(path.read_bytes().replace(b'""""', b'""'))
    setup_source(database, raw)
    assert ask("SELECT * FROM olist.products")[0][:9] == ("a", "artes", 51, 1000, None, 2147483647, None, 0, -1)


@pytest.mark.parametrize("weight", ["51.5", "2147483648", "NaN", "Infinity", "1" * 40])
def test_an_integer_that_would_be_rounded_is_refused_with_its_key(database, raw, weight):
    shutil.rmtree(raw)
    raw.mkdir()
    columns = list(TABLES["products"].columns)
    write_csv(raw / TABLES["products"].file, [columns, ["p1", "artes", "1", "1", "1", weight, "1", "1", "1"]])
    with pytest.raises(SourceError, match=f"product_weight_g of the row with product_id p1 is {weight}") as caught:
        setup_source(database, raw)
    assert TABLES["products"].file in str(caught.value)


@pytest.mark.parametrize("price", ["12.345", "NaN", "10000000000", "0.001"])
def test_money_that_would_be_rounded_is_refused(database, raw, price):
    shutil.rmtree(raw)
    raw.mkdir()
    columns = list(TABLES["order_payments"].columns)
    write_csv(raw / TABLES["order_payments"].file, [columns, ["o1", "1", "boleto", "1", price]])
    with pytest.raises(
        SourceError, match=rf"payment_value of the row with order_id o1, payment_sequential 1 is {price}"
    ):
        setup_source(database, raw)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["a,1,x,SP", "b,1,x"], ["line 3", "missing data for column"]),
        (["a,1,x,SP", 'b,1,"x\ny\nz",SP', "c,1,x,SP,more"], ["line 6", "extra data"]),
        (["a,1,x,SP", "", "c,1,x,SP"], ["line 3", "missing data"]),
        (["a,1,x,SP", "a,1,x,SP"], ["line 3", "(seller_id)=(a)"]),
        (['a,1,"x,SP', "b,1,x,SP"], ["line 2", "unterminated CSV quoted field"]),
        (["a,1,x,SP", r"\.", "b,1,x,SP"], ["row 2", r"nothing but \."]),
        (["a,1,x\0,SP"], ["NUL"]),
        ([",1,x,SP"], ["line 2", "null value in column"]),
    ],
    ids=["short", "long after a line break", "blank", "doubled key", "open quote", "end mark", "nul", "no key"],
)
def test_a_bad_line_is_named_and_every_table_stays_as_it_was(database, raw, sample, stored, lines, words):
    setup_source(database, raw)
    before = everything(stored)
    customers = raw / TABLES["customers"].file
    customers.write_bytes(customers.read_bytes() + b"new,new,00000,x,SP\n")
    path = raw / TABLES["sellers"].file
    path.write_bytes("\n".join([",".join(TABLES["sellers"].columns), *lines, ""]).encode())
    with pytest.raises(SourceError) as caught:
        setup_source(database, raw)
    for word in [*words, str(path)]:
        assert word in str(caught.value)
    assert everything(stored) == before


@pytest.mark.parametrize(
    "moment", ["2018-02-30 10:00:00", "0000-00-00 00:00:00", "1514764800000", "03/04/2018", "yesterday at noon"]
)
def test_a_moment_that_is_none_is_refused_with_line_and_column(database, raw, moment):
    path = raw / TABLES["orders"].file
    header, first, *_ = read_csv(path)
    write_csv(path, [header, [*first[:3], moment, *first[4:]]])
    with pytest.raises(SourceError, match="line 2, column order_purchase_timestamp"):
        setup_source(database, raw)


def test_the_first_load_is_all_or_nothing_too(database, raw, ask):
    path = raw / TABLES["sellers"].file
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SourceError):
        setup_source(database, raw)
    assert ask("SELECT count(*) FROM pg_namespace WHERE nspname = 'olist'") == [(0,)]


def test_a_wrong_header_is_found_before_anything_is_loaded(database, raw, ask):
    path = raw / TABLES["sellers"].file
    path.write_bytes(path.read_bytes().replace(b"seller_city", b"city"))
    with pytest.raises(SourceError, match="missing: 'seller_city'; unexpected: 'city'"):
        setup_source(database, raw)
    assert ask("SELECT count(*) FROM pg_namespace WHERE nspname = 'olist'") == [(0,)]


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_that_may_have_been_cut_in_its_last_field_is_refused_as_a_whole(database, raw, ask, packed):
    path = sellers(raw, "a,1,x,SP")
    cut = path.read_bytes().removesuffix(b"P\n")
    if packed:
        path.unlink()
        path = path.with_name(path.name + ".gz")
    path.write_bytes(gzip.compress(cut) if packed else cut)
    with pytest.raises(SourceError, match=r"no line break at the end of its last line \(2\)") as caught:
        setup_source(database, raw)
    assert "add a line break at its end if the file is whole" in str(caught.value)
    assert ask("SELECT count(*) FROM pg_namespace WHERE nspname = 'olist'") == [(0,)]


def test_the_public_file_that_ends_without_a_line_break_is_whole(database, raw, ask):
    path = raw / TABLES["product_category_name_translation"].file
    header = b"product_category_name,product_category_name_english\r\nautomotivo,auto\r\n"
    path.write_bytes(header + b"seguros_e_servicos,security_and_service")
    with pytest.raises(SourceError, match="no line break"):
        setup_source(database, raw)
    path.write_bytes(header + b"seguros_e_servicos,security_and_services")
    (loaded,) = [table for table in setup_source(database, raw) if table.file == str(path)]
    assert (loaded.rows, loaded.warnings) == (2, [])


def test_progress_ends_at_the_rows_of_each_file(database, raw):
    told = {}

    def progress(table, rows):
        assert rows >= told.get(table, 0)
        told[table] = rows

    loaded = setup_source(database, raw, progress=progress)
    assert told == {table.name: table.rows for table in loaded}


def test_two_loads_at_once_end_like_one(database, raw, stored):
    problems = []

    def load():
        try:
            setup_source(database, raw)
        except Exception as error:  # noqa: BLE001 - shown by the assertion
            problems.append(error)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    for name, table in TABLES.items():
        assert stored(name) == in_file(raw / table.file, table)


def test_the_schema_may_have_any_name(database, raw, stored):
    name = 'My "shop"; --'
    setup_source(database, raw, schema=name)
    setup_source(database, raw, schema=name)
    assert stored("sellers", schema=name.replace('"', '""')).total() > 0


def test_every_insert_and_update_is_stamped_with_the_start_of_its_transaction(database, raw):
    setup_source(database, raw)
    with psycopg2.connect(database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        (began,) = cursor.fetchone()
        cursor.execute("SELECT pg_sleep(0.01)")
        cursor.execute("INSERT INTO olist.sellers (seller_id, updated_at) VALUES ('new', '1999-01-01')")
        cursor.execute("UPDATE olist.sellers SET updated_at = '1999-01-01' WHERE seller_id <> 'new'")
        cursor.execute("SELECT DISTINCT updated_at FROM olist.sellers")
        assert cursor.fetchall() == [(began,)]
    connection.close()
