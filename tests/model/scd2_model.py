"""What a slowly changing dimension of type 2 is, in plain Python: one key's changes, walked through in their order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby, product
from operator import attrgetter

OPEN_PAST = -2_208_988_800_000_000  # 1900-01-01T00:00:00Z in microseconds


@dataclass(frozen=True)
class Change:
    """A change at a moment (microseconds); `tie` is the declared tie-breaker; a delete's values are NULL."""

    at: int
    tie: int
    tracked: tuple[object, ...]
    untracked: object = None
    deleted: bool = False


@dataclass(frozen=True)
class Version:
    """`[begin, end)`, current when `end` is None."""

    begin: int
    tracked: tuple[object, ...]
    untracked: object
    end: int | None = None
    deleted: bool = False


@dataclass(frozen=True)
class Rules:
    """What a contract declares."""

    deletes: str = "close"
    first_version: str = "open"


@dataclass
class _Walk:
    rules: Rules
    done: list[Version] = field(default_factory=list)
    open: Version | None = None

    def close(self, at: int) -> None:
        if self.open is not None:
            self.done.append(replace(self.open, end=at))
        self.open = None

    def take(self, change: Change, *, first: bool) -> None:
        if change.deleted:
            self.delete(change)
        elif self.open is not None and not self.open.deleted and self.open.tracked == change.tracked:
            self.open = replace(self.open, untracked=change.untracked)
        else:
            self.close(change.at)
            begin = min(OPEN_PAST, change.at) if first and self.rules.first_version == "open" else change.at
            self.open = Version(begin, change.tracked, change.untracked)

    def delete(self, change: Change) -> None:
        if self.open is not None and self.open.deleted:
            return
        last = self.open or (self.done[-1] if self.done else None)
        self.close(change.at)
        if self.rules.deletes == "record":
            held = (last.tracked, last.untracked) if last else ((None,) * len(change.tracked), None)
            self.open = Version(change.at, *held, deleted=True)


def history(changes: Iterable[Change], rules: Rules) -> list[Version]:
    """The versions of one key from changes that are in order and one a moment."""
    walk = _Walk(rules)
    for number, change in enumerate(changes):
        walk.take(change, first=number == 0)
    return walk.done + ([walk.open] if walk.open else [])


def admissible(changes: Iterable[Change], rules: Rules) -> list[list[Version]]:
    """Every table that the set of changes may become: one, unless two changes differ in nothing but their values."""
    kept = {change for change in changes if not (change.deleted and rules.deletes == "ignore")}
    return [history(chosen, rules) for chosen in product(*_by_moment(kept))]


def _by_moment(changes: set[Change]) -> Iterator[list[Change]]:
    for _, same in groupby(sorted(changes, key=attrgetter("at")), key=attrgetter("at")):
        candidates = list(same)
        last = max((change.tie, change.deleted) for change in candidates)
        yield [change for change in candidates if (change.tie, change.deleted) == last]


def surrogate(key: str, begin: int) -> int:
    """The first 60 bits of the md5 of key and start."""
    return int(hashlib.md5(f"{key}\x1f{begin}".encode()).hexdigest()[:15], 16)
