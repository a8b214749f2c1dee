"""What the demo's source needs: the same files are not loaded again, for those of another origin it is begun anew."""

from __future__ import annotations

from typing import Literal

from psycopg2 import sql

from lakehouse.source.connect import reading, transaction
from lakehouse.source.origin import SCHEMA, Origin, remembered

# What the source needs: nothing, a load, or a load into an emptied schema.
Need = Literal["nothing", "setup", "replace"]


def need_of(now: Origin | None, before: Origin | None) -> Need:
    """Tell what the source needs.

    A load puts back what the shop has changed since, so unchanged files are not loaded again. Rows of another origin
    have to go first.
    """
    if now is None or before is None:
        return "setup"
    if now == before:
        return "nothing"
    return "setup" if now.name == before.name else "replace"


def origin_in(url: str) -> Origin | None:
    """Return the origin of the rows that a source holds; None where it is not known."""
    with reading(url) as connection, connection.cursor() as cursor:
        return remembered(cursor)


def empty(url: str) -> None:
    """Drop the source's schema with its rows."""
    with transaction(url) as connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(SCHEMA)))
