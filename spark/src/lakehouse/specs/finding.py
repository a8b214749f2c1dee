"""How the lint words a problem and finds its line."""

from __future__ import annotations

from collections.abc import Iterable

from lakehouse.errors import did_you_mean
from lakehouse.specs.model import Table
from lakehouse.specs.problem import Problem


def found(table: Table, anchor: str, message: str) -> Problem:
    """Return a problem at the line of an anchor (a key of `Table.lines`), or at the nearest line around it."""
    while anchor not in table.lines and "." in anchor:
        anchor = anchor.rpartition(".")[0]
    return Problem(table.path, table.lines.get(anchor, 1), message)


def no_column(
    table: Table, anchor: str, what: str, name: str, known: Iterable[str], whose: str = "the table"
) -> Problem:
    """Return the problem of a name that should be a column of `known`."""
    columns = list(known)
    return found(
        table,
        anchor,
        f'{what} is "{name}"; {whose} has no such column.{did_you_mean(name, columns)} Columns: {", ".join(columns)}.',
    )
