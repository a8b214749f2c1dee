"""Drawing lots by weight, and splitting a whole by shares; the same seed draws the same lots on every machine."""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from hashlib import md5
from importlib.resources import files
from itertools import accumulate
from random import Random
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Lot(Generic[Item]):
    """Items to draw from, each as likely as its weight; `draw` gives numbers from 0 to 1."""

    def __init__(self, weights: Iterable[tuple[Item, float]], draw: Callable[[], float]) -> None:
        pairs = [(item, weight) for item, weight in weights if weight > 0]
        self._items = [item for item, _ in pairs]
        self._sums = list(accumulate(weight for _, weight in pairs))
        self._draw = draw

    def __call__(self) -> Item:
        """Draw one item."""
        return self._items[bisect_right(self._sums, self._draw() * self._sums[-1])]


def drawing(seed: int, purpose: str) -> Random:
    """Return the lots of one purpose: drawing more of one kind of thing changes no other kind."""
    return Random(f"{seed}:{purpose}")  # noqa: S311 - lots, not secrets


def split(total: int, shares: Sequence[float]) -> Iterator[int]:
    """Split `total` into whole parts by shares; the parts add up to `total`."""
    whole, given = sum(shares), 0
    for sum_so_far in accumulate(shares):
        upto = round(total * sum_so_far / whole)
        yield upto - given
        given = upto


def identifier(kind: str, number: int, seed: int) -> str:
    """Return the id of the n-th thing of a kind: 32 hex digits, the same wherever it is asked for."""
    return md5(f"{seed}:{kind}:{number}".encode(), usedforsecurity=False).hexdigest()


@cache
def facts(name: str) -> tuple[dict[str, str], ...]:
    """Return the rows of one of the package's own CSV files."""
    return tuple(csv.DictReader(files(__package__).joinpath(name).read_text(encoding="utf-8").splitlines()))
