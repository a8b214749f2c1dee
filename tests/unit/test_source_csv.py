"""What a CSV file has to pass before Postgres sees it."""

from __future__ import annotations

import csv
import gzip
import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.errors import SourceError
from lakehouse.source.csvfile import CHUNK, COLUMN_LIMIT, FIELD_LIMIT, open_csv
from lakehouse.source.olist import TABLES
from lakehouse.source.rawfiles import bind, check_headers, find_files

SELLERS = TABLES["sellers"]
HEADER = ",".join(SELLERS.columns).encode() + b"\n"


def read_all(path, size=CHUNK):
    """Header names, body bytes, rows, and whether the last line is ended."""
    with open_csv(path) as stream:
        columns, chunks = stream.columns(), []
        while chunk := stream.read(size):
            assert len(chunk) <= size
            chunks.append(chunk)
        return columns, b"".join(chunks), stream.rows, stream.ends_with_newline


@pytest.fixture
def file(tmp_path):
    def write(content: bytes, name="olist_sellers_dataset.csv"):
        path = tmp_path / name
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    return write


def refusal(path):
    with pytest.raises(SourceError) as caught:
        read_all(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


@given(
    rows=st.lists(st.lists(st.text(alphabet='ab,"\n\r ç€', max_size=12), min_size=3, max_size=3), max_size=12),
    size=st.integers(1, 9),
    ended=st.booleans(),
)
def test_rows_are_counted_as_a_csv_reader_counts_them_and_bytes_pass_unchanged(tmp_path_factory, rows, size, ended):
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([["a", "b", "c"], *rows])
    content = text.getvalue() if ended else text.getvalue()[:-1]
    path = tmp_path_factory.mktemp("csv") / "some.csv"
    path.write_bytes(content.encode())
    columns, body, counted, ends = read_all(path, size)
    read = list(csv.reader(io.StringIO(content, newline="")))
    assert (columns, counted, ends) == (["a", "b", "c"], len(read) - 1, ended)
    assert body.decode() == content[len('"a","b","c"\n') :]


def test_a_byte_order_mark_and_crlf_are_no_part_of_the_names(file):
    columns, body, rows, _ = read_all(file(b"\xef\xbb\xbf" + HEADER.replace(b"\n", b"\r\n") + b"1,2,3,4\r\n"))
    assert (columns, body, rows) == (list(SELLERS.columns), b"1,2,3,4\r\n", 1)


def test_a_packed_file_reads_like_a_plain_one(file):
    content = HEADER + b"".join(b"%d,01234,x,SP\n" % n for n in range(20_000))
    assert read_all(file(content)) == read_all(file(content, "olist_sellers_dataset.csv.gz"))


def test_a_nul_byte_is_named_with_byte_and_line(file):
    message = refusal(file(HEADER + b"a,b,c,d\n" * 30_000 + b"x,y\0,c,d\n"))
    assert f"NUL byte at byte {len(HEADER) + 8 * 30_000 + 3} (line 30002)" in message


def test_another_encoding_is_named_with_byte_and_line(file):
    message = refusal(file(HEADER + b"1,2,s\xe3o paulo,SP\n"))
    assert f"not UTF-8: byte 0xe3 at byte {len(HEADER) + 5} (line 2)" in message


@pytest.mark.parametrize("before", range(CHUNK - 4, CHUNK + 2))
def test_a_letter_across_two_chunks_is_one_letter_and_half_a_letter_is_found(file, before):
    filler = b"x" * (before - len(HEADER))
    assert read_all(file(HEADER + filler + "€,b,c,d\n".encode()))[2] == 1
    message = refusal(file(HEADER + filler + b"\xe2\x82,b,c,d\n"))
    assert f"byte 0xe2 at byte {before} (line 2)" in message
    assert f"byte {before} " in refusal(file(HEADER + filler + b"\xe2\x82"))


def test_utf_16_is_refused(file):
    assert "not UTF-8: byte 0xff at byte 0" in refusal(file(HEADER.decode().encode("utf-16")))


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\n", b"\r\n"])
def test_a_file_without_a_header_is_empty(file, content):
    assert "empty" in refusal(file(content))


@pytest.mark.parametrize("content", [HEADER, HEADER[:-1]])
def test_a_header_alone_has_no_rows(file, content):
    assert read_all(file(content))[1:3] == (b"", 0)


@pytest.mark.parametrize(
    "field", [b"x" * FIELD_LIMIT, b'"' + b'x,\n""' * (FIELD_LIMIT // 5) + b'"', b'"' + b"x" * 9_999_999]
)
def test_a_field_beyond_the_limit_is_refused_before_it_is_whole(file, field):
    message = refusal(file(HEADER + b"1,2," + field + b"yyyyyyyyyy" * 13_200 + b",SP\n"))
    assert "a field of more than 1,000,000 bytes" in message


def test_many_fields_and_long_rows_are_no_long_field(file):
    rows = b'1,"2",%s,SP\n' % (b'"' + b"x" * (FIELD_LIMIT - CHUNK) + b'"')
    assert read_all(file(HEADER + rows * 3))[2] == 3


def test_thousands_of_columns_are_refused(file):
    names = b",".join(b"column_%d" % n for n in range(10_000))
    assert f"at most {COLUMN_LIMIT:,}" in refusal(file(names + b"\n"))


def test_a_header_that_never_ends_is_refused_without_reading_on(file):
    assert "no end of its header" in refusal(file(b"a," * 5_000_000))


@pytest.mark.parametrize("keep", [0.6, 0.95])
def test_a_packed_file_that_was_cut_is_refused(file, tmp_path, keep):
    path = file(HEADER + b"".join(os.urandom(8).hex().encode() + b",1,2,3\n" for _ in range(9_999)), "olist_x.csv.gz")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    assert "damaged or cut" in refusal(path)


def test_flipped_bytes_in_a_packed_file_are_found(file):
    path = file(HEADER + b"".join(os.urandom(8).hex().encode() + b",1,2,3\n" for _ in range(9_999)), "olist_x.csv.gz")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    refusal(path)


def test_what_is_no_gzip_at_all_is_refused(file):
    path = file(HEADER, "olist_sellers_dataset.csv")
    packed = path.rename(f"{path}.gz")
    assert "damaged" in refusal(packed)


def test_a_zip_bomb_is_refused(file):
    assert "unpacks to more than 200 times" in refusal(file(HEADER + b"a,b,c,d\n" * 10_000_000, "olist_x.csv.gz"))


def test_columns_bind_by_name_in_any_order_and_case(tmp_path):
    header = ["SELLER_STATE", "seller_city", "Seller_Id", "seller_zip_code_prefix"]
    assert bind(tmp_path, SELLERS, header) == ("seller_state", "seller_city", "seller_id", "seller_zip_code_prefix")


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (["seller_id", "seller_city", "seller_state"], ["missing: 'seller_zip_code_prefix'"]),
        ([*SELLERS.columns, "rating"], ["unexpected: 'rating'"]),
        ([*SELLERS.columns, "SELLER_ID"], ["doubled: 'seller_id'"]),
        (["seller_id", "seller_zip", "seller_city", "seller_state"], ['Did you mean "seller_zip_code_prefix"?']),
        ([";".join(SELLERS.columns)], ["missing: 'seller_id'", "separated by commas"]),
        (["", *SELLERS.columns], ["unexpected: ''"]),
    ],
)
def test_a_header_that_does_not_fit_is_refused_with_the_difference(tmp_path, header, words):
    with pytest.raises(SourceError) as caught:
        bind(tmp_path / "olist_sellers_dataset.csv", SELLERS, header)
    for word in [*words, "olist_sellers_dataset.csv"]:
        assert word in str(caught.value)


def test_all_wrong_headers_are_named_at_once(file):
    sellers = file(b"seller_id\n")
    orders = file(b"order_idd\n", "olist_orders_dataset.csv")
    with pytest.raises(SourceError) as caught:
        check_headers({"sellers": sellers, "orders": orders})
    assert str(sellers) in str(caught.value)
    assert str(orders) in str(caught.value)


def test_an_empty_folder_says_which_files_belong_there_and_how_to_make_them(tmp_path):
    for raw in (tmp_path, tmp_path / "absent"):
        with pytest.raises(SourceError) as caught:
            find_files(raw)
        assert all(table.file in str(caught.value) for table in TABLES.values())
        assert "lakehouse sample" in str(caught.value)


def test_a_file_both_plain_and_packed_is_refused(file):
    path = file(HEADER)
    file(HEADER, "olist_sellers_dataset.csv.gz")
    with pytest.raises(SourceError, match="twice"):
        find_files(path.parent)


def test_links_are_followed_to_regular_files_only(file, tmp_path):
    real = file(HEADER, "elsewhere.csv")
    link = tmp_path / "olist_sellers_dataset.csv"
    link.symlink_to(real)
    assert find_files(tmp_path) == {"sellers": link}
    for target in (tmp_path, tmp_path / "absent", "/dev/zero"):
        link.unlink()
        link.symlink_to(target)
        with pytest.raises(SourceError, match="no regular file"):
            find_files(tmp_path)
