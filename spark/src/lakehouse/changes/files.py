"""A table's rows from its Parquet files, with the place of each row, and new data files."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable

from lakehouse.changes.columns import COLUMNS
from lakehouse.changes.log import Action, active_files
from lakehouse.changes.place import Place, place_of
from lakehouse.changes.statistics import statistics
from lakehouse.settings import Settings

FILE, ROW = "_file", "_row"
# Of Parquet files, compressed: on its way through driver and JVM a row takes some fifty times that.
MOST_BYTES = 24 << 20
_NEEDED = {"deletionVectors", "changeDataFeed"}
_FEATURES = _NEEDED | {"appendOnly", "invariants", "timestampNtz"}


@dataclass(frozen=True)
class Snapshot:
    """A table at one version: its files, which of their rows are deleted, and the schema that they are read in.

    `table` is None before the first commit.
    """

    place: Place
    version: int
    schema: pa.Schema
    files: tuple[Action, ...]
    deleted: Mapping[str, np.ndarray[Any, np.dtype[np.int64]]]
    table: DeltaTable | None

    @property
    def rows(self) -> int:
        """Return how many rows the table has, by its log."""
        return sum(rows_of(add) for add in self.files)

    def newest(self, name: str) -> datetime | None:
        """Return a moment that no value of a column comes after, by the files' statistics; None: there is no file."""
        bounds = [json.loads(add["stats"])["maxValues"].get(name) for add in self.files]
        return max((datetime.fromisoformat(bound) for bound in bounds if bound is not None), default=None)

    def fits(self, rows: int, columns: Sequence[str] | None = None) -> bool:
        """Whether the driver takes the whole table, or these columns: at most this many rows, and 24 MiB of files."""
        share = len(columns) / len(self.schema) if columns is not None else 1.0
        return self.rows <= rows and sum(int(add["size"]) for add in self.files) * share <= MOST_BYTES

    def read(self, columns: Sequence[str] | None = None, among: Mapping[str, pa.Array] | None = None) -> pa.Table:
        """Return rows with `_file` (index into `files`) and `_row`; `among` leaves rows whose columns are in the sets.

        Every set is judged on its own: of several columns the result is a superset of the rows with those keys.
        """
        parts = [self._read_file(index, columns, among or {}) for index in range(len(self.files))]
        return pa.concat_tables(parts) if parts else self.none(columns)

    def complete(self, rows: pa.Table) -> pa.Table:
        """Return the whole rows, in their order, of a read that took only some columns of them."""
        numbers, places = rows.column(FILE).to_numpy(), rows.column(ROW).to_numpy()
        parts, order = [self.none()], [np.arange(0)]
        for index in np.unique(numbers):
            mine, path = np.flatnonzero(numbers == index), unquote(self.files[index]["path"])
            with self.place.open_file(path) as source:
                file = pq.ParquetFile(source, coerce_int96_timestamp_unit="us", pre_buffer=True)
                found = self._columns(file, path, self.schema.names).take(places[mine])
            parts.append(self._with_places(found, index, places[mine]))
            order.append(mine)
        return pa.concat_tables(parts).take(np.argsort(np.concatenate(order)))

    def keys(self, names: Sequence[str]) -> pa.Table:
        """Return only these columns of every row, without places; they stay in memory for other readers."""
        parts = []
        for index, add in enumerate(self.files):
            path = unquote(add["path"])
            with self.place.open_file(path) as source:
                file = pq.ParquetFile(source, coerce_int96_timestamp_unit="us", pre_buffer=True)
                table = pa.table({name: self._column(file, path, name) for name in names})
                rows = self._live_rows(index, file)
            parts.append(table if len(rows) == len(table) else table.take(rows))
        return pa.concat_tables(parts) if parts else self.schema.empty_table().select(list(names))

    def none(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return a read that found no row."""
        empty = self.schema.empty_table().select(list(columns) if columns is not None else self.schema.names)
        return self._with_places(empty, 0, np.arange(0))

    def _read_file(self, index: int, columns: Sequence[str] | None, among: Mapping[str, pa.Array]) -> pa.Table:
        path = unquote(self.files[index]["path"])
        wanted = list(columns) if columns is not None else self.schema.names
        with self.place.open_file(path) as source:
            file = pq.ParquetFile(source, coerce_int96_timestamp_unit="us", pre_buffer=True)
            rows = self._live_rows(index, file)
            known = {}
            for name, values in among.items():
                column = known[name] = self._column(file, path, name)
                alike = column if column.type == values.type else column.cast(values.type)
                rows = rows[pc.is_in(alike, value_set=values).to_numpy(zero_copy_only=False)[rows]]
                if not len(rows):
                    return self.none(columns)
            table = self._columns(file, path, wanted, known)
        return self._with_places(table if len(rows) == len(table) else table.take(rows), index, rows)

    def _column(self, file: pq.ParquetFile, path: str, name: str) -> pa.ChunkedArray:
        """Return a column that rows are looked for by, from memory where another table has looked through it."""
        kind = self.schema.field(name).type
        address = self._address(path)
        return COLUMNS.get(address, name, kind, lambda: read_columns(file, [name], self.schema).column(name))

    def _columns(
        self, file: pq.ParquetFile, path: str, names: Sequence[str], known: Mapping[str, pa.ChunkedArray] | None = None
    ) -> pa.Table:
        """Return columns of a file: those that are known, those that are in memory, the others from the file."""
        there = dict(known or {})
        for name in names:
            held = COLUMNS.held(self._address(path), name, self.schema.field(name).type)
            if held is not None:
                there[name] = held
        read = read_columns(file, [name for name in names if name not in there], self.schema)
        return pa.table({name: there[name] if name in there else read.column(name) for name in names})

    def _address(self, path: str) -> str:
        return f"{self.place.uri}/{path}"

    def forget(self, files: Sequence[Action]) -> None:
        """Hold no columns of files that have left the table."""
        COLUMNS.forget({self._address(unquote(add["path"])) for add in files})

    def _live_rows(self, index: int, file: pq.ParquetFile) -> np.ndarray[Any, np.dtype[np.int64]]:
        rows = np.arange(file.metadata.num_rows)
        gone = self.deleted.get(self.files[index]["path"])
        return rows if gone is None else np.delete(rows, gone)

    @staticmethod
    def _with_places(table: pa.Table, index: int, rows: np.ndarray[Any, np.dtype[np.int64]]) -> pa.Table:
        table = table.append_column(FILE, pa.array(np.full(len(rows), index, dtype=np.int32)))
        return table.append_column(ROW, pa.array(rows.astype(np.int64)))


def rows_of(add: Action) -> int:
    """Return how many rows of a file are in the table."""
    vector = add.get("deletionVector") or {}
    return stored_rows(add) - int(vector.get("cardinality", 0))


def rows_by_log(place: Place, version: int) -> int | None:
    """Return how many rows a version of a table has, by its log alone; None where a file came without statistics."""
    files = active_files(place, version)
    if any("numRecords" not in json.loads(add.get("stats") or "{}") for add in files):
        return None
    return sum(rows_of(add) for add in files)


def stored_rows(add: Action) -> int:
    """Return how many rows a file holds, deleted ones among them."""
    return int(json.loads(add["stats"])["numRecords"])


def read_columns(file: pq.ParquetFile, names: Sequence[str], schema: pa.Schema) -> pa.Table:
    """Return columns of a file in the table's types; one that the file lacks, for it is older, is NULL."""
    held = set(file.schema_arrow.names)
    found = file.read(columns=[name for name in names if name in held])
    columns = [
        found.column(name).cast(schema.field(name).type) if name in held
        else pa.nulls(file.metadata.num_rows, schema.field(name).type)
        for name in names
    ]  # fmt: skip
    return pa.table(dict(zip(names, columns, strict=True)))


def is_plain(table: DeltaTable) -> bool:
    """Whether a table takes what is written here, and has nothing that is not read: features, partitions.

    A table that names no features (before reader 3, writer 7) has no deletion vectors.
    """
    protocol = table.protocol()
    features = {*(protocol.reader_features or ()), *(protocol.writer_features or ())}
    return features >= _NEEDED and features <= _FEATURES and not table.metadata().partition_columns


def snapshot(settings: Settings, table: DeltaTable, uri: str) -> Snapshot:
    """Return a table as it stands at the version that `table` was opened at."""
    place, version = place_of(settings, uri), table.version()
    files = tuple(active_files(place, version))
    deleted = _deleted(table) if any("deletionVector" in add for add in files) else {}
    return Snapshot(place, version, arrow_schema(table), files, deleted, table)


def arrow_schema(table: DeltaTable) -> pa.Schema:
    """Return a table's columns as Arrow types, without Delta's metadata."""
    return pa.schema([pa.field(each.name, each.type) for each in pa.schema(table.schema().to_arrow())])


def _deleted(table: DeltaTable) -> dict[str, np.ndarray[Any, np.dtype[np.int64]]]:
    """Return the deleted row numbers of each file, by its path in the log; deltalake decodes the vectors."""
    gone: dict[str, np.ndarray[Any, np.dtype[np.int64]]] = {}
    for batch in pa.table(table.deletion_vectors()).to_batches():
        for path, kept in zip(batch.column("filepath"), batch.column("selection_vector"), strict=True):
            mask = kept.values.to_numpy(zero_copy_only=False)
            gone[str(path).rpartition("/")[2]] = np.flatnonzero(~mask)
    return gone


def write_file(place: Place, rows: pa.Table, folder: str = "", kind: str = "part") -> Action:
    """Write rows as one new Parquet file and return what the log says of it: path, size, statistics."""
    path = f"{folder}{kind}-00000-{uuid.uuid4()}-c000.zstd.parquet"
    # Arrow's bounds leave NaN out, and Spark would skip the rows that hold it.
    bounded = [field.name for field in rows.schema if not pa.types.is_floating(field.type)]
    with place.create_file(path) as sink:
        pq.write_table(rows, sink, compression="zstd", store_schema=False, write_statistics=bounded)
    return {"path": path, "partitionValues": {}, "size": place.size(path), "stats": statistics(rows)}
