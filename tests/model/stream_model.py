"""What a table should hold after events: the newest of each key, by its moment, then by its place in the topic."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Said(NamedTuple):
    """One event of a key at a minute: a score from 1 to 5, any other that is rejected, or None for a tombstone."""

    key: str
    minute: int
    score: int | None


def table_after(events: Iterable[Said]) -> dict[str, int]:
    """Return the score of each key that is left; a tombstone comes after what was written in its minute."""
    newest: dict[str, tuple[tuple[int, bool, int], int | None]] = {}
    for offset, event in enumerate(events):
        if event.score is not None and not 1 <= event.score <= 5:
            continue
        place = (event.minute, event.score is None, offset)
        if event.key not in newest or place > newest[event.key][0]:
            newest[event.key] = place, event.score
    return {key: score for key, (_, score) in newest.items() if score is not None}
