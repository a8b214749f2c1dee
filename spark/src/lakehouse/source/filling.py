"""Fills the source with rows of one origin at a time: a load alone would leave those of another beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from psycopg2 import extensions, sql

from lakehouse.errors import SourceError
from lakehouse.source.connect import place
from lakehouse.source.load import LoadedTable, load_files, loading, sound_files
from lakehouse.source.olist import TABLES
from lakehouse.source.origin import SCHEMA, Origin, origin_of_files, remember, remembered

_ANEW = (
    "or drop all rows that are there and fill the source anew: `lakehouse setup-source --replace`, or Replace in the "
    "form of setup_source_db"
)


@dataclass(frozen=True)
class Filling:
    """What a filling did to each table, and whose rows it dropped first."""

    tables: list[LoadedTable]
    dropped: str = ""

    @property
    def remark(self) -> str:
        """What a person should know of rows that were dropped; empty where none were."""
        rows = sum(table.deleted for table in self.tables)
        return self.dropped and (
            f"{rows:,} rows of {self.dropped} were dropped first. The lake takes that for deletes; tables that do not "
            "follow deletes keep them (docs/airflow.md, The source)"
        )


def fill(url: str, raw: Path) -> Filling:
    """Load the CSV files in `raw` and remember their origin; a person's files take the place of a made sample.

    All or nothing, as `setup_source`, with its errors. Raises `SourceError` for any other change of origin, too.
    """
    files = sound_files(raw)
    now = origin_of_files(raw, files.values())
    with loading(url, SCHEMA) as cursor:
        before = remembered(cursor)
        if before is None or before.name == now.name:
            return _fill_on(cursor, files, before, now, url)
        if now.is_made or not before.is_made:
            raise _other_origin(before, now, raw, url)
        return _fill_anew(cursor, files, before, now)


def fill_anew(url: str, raw: Path) -> Filling:
    """Drop the rows of the source's nine tables, whatever their origin, and load the CSV files in `raw`.

    All or nothing, as `setup_source`, with its errors: where the files cannot be loaded the rows stay.
    """
    files = sound_files(raw)
    now = origin_of_files(raw, files.values())
    with loading(url, SCHEMA) as cursor:
        return _fill_anew(cursor, files, remembered(cursor), now)


def _fill_on(
    cursor: extensions.cursor, files: Mapping[str, Path], before: Origin | None, now: Origin, url: str
) -> Filling:
    """Load files over the rows that are there. A person's own may be new rows alone; any others have known ones."""
    tables = load_files(cursor, SCHEMA, files)
    if before is None or now.is_made:
        _need_known_rows(cursor, tables, url)
    remember(cursor, now)
    return Filling(tables)


def _fill_anew(cursor: extensions.cursor, files: Mapping[str, Path], before: Origin | None, now: Origin) -> Filling:
    gone = {name: _count(cursor, name) for name in TABLES}
    relations = sql.SQL(", ").join([sql.Identifier(SCHEMA, name) for name in TABLES])
    cursor.execute(sql.SQL("TRUNCATE {}").format(relations))
    tables = [replace(table, deleted=gone[table.name]) for table in load_files(cursor, SCHEMA, files)]
    remember(cursor, now)
    whose = before.name if before else "an origin that nobody noted"
    return Filling(tables, whose if any(gone.values()) else "")


def _need_known_rows(cursor: extensions.cursor, tables: list[LoadedTable], url: str) -> None:
    """Raise `SourceError` for a file of which no row was known to a table with rows: those are of another origin."""
    for table in tables:
        all_new = table.file and TABLES[table.name].key and table.inserted == table.rows > 0
        if all_new and (others := _count(cursor, table.name) - table.rows):
            raise SourceError(
                f"has no row of the {others:,} that {SCHEMA}.{table.name} in {place(url)} has: they are of another "
                "origin, and loaded over each other they would be one table.",
                where=table.file,
                allowed="files of the origin that the source was filled from; a person's nine in the place of a sample",
                remedy=f"put the other files of its origin there, too; {_ANEW}.",
            )


def _other_origin(before: Origin, now: Origin, raw: Path, url: str) -> SourceError:
    return SourceError(
        f"was filled from {before.name}, and {raw} holds {now.name}: loaded over each other they would be one shop.",
        where=f"{place(url)}, schema {SCHEMA}",
        allowed="the same origin again, or a person's files in the place of a sample",
        remedy=f"put files of that origin there; {_ANEW}.",
    )


def _count(cursor: extensions.cursor, name: str) -> int:
    cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(SCHEMA, name)))
    (count,) = cursor.fetchone() or (0,)
    return int(count)
