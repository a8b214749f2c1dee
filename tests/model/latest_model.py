"""What a Silver table holds and what its ledger counts, in plain Python: batch by batch, key by key."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, order=True)
class Row:
    """A row as it arrives: its key, its place in the order of versions, its values; `valid` by the contract."""

    key: str
    at: int
    tie: int | None
    value: str | None = None
    number: int | None = None
    deleted: bool = False

    @property
    def valid(self) -> bool:
        """The contract's rule is that a number is not negative; NULL is allowed."""
        return self.deleted or self.number is None or self.number >= 0

    @property
    def place(self) -> tuple[int, int]:
        return self.at, -1 if self.tie is None else self.tie


@dataclass
class Silver:
    """The newest valid state of each key, deleted ones too: an older row does not bring a key back."""

    newest: dict[str, Row] = field(default_factory=dict)
    quarantine: set[Row] = field(default_factory=set)

    @property
    def table(self) -> set[Row]:
        return {row for row in self.newest.values() if not row.deleted}

    def take(self, batch: Iterable[Row]) -> Counter[str]:
        """Take a batch in and return what became of its rows; no two rows of a key stand at one place."""
        ledger: Counter[str] = Counter()
        groups: dict[str, list[Row]] = defaultdict(list)
        for row in batch:
            ledger["rows_in"] += 1
            if row.valid:
                groups[row.key].append(row)
            else:
                ledger["quarantined"] += 1
                self.quarantine.add(row)
        for rows in groups.values():
            ledger["duplicate"] += len(rows) - 1
            ledger[self._place(max(rows, key=lambda row: row.place))] += 1
        return ledger

    def _place(self, row: Row) -> str:
        held = self.newest.get(row.key)
        absent = held is None or held.deleted
        if held == row and not absent:
            return "unchanged"
        if held is not None and row.place <= held.place:
            return "stale"
        self.newest[row.key] = row
        if absent:
            return "stale" if row.deleted else "inserted"
        return "deleted" if row.deleted else "updated"
