"""Columns of data files that were read, kept for the next table that looks for rows by them.

A data file never changes, so what was read of it stays right; several tables of a run look through the same keys.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import pyarrow as pa

_MOST_BYTES = 384 << 20


class Columns:
    """Arrays by file and column, the most recently used ones, up to so many bytes; safe between threads."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._held: OrderedDict[tuple[str, str, str], pa.ChunkedArray] = OrderedDict()
        self._lock, self._bytes, self._most = threading.Lock(), 0, most_bytes

    def get(self, file: str, name: str, kind: pa.DataType, load: Callable[[], pa.ChunkedArray]) -> pa.ChunkedArray:
        """Return a column of a file in a type; `load` reads it where it is not held."""
        key = (file, name, str(kind))
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        column = load()
        with self._lock:
            if key not in self._held and column.nbytes <= self._most // 4:
                self._held[key] = column
                self._bytes += column.nbytes
            self._drop()
        return column

    def held(self, file: str, name: str, kind: pa.DataType) -> pa.ChunkedArray | None:
        """Return a column of a file in a type, or None where it is not held."""
        with self._lock:
            return self._held.get((file, name, str(kind)))

    @contextmanager
    def at_most(self, most_bytes: int) -> Iterator[None]:
        """Hold fewer bytes until the block ends: a stream's files are new in each micro-batch, and old in the next."""
        before, self._most = self._most, most_bytes
        try:
            with self._lock:
                self._drop()
            yield
        finally:
            self._most = before

    def forget(self, files: Collection[str]) -> None:
        """Drop the columns of files that are in no table any more."""
        with self._lock:
            for key in [key for key in self._held if key[0] in files]:
                self._bytes -= self._held.pop(key).nbytes

    def _drop(self) -> None:
        while self._bytes > self._most:
            self._bytes -= self._held.popitem(last=False)[1].nbytes


COLUMNS = Columns()
