"""Small histories by the thousand, the same for the same seed, with the awkward ones often among them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
HOUR = 3_600_000_000
# Before 1900, before 1970 and around a leap day, in microseconds; the others lie an hour apart.
MOMENTS = (-3_000_000_000_000_000, -1, *(1_456_700_000_000_000 + HOUR * step for step in range(6)))


def moments(chance: random.Random, most: int = 6) -> list[int]:
    """A few moments in any order; often two are one."""
    return [chance.choice(MOMENTS) for _ in range(chance.randint(1, most))]


def maybe(chance: random.Random, values: Sequence[T]) -> T:
    return chance.choice(values)


def arrivals(chance: random.Random, rows: Sequence[T], batches: int) -> list[list[T]]:
    """The rows in any order, split into batches, some of them twice."""
    repeated = [*rows, *chance.sample(rows, len(rows) // 5)]
    chance.shuffle(repeated)
    split: list[list[T]] = [[] for _ in range(batches)]
    for row in repeated:
        split[chance.randrange(batches)].append(row)
    return split


def smaller(rows: Sequence[T]) -> Iterator[list[T]]:
    """The same history without one of its rows, for each of them: what a failing case is cut down by."""
    for position in range(len(rows)):
        yield [row for index, row in enumerate(rows) if index != position]
