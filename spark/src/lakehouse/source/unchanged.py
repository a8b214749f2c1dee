"""A read that ends with an error where the table's columns are no longer those it was planned by."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lakehouse.errors import ChangedMeanwhile

if TYPE_CHECKING:
    from lakehouse.source.describe import Column

_NOW = "changed while it was read, it now has"
_SAID = re.compile(rf'invalid input syntax for type boolean: "(.+ {_NOW} .+?)"')


def is_unchanged(table: str, columns: Sequence[Column]) -> str:
    """Return SQL that is true while `table` (`schema.name`) has exactly these columns, and raises where it has not.

    For every statement of one read: a value is cast to the type that was planned, which would round or shift one of
    another type, and each part of a read has a snapshot of its own. Postgres raises only what it cannot cast: so the
    message is a text that is no boolean.
    """
    schema, _, name = table.partition(".")
    relation = literal(f'"{schema}"."{name}"')
    known = ", ".join(f"({literal(column.name)}, {literal(column.type)})" for column in columns)
    return (
        f"(SELECT CASE WHEN count(*) = {len(columns)} AND bool_and(known) THEN TRUE "
        f"ELSE ({literal(f'{table} {_NOW} ')} || coalesce(string_agg(said, ', ') FILTER (WHERE NOT known), "
        "'fewer columns'))::boolean END "
        "FROM (SELECT attname || ' ' || format_type(atttypid, atttypmod) AS said, "
        f"(attname::text, format_type(atttypid, atttypmod)) IN ({known}) AS known FROM pg_attribute "
        f"WHERE attrelid = {relation}::regclass AND attnum > 0 AND NOT attisdropped) AS columns)"
    )


def changed_meanwhile(text: str, where: str) -> ChangedMeanwhile | None:
    """Return the error for the text of one that `is_unchanged` has raised in the source, or None for any other."""
    if not (found := _SAID.search(text)):
        return None
    remedy = "run again: that is planned by the columns as they are then."
    return ChangedMeanwhile(f"{found[1]}.", where=where, remedy=remedy)


def literal(text: str) -> str:
    """Return a text as SQL of the source."""
    return "'" + text.replace("'", "''") + "'"
