"""Fills the source from CSV files, all or nothing: a failed load leaves every table as it was."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psycopg2
from psycopg2 import extensions, sql

from lakehouse.errors import SourceError
from lakehouse.source.connect import transaction
from lakehouse.source.csvfile import CHUNK, CsvStream, open_csv
from lakehouse.source.merge import Change, create_stage, merge_stage
from lakehouse.source.olist import TABLES, Table
from lakehouse.source.rawfiles import bind, check_headers, find_files
from lakehouse.source.schema import create_schema, names

LOAD_LOCK = 0x6F6C697374  # one load or simulated day at a time in a database
# Is told a table and the rows read of its file so far.
Progress = Callable[[str, int], None]
_AT_LINE = re.compile(r", line (\d+)(?:, column (\w+))?")


@dataclass(frozen=True)
class LoadedTable:
    """What a load did to one table; `file` is None for a table without a CSV file, which stays as it is."""

    name: str
    file: str | None = None
    rows: int = 0
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    warnings: list[str] = field(default_factory=list)


def setup_source(
    url: str, raw: Path, *, schema: str = "olist", progress: Progress = lambda table, rows: None
) -> list[LoadedTable]:
    """Make the source's schema where it is not there and bring its tables to what the CSV files in `raw` say.

    Rows that are the same already are not touched, and others with a key stay: `filling` asks for their origin.
    `progress` is told a table and the rows read of its file so far.
    Raises `SourceError` with file and line for what cannot be loaded, `SourceUnavailable` when the source is away.
    """
    files = sound_files(raw)
    with loading(url, schema) as cursor:
        return load_files(cursor, schema, files, progress)


def sound_files(raw: Path) -> dict[str, Path]:
    """Return the CSV files in `raw` by table name; `SourceError` for none, or a header that does not fit."""
    files = find_files(raw)
    check_headers(files)
    return files


@contextmanager
def loading(url: str, schema: str) -> Iterator[extensions.cursor]:
    """Hold the transaction of one load, the only one in its database; the schema is made where it is not there."""
    with transaction(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOAD_LOCK])
        create_schema(cursor, schema)
        yield cursor


def load_files(
    cursor: extensions.cursor, schema: str, files: Mapping[str, Path], progress: Progress = lambda table, rows: None
) -> list[LoadedTable]:
    """Bring the tables of a schema to what files say; one without a file stays as it is. Errors as `setup_source`."""
    return [
        _load(cursor, schema, table, files[name], partial(progress, name)) if name in files else LoadedTable(name)
        for name, table in TABLES.items()
    ]


def _load(
    cursor: extensions.cursor, schema: str, table: Table, path: Path, on_rows: Callable[[int], None]
) -> LoadedTable:
    target = sql.Identifier(schema, table.name)
    with open_csv(path, on_rows) as stream:
        columns = bind(path, table, stream.columns())
        if _is_empty(cursor, target) and not table.exact:
            _copy(cursor, target, table, columns, stream)
            change = Change(inserted=stream.rows)
        else:
            stage = create_stage(cursor, table)
            _copy(cursor, stage, table, columns, stream)
            change = merge_stage(cursor, target, stage, table, where=str(path))
            cursor.execute(sql.SQL("DROP TABLE {}").format(stage))
    stream.need_whole(table.last_line)
    if change.any:
        cursor.execute(sql.SQL("ANALYZE {}").format(target))
    on_rows(stream.rows)
    return LoadedTable(
        table.name,
        str(path),
        stream.rows,
        change.inserted,
        change.updated,
        change.deleted,
        unchanged=stream.rows - change.inserted - change.updated,
        warnings=[] if stream.rows else [f"{path} has a header and no rows"],
    )


def _is_empty(cursor: extensions.cursor, target: sql.Identifier) -> bool:
    cursor.execute(sql.SQL("SELECT NOT EXISTS (SELECT FROM {})").format(target))
    return cursor.fetchone() == (True,)


def _copy(
    cursor: extensions.cursor, into: sql.Identifier, table: Table, columns: tuple[str, ...], stream: CsvStream
) -> None:
    """Stream a file into a table. An empty field is NULL, `""` an empty text, or NULL where the column is no text."""
    no_text = [name for name, kind in table.columns.items() if kind != "text"]
    force_null = sql.SQL(", FORCE_NULL ({})").format(names(no_text)) if no_text else sql.SQL("")
    command = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv{})").format(into, names(columns), force_null)
    try:
        cursor.copy_expert(command, stream, CHUNK)  # type: ignore[arg-type]  # COPY FROM calls only read()
    except psycopg2.Error as error:
        if stream.problem:
            raise stream.problem from None
        if at := _AT_LINE.search(error.diag.context or ""):
            raise _bad_row(error, at, stream) from error
        raise
    if cursor.rowcount != stream.rows:
        # before version 18 Postgres takes a line that holds only \. for the end of the data
        raise SourceError(
            f"row {cursor.rowcount + 1:,} ends the data before the file ends.",
            where=str(stream.path),
            remedy=r"look there for a line that holds nothing but \. and put quotes around it.",
        )


def _bad_row(error: psycopg2.Error, at: re.Match[str], stream: CsvStream) -> SourceError:
    line = int(at[1]) + stream.header.count(b"\n")
    column = f", column {at[2]}" if at[2] else ""
    said = " ".join(filter(None, [error.diag.message_primary, error.diag.message_detail]))
    remedy = "correct that line; a row has one field for each column of the header."
    return SourceError(f"line {line}{column}: {said[:300]}.", where=str(stream.path), remedy=remedy)
