"""How far a Silver table has come with its Bronze table."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lakehouse.audit.result import RuleResult, TableResult
from lakehouse.engine.context import Context
from lakehouse.engine.drift import bronze_columns
from lakehouse.errors import StateError
from lakehouse.lake import TableState
from lakehouse.specs import Layer, Table


@dataclass(frozen=True)
class Progress:
    """How far Silver has come with its Bronze, which commit this run would make, whether it judges all of Bronze."""

    uri: str
    silver: TableState | None
    bronze: TableState
    application: str
    whole: bool = True

    @property
    def consumed(self) -> int:
        """Return the newest Bronze version that Silver has taken in; -1 before the first."""
        return -1 if self.silver is None or self.silver.number is None else self.silver.number

    @property
    def again(self) -> bool:
        """Whether all of Bronze has been consumed, and some of it is judged once more."""
        return self.consumed == self.bronze.version

    @property
    def is_settled(self) -> bool:
        """Whether the table needs no commit but for rows: its newest one says what it has consumed."""
        return self.again and self.silver is not None and not self.silver.restored

    def result(self, table: Table, rules: list[RuleResult]) -> TableResult:
        """Return a successful run's result before its rows are counted."""
        return TableResult(
            table=table.full_name, layer=Layer.SILVER, status="SUCCESS", contract_version=table.version,
            versions_read={f"{table.pipeline}.{Layer.BRONZE}.{table.name}": self.bronze.version}, rules=rules,
        )  # fmt: skip


def find_progress(table: Table, context: Context) -> Progress | None:
    """Return where the table stands, or None while there is no Bronze table."""
    bronze = context.state(context.lake.bronze(table), f"bronze:{table.name}")
    silver = context.state(context.lake.of(table), f"silver:{table.name}")
    if bronze is None:
        return None
    if silver is not None and (silver.number is None or silver.number > bronze.version):
        raise StateError(
            f"Silver has consumed Bronze version {silver.number}, but Bronze stands at {bronze.version}.",
            where=table.full_name,
            remedy="Bronze was put back to an older state; restore it, or run with full_refresh.",
        )
    progress = Progress(context.lake.of(table), silver, bronze, f"silver:{table.name}")
    whole = silver is None or context.options.full_refresh or _is_widened(table, context, progress)
    # Judging again what has been consumed is a commit of its own; the table's own number would be taken as a repeat.
    application = f"{progress.application}:{context.run_id}" if progress.again else progress.application
    return replace(progress, application=application, whole=whole)


def _is_widened(table: Table, context: Context, progress: Progress) -> bool:
    """Whether a column of Bronze was widened since it was last consumed: Delta gives no changes across that."""
    bronze = context.lake.open(context.lake.bronze(table))
    if bronze is None or "delta.typeChanges" not in bronze.schema().to_json():
        return False
    now = bronze_columns(bronze)
    bronze.load_as_version(progress.consumed)
    return any(now[name] != kind for name, kind in bronze_columns(bronze).items())
