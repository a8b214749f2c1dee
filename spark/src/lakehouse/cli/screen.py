"""What people see: one line a table while it runs, one screen at the end; and the same as JSON."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table as Grid

from lakehouse.audit.result import TableResult

if TYPE_CHECKING:
    from lakehouse.engine.plan import TablePlan


class Notes(Console):
    """Tells how it goes, on stderr; that nobody listens any more ends nothing."""

    def on_broken_pipe(self) -> None:
        """Go on: a task that Airflow has ended is no reason to break its job off, which ends well by itself."""
        self.file = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - for as long as the process lives


# A pipe has no width of its own; the longest table name and its figures need 110 columns.
console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
notes = Notes(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    print(json.dumps(value, default=_plain, indent=2, sort_keys=True))


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def result_line(result: TableResult) -> str:
    """Return one readable line: rows in, what became of them, seconds, version."""
    seconds = sum(result.phases.values())
    if result.status == "SKIPPED":
        return f"{result.table:<46} skipped   {result.note}"
    ledger = result.ledger
    parts = [f"in {ledger.rows_in:,}"]
    for name in ("inserted", "updated", "unchanged", "stale", "duplicate", "quarantined", "deleted"):
        count = getattr(ledger, name)
        if count:
            parts.append(f"{name} {count:,}")
    return f"{result.table:<46} {' · '.join(parts)}  ({seconds:.1f} s, v{result.version_written})"


def plan_line(plan: TablePlan) -> str:
    """Return one readable line of what a run would do with a table."""
    if not plan.rows:
        return f"{plan.table:<46} nothing   {plan.note}"
    deletes = f" ({plan.deletes:,} deletes)" if plan.deletes else ""
    usual = "" if plan.seconds is None else f", usually {plan.seconds:.1f} s"
    return f"{plan.table:<46} {plan.rows:,} rows{deletes}, at most {plan.files:,} files{usual}   {plan.note}"


def results_grid(results: Iterable[TableResult]) -> Grid:
    """Return the closing table of a run."""
    grid = Grid(box=None, pad_edge=False)
    for name in ("table", "in", "out", "quarantined", "s", "version"):
        grid.add_column(name, justify="left" if name == "table" else "right")
    for each in results:
        seconds = f"{sum(each.phases.values()):.1f}"
        version = "" if each.version_written is None else str(each.version_written)
        grid.add_row(
            each.table,
            f"{each.ledger.rows_in:,}",
            f"{each.rows_out:,}",
            f"{each.ledger.quarantined:,}",
            seconds,
            version,
        )
    return grid


def rows_grid(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> Grid:
    """Return a plain table of dictionaries."""
    grid = Grid(box=None, pad_edge=False)
    for name in columns:
        grid.add_column(name.replace("_", " "))
    for row in rows:
        grid.add_row(*["" if row.get(name) is None else _short(row[name]) for name in columns])
    return grid


def _short(value: Any) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return f"{value:.1f}" if isinstance(value, float) else str(value)
