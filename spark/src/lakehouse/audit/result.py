"""What became of one table in one run: the ledger, the rules' counts, the drift, the versions."""

from __future__ import annotations

import json
from dataclasses import asdict, astuple, dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, Self

from lakehouse.errors import LedgerUnbalanced, StateError

Status = Literal["SUCCESS", "SKIPPED"]


@dataclass(frozen=True)
class Ledger:
    """Counts of rows: what came in, and what became of it."""

    rows_in: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    stale: int = 0
    duplicate: int = 0
    quarantined: int = 0
    deleted: int = 0

    @property
    def accounted(self) -> int:
        """Return how many rows have a known end."""
        figures: tuple[int, ...] = astuple(self)
        return sum(figures[1:])

    @property
    def written(self) -> int:
        """Return how many rows changed the table."""
        return self.inserted + self.updated + self.deleted

    def check(self, table: str) -> None:
        """Raise LedgerUnbalanced, naming every figure, unless rows in equal what became of them."""
        figures = asdict(self)
        if self.rows_in == self.accounted and min(figures.values()) >= 0:
            return
        ends = " + ".join(f"{name} {count}" for name, count in figures.items() if name != "rows_in")
        raise LedgerUnbalanced(
            f"rows in {self.rows_in} is not {ends} = {self.accounted}.",
            where=table,
            remedy="nothing of this table is published; report it with the run's log: a row was lost or counted twice.",
        )

    def __add__(self, other: Ledger) -> Ledger:
        """Return the sum, figure by figure."""
        return Ledger(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True)
class RuleResult:
    """How many rows passed and failed one rule; `column` is empty for a rule over the whole row or table."""

    rule: str
    column: str
    severity: str
    passed: int
    failed: int


@dataclass(frozen=True)
class CheckResult:
    """What one check found on one version of a table."""

    table: str
    version: int
    check: str
    severity: str
    value: float
    passed: bool


@dataclass(frozen=True)
class Drift:
    """One difference between the source's columns and the table's, and what was done about it."""

    column: str
    kind: str
    before: str
    after: str
    action: str


@dataclass(frozen=True)
class TableResult:
    """One table's finished work: `phases` in seconds, `window_*` as aware instants, `versions_read` by table name.

    `key`: the columns by which a Silver table's rows were told apart.
    """

    table: str
    layer: str
    status: Status
    ledger: Ledger = field(default_factory=Ledger)
    rows_out: int = 0
    versions_read: dict[str, int] = field(default_factory=dict)
    version_written: int | None = None
    phases: dict[str, float] = field(default_factory=dict)
    contract_version: str = ""
    key: list[str] = field(default_factory=list)
    window_from: datetime | None = None
    window_to: datetime | None = None
    rules: list[RuleResult] = field(default_factory=list)
    drift: list[Drift] = field(default_factory=list)
    note: str = ""

    def __post_init__(self) -> None:
        for moment in (self.window_from, self.window_to):
            if moment is not None and moment.tzinfo is None:
                raise ValueError(f"{self.table}: the window's bound {moment.isoformat()} has no time zone")

    def with_ledger(self, ledger: Ledger) -> Self:
        """Return the result with what became of the rows."""
        return replace(self, ledger=ledger, rows_out=ledger.written)

    def as_json(self) -> str:
        """Return one line of JSON with every field, instants as ISO 8601."""
        return json.dumps(asdict(self), default=datetime.isoformat, separators=(",", ":"), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `as_json` wrote (a commit's `userMetadata`); raises StateError when it is anything else."""
        try:
            return cls(**_typed(json.loads(text)))
        except (ValueError, TypeError, AttributeError) as error:
            raise StateError(f"the commit's note on its own work cannot be read: {error!r}.") from error


def _typed(record: dict[str, Any]) -> dict[str, Any]:
    """Turn a decoded record's nested parts into their classes; what an older version did not write is the default."""
    bounds = {key: record.get(key) for key in ("window_from", "window_to")}
    return {
        **record,
        **{key: datetime.fromisoformat(text) if text else None for key, text in bounds.items()},
        "ledger": Ledger(**record.get("ledger", {})),
        "rules": [RuleResult(**each) for each in record.get("rules", [])],
        "drift": [Drift(**each) for each in record.get("drift", [])],
    }
