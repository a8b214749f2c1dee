"""A shop's day on the source: orders come in and move on, people move, parcels arrive, some rows go, some go wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from itertools import accumulate, pairwise
from math import ceil

from psycopg2 import extensions, sql

from lakehouse.errors import ParameterError, SourceError
from lakehouse.source.connect import place, transaction
from lakehouse.source.describe import columns
from lakehouse.source.load import LOAD_LOCK
from lakehouse.source.olist import TABLES


@dataclass
class Counts:
    """Rows that a day wrote to one table."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0


def simulate(url: str, *, changes: float, seed: int, schema: str = "olist") -> dict[str, Counts]:
    """Live one day in the source, in one transaction, and return what was written to each table.

    About `changes` (0 to 1) of the orders are new, moved on, edited or deleted; keys go on resolving, a few values are
    garbage on purpose. The day is the one after the newest purchase; it follows from `seed` and what the tables hold.
    Raises `SourceError` where there are no orders.
    """
    if not 0 < changes <= 1:
        raise ParameterError(
            f"changes is {changes}.", allowed="more than 0 and at most 1; 0.01 is one order in a hundred"
        )
    columns(url, schema, "orders")
    counts = {name: Counts() for name in TABLES}
    with transaction(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOAD_LOCK])
        cursor.execute(sql.SQL("SET LOCAL search_path TO {}, pg_catalog").format(sql.Identifier(schema)))
        parameters = {"seed": str(seed), **_shares(_orders(cursor, url, schema) * changes)}
        for title, statement in _steps():
            cursor.execute(statement, parameters)
            table, _, operation = title.partition(":")[0].partition(" ")
            if operation:  # the others only prepare
                setattr(counts[table], operation, getattr(counts[table], operation) + cursor.rowcount)
    return counts


def _orders(cursor: extensions.cursor, url: str, schema: str) -> int:
    cursor.execute("SELECT count(*) FROM orders")
    (count,) = cursor.fetchone() or (0,)
    if not count:
        raise SourceError(f"{schema}.orders is empty.", where=place(url), remedy="load it first: setup_source_db.")
    return int(count)


def _shares(changed: float) -> dict[str, int]:
    """Return how many things each step may touch; the stretches of `picked` do not overlap."""
    garbage = 2 + round(0.003 * changed)
    stretches = {
        "forgotten": ceil(0.02 * changed),
        "negative": garbage,
        "nine": garbage,
        "undated": garbage,
        "moved": ceil(0.1 * changed),
        "edited": ceil(0.1 * changed),
    }
    bounds = pairwise(accumulate(stretches.values(), initial=0))
    shares = {
        "picked": sum(stretches.values()) + 1,
        "new": ceil(0.4 * changed),
        "progress": ceil(0.3 * changed),
        "products": ceil(0.05 * changed),
        "sellers": ceil(0.02 * changed),
        "unsold": ceil(0.005 * changed),
    }
    for name, (low, high) in zip(stretches, bounds, strict=True):
        shares |= {f"{name}_from": low + 1, f"{name}_to": high}
    return {**shares, "forgotten": shares["forgotten_to"]}


def _steps() -> Iterator[tuple[str, str]]:
    """Yield the day's statements with their titles: `<table> <operation>: <what happens>`."""
    text = files(__package__).joinpath("day.sql").read_text(encoding="utf-8")
    for step in f"\n{text}".split("\n--- ")[1:]:
        title, _, statement = step.partition("\n")
        yield title, statement
