"""Few rows of a source as Arrow, by COPY: what JDBC would bring, without a JVM."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
from pyarrow import csv

from lakehouse.source.connect import reading

# The longest row that is parsed, and the most text that is held, in bytes.
_LONGEST_ROW, _MOST = 64 << 20, 256 << 20


class _Sink(io.BytesIO):
    """Text that ends a COPY, by an error in its client, where it becomes too much."""

    def write(self, text: Any, /) -> int:
        if self.tell() + len(text) > _MOST:
            raise pa.ArrowInvalid(f"the window is more than {_MOST} bytes of text")
        return super().write(text)


def copy_rows(url: str, select: str, schema: pa.Schema) -> pa.Table:
    """Return the rows of a SELECT, whose columns are those of `schema` in order; NULL and empty text stay apart.

    Raises pyarrow.ArrowInvalid for a value that its type cannot hold, such as the timestamp `infinity`, and for more
    than 256 MiB of text.
    """
    sink = _Sink()
    with reading(url) as connection, connection.cursor() as cursor:
        cursor.copy_expert(f"COPY ({select}) TO STDOUT WITH (FORMAT csv)", sink)
    if not sink.tell():
        return schema.empty_table()
    return csv.read_csv(
        pa.py_buffer(sink.getbuffer()),
        read_options=csv.ReadOptions(column_names=schema.names, block_size=_LONGEST_ROW),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=schema,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
        ),
    )
