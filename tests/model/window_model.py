"""Windows by horizon in plain Python: transactions that stamp rows when they begin and show them when they end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Transaction:
    """Its rows are stamped `begin` and can be read from `end` on."""

    begin: int
    end: int
    rows: int


def horizon(transactions: Iterable[Transaction], clock: int) -> int:
    """Before this moment nothing is still to come: the clock, or the begin of the oldest transaction still open."""
    return min([clock, *(each.begin for each in transactions if each.begin <= clock < each.end)])


def readable(transactions: Iterable[Transaction], clock: int) -> list[tuple[int, int, int]]:
    """Every row (begin, transaction, number) that can be read at a moment."""
    return [
        (each.begin, which, number)
        for which, each in enumerate(transactions)
        if each.end <= clock
        for number in range(each.rows)
    ]


def window(previous: int | None, at: int, lag: int) -> tuple[int | None, int]:
    """`[low, high)` of the next read."""
    return (None, at) if previous is None else (previous - lag, max(previous, at))
