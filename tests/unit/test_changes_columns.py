"""Columns that were read once are not read again, and never held beyond the limit."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from lakehouse.changes.columns import Columns


def column(value: int) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array([value] * 100, pa.int64())])


def test_what_was_read_is_held_and_the_least_used_goes_first():
    loaded: list[str] = []

    def read(held: Columns, file: str) -> int:
        def load() -> pa.ChunkedArray:
            loaded.append(file)
            return column(int(file))

        return held.get(file, "key", pa.int64(), load)[0].as_py()

    held = Columns(most_bytes=4 * 800)
    assert [read(held, file) for file in "123412"] == [1, 2, 3, 4, 1, 2]
    assert loaded == list("1234")
    assert [read(held, file) for file in "5123"] == [5, 1, 2, 3]
    assert loaded == list("123453")


def test_a_column_in_another_type_is_another_column():
    held = Columns()
    assert held.get("f", "key", pa.int64(), lambda: column(1)).type == pa.int64()
    assert held.get("f", "key", pa.int32(), lambda: column(1).cast(pa.int32())).type == pa.int32()


def test_a_column_too_large_to_be_held_is_still_read():
    held = Columns(most_bytes=800)
    assert held.get("f", "key", pa.int64(), lambda: column(1))[0].as_py() == 1
    assert held.get("f", "key", pa.int64(), lambda: column(2))[0].as_py() == 2


def reader(most_bytes: int) -> tuple[Columns, list[str], Callable[[str], None]]:
    """Columns that hold so much, the files that were loaded for them, and what asks them for a file's."""
    held, loaded = Columns(most_bytes), []

    def read(file: str) -> None:
        held.get(file, "key", pa.int64(), lambda: loaded.append(file) or column(0))

    return held, loaded, read


def test_fewer_are_held_while_a_stream_runs():
    held, loaded, read = reader(8 * 800)
    for file in "12345":
        read(file)
    with held.at_most(4 * 800):
        read("1")
        read("5")
    read("6")
    read("1")
    assert loaded == list("1234516")


def test_what_is_in_no_table_any_more_is_forgotten_and_makes_room():
    held, loaded, read = reader(4 * 800)
    for file in "1234":
        read(file)
    held.forget({"2", "3", "never-held"})
    for file in "561423":
        read(file)
    assert loaded == list("12345623")
