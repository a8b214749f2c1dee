"""Reads a CSV file as a checked stream of bytes: what Postgres is handed has passed every limit."""

from __future__ import annotations

import codecs
import csv
import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NoReturn, cast

from lakehouse.errors import SourceError

CHUNK = 1 << 16
FIELD_LIMIT = 1_000_000  # bytes; a field is refused at most one chunk beyond it
COLUMN_LIMIT = 1000
EXPANSION_LIMIT = 200  # bytes out of one byte in; CSV of random ids packs 3:1, a zip bomb 1000:1
_TAIL = 256
_EXPANSION_FREE = 64 << 20  # small files may pack as they like


class CsvStream:
    """A file without its header, to be `read` by COPY; it counts rows and lines and keeps the first `problem` it meets.

    psycopg2 replaces an exception raised in `read` by a text of its own, so whoever copies raises `problem` afterwards.
    """

    def __init__(self, path: Path, file: IO[bytes], on_rows: Callable[[int], None]) -> None:
        self.path, self._file, self._on_rows = path, file, on_rows
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._size = path.stat().st_size
        self._position = self._lines = self._field = self._records = 0
        self._in_quotes = False
        self._tail = b""
        self.problem: SourceError | None = None
        self.header, self._rest = self._read_header()

    @property
    def rows(self) -> int:
        """Rows of the file, the header left out, once all of it is read."""
        return self._records - 1 + (not self.ends_with_newline)

    @property
    def ends_with_newline(self) -> bool:
        """Whether the last byte read ends a line: where it does not, the file may have been cut."""
        return self._tail.endswith(b"\n")

    def need_whole(self, last_line: str) -> None:
        """Raise `SourceError` for a file that may have been cut inside its last field.

        `last_line`: what a file that is known to be whole ends with, without a line break.
        """
        if self.rows and not self.ends_with_newline and self._tail.rpartition(b"\n")[2] != last_line.encode():
            self._refuse(
                f"has no line break at the end of its last line ({self._lines + 1}): it may have been cut in its last "
                "field",
                "get the file again, or add a line break at its end if the file is whole.",
            )

    def read(self, size: int = CHUNK) -> bytes:
        """Return at most `size` bytes that have passed the checks; empty at the end."""
        if not self._rest:
            self._rest = self._next_chunk()
            self._on_rows(max(self._records - 1, 0))
        given, self._rest = self._rest[:size], self._rest[size:]
        return given

    def _next_chunk(self) -> bytes:
        try:
            chunk = self._file.read(CHUNK)
        except (OSError, EOFError, zlib.error) as error:
            self._refuse(f"is damaged or cut after byte {self._position}: {error}", "get the file again.")
        if self._position == 0 and chunk.startswith(codecs.BOM_UTF8):
            self._position = len(codecs.BOM_UTF8)
            chunk = chunk[self._position :]
        self._check_bytes(chunk)
        self._check_field(chunk)
        self._position += len(chunk)
        self._lines += chunk.count(b"\n")
        self._tail = (self._tail + chunk[-_TAIL:])[-_TAIL:]
        return chunk

    def _check_bytes(self, chunk: bytes) -> None:
        kept = len(self._decoder.getstate()[0])
        try:
            self._decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            spot = self._spot(chunk, error.start - kept)
            self._refuse(f"is not UTF-8: byte 0x{error.object[error.start]:02x} at {spot}", "save the file as UTF-8.")
        if (at := chunk.find(0)) >= 0:
            self._refuse(f"holds a NUL byte at {self._spot(chunk, at)}", "save the file as UTF-8.")
        if self._position + len(chunk) > max(self._size * EXPANSION_LIMIT, _EXPANSION_FREE):
            self._refuse(f"unpacks to more than {EXPANSION_LIMIT} times its size", "look at what is in it.")

    def _check_field(self, chunk: bytes) -> None:
        """Follow quotes as COPY does (each turns quoting on or off), count records, measure the field that is open."""
        parts = chunk.split(b'"')
        outside = parts[self._in_quotes :: 2]
        self._records += b'"'.join(outside).count(b"\n")
        open_bytes = _bytes_after_last_delimiter(parts, self._in_quotes)
        self._field = self._field + len(chunk) if open_bytes is None else open_bytes
        self._in_quotes ^= len(parts) % 2 == 0
        if self._field > FIELD_LIMIT:
            self._refuse(
                f"holds a field of more than {FIELD_LIMIT:,} bytes that ends after {self._spot(chunk, len(chunk))}",
                "look for a quote that is never closed.",
            )

    def _spot(self, chunk: bytes, at: int) -> str:
        line = self._lines + chunk[: max(at, 0)].count(b"\n") + 1
        return f"byte {self._position + at} (line {line})"

    def _refuse(self, what: str, remedy: str) -> NoReturn:
        self.problem = SourceError(f"{what}.", where=str(self.path), remedy=remedy)
        raise self.problem

    def _read_header(self) -> tuple[bytes, bytes]:
        head = b""
        while not self._records and (chunk := self._next_chunk()):
            head += chunk
            if len(head) > FIELD_LIMIT:
                self._refuse(f"has no end of its header in {FIELD_LIMIT:,} bytes", "give it a first line of names.")
        if not head.strip():
            self._refuse("is empty; it has not even a header", "get the file again.")
        end = 0
        while (end := head.find(b"\n", end) + 1) and head.count(b'"', 0, end) % 2:
            pass
        return (head[:end], head[end:]) if end else (head, b"")

    def columns(self) -> list[str]:
        """Return the header's names as they are written, blanks around them left out."""
        try:
            fields = next(csv.reader([self.header.decode().rstrip("\r\n")]))
        except csv.Error as error:
            self._refuse(f"has a header that is no CSV: {error}", "give it a first line of names.")
        if len(fields) > COLUMN_LIMIT:
            self._refuse(f"has {len(fields):,} columns; at most {COLUMN_LIMIT:,} are read", "is it the right file?")
        return [field.strip() for field in fields]


def _bytes_after_last_delimiter(parts: list[bytes], in_quotes: bool) -> int | None:
    """Return how many bytes follow the last comma or line end outside quotes; None where there is none."""
    after = 0
    for index in range(len(parts) - 1, -1, -1):
        part = parts[index]
        at = max(part.rfind(b","), part.rfind(b"\n")) if (index % 2 == 0) != in_quotes else -1
        if at >= 0:
            return after + len(part) - at - 1
        after += len(part) + 1
    return None


@contextmanager
def open_csv(path: Path, on_rows: Callable[[int], None] = lambda rows: None) -> Iterator[CsvStream]:
    """Open a `.csv` or `.csv.gz` with its header read; `on_rows` is told the rows read so far, chunk by chunk.

    Raises `SourceError` for what is empty, damaged, not UTF-8, or beyond the limits.
    """
    with _opened(path) as file:
        yield CsvStream(path, file, on_rows)


def _opened(path: Path) -> IO[bytes]:
    try:
        return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")
    except OSError as error:
        raise SourceError(f"cannot be opened: {error.strerror}.", where=str(path)) from error
