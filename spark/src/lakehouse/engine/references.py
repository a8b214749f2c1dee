"""Columns that a Silver table takes over from other Silver tables: whether they are still what those say."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from lakehouse.engine.context import Context
from lakehouse.errors import StateError
from lakehouse.lake.notes import last_note
from lakehouse.lake.tables import reading
from lakehouse.specs import Layer, Silver, Table
from lakehouse.specs.model import Reference


def need_parents(table: Table, context: Context) -> None:
    """Raise StateError naming every Silver table that this one reads and that has never been loaded."""
    missing = [name for name in table.inputs if context.lake.open(context.lake.uri(Layer.SILVER, name)) is None]
    if missing:
        raise StateError(
            f"it reads {', '.join(missing)}, never loaded so far.",
            where=table.full_name,
            allowed="a run of the tables that it reads before, or together with it",
            remedy=f"`lakehouse run {table.pipeline} --tables {','.join([*missing, table.name])}`, or run all tables.",
        )


def referenced_versions(table: Table, block: Silver, context: Context) -> dict[str, int]:
    """Return the newest version of each table that columns are taken over from, by its full name."""
    found = {}
    for reference in block.references:
        there = context.lake.open(context.lake.uri(Layer.SILVER, reference.table))
        if there is not None:
            found[_full_name(table, reference)] = there.version()
    return found


def are_outdated(table: Table, block: Silver, context: Context, now: Mapping[str, int]) -> bool:
    """Whether a table, or its history, holds values that differ from those they were taken over from.

    Rows are compared only where there is another version of those than the newest commit was made with.
    """
    note = last_note(context.lake, context.lake.of(table)) if now else None
    used = {} if note is None else note.result.versions_read
    # Both: an attempt that ended between their commits has made the history anew alone.
    places = [context.lake.of(table), *([context.lake.history(table)] if block.history else [])]
    return any(
        _differ(uri, reference, context)
        for reference in block.references
        if used.get(_full_name(table, reference)) != now.get(_full_name(table, reference))
        for uri in places
    )


def _full_name(table: Table, reference: Reference) -> str:
    return f"{table.pipeline}.{Layer.SILVER}.{reference.table}"


def _differ(uri: str, reference: Reference, context: Context) -> bool:
    held, there = context.lake.open(uri), context.lake.open(context.lake.uri(Layer.SILVER, reference.table))
    if held is None or there is None:
        return False
    differences = " OR ".join(
        f'held."{ours}" IS DISTINCT FROM there."{theirs}"' for ours, theirs in reference.columns.items()
    )
    with reading(uri), duckdb.connect() as connection:
        connection.register("held", held.scan(columns=[reference.on, *reference.columns]))
        connection.register("there", there.scan(columns=[reference.key, *reference.columns.values()]))
        on = f'held."{reference.on}" = there."{reference.key}"'
        statement = f"SELECT 1 FROM held LEFT JOIN there ON {on} WHERE {differences} LIMIT 1"
        return connection.execute(statement).fetchone() is not None
