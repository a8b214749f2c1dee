"""`lakehouse demo`: the whole pipeline on this machine, and one screen of what it did."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table as Grid

from lakehouse.audit.history import Row
from lakehouse.cli.screen import console, notes, print_json
from lakehouse.cli.source import parse_share
from lakehouse.settings import load_settings, read_settings

if TYPE_CHECKING:
    from lakehouse.stack.demo import Demo


def add_to(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command("demo")(demo_command)


def demo_command(
    changes: Annotated[
        str | None, typer.Option(help="First live a day in the shop that touches this share of its orders, such as 1%.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Run the whole pipeline through Airflow on an embedded Postgres and a local folder, whatever else runs."""
    from lakehouse.stack.demo import run_demo

    share = parse_share(changes) if changes else 0.0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what was started is stopped
    with notes.status("Starting") as status:

        def tell(told: str | Row) -> None:
            line = told if isinstance(told, str) else row_line(told)
            notes.print(line, soft_wrap=True)
            status.update(line.split("  ")[0])

        demo = run_demo(read_settings(), tell, share)
    if as_json:
        print_json({**vars(demo), "new_rows": demo.new_rows, "new_versions": demo.new_versions})
        return
    console.print()
    console.print(grid(demo.tables))
    console.print(closing(demo, load_settings().table_uri("{layer}")), soft_wrap=True)


def row_line(row: Row) -> str:
    """Return one line for a finished table of the run log."""
    if row["status"] == "FAILED":
        return f"  {row['table_name']:<46}  failed: {row['error']}"
    if row["status"] == "SKIPPED":
        return f"  {row['table_name']:<46}  {row['note'] or 'nothing to do'}"
    figures = f"in {row['input_rows']:,}  out {row['output_rows']:,}  quarantined {row['quarantined']:,}"
    return f"  {row['table_name']:<46}  {figures}  ({row['seconds']:.1f} s)"


def grid(rows: list[Row]) -> Grid:
    """Return the closing table: rows in, out and quarantined, seconds, and the version written."""
    table = Grid(box=None, pad_edge=False)
    for name in ("table", "rows in", "out", "quarantined", "s", "version"):
        table.add_column(name, justify="left" if name == "table" else "right")
    for row in rows:
        counts = [f"{row[name]:,}" for name in ("input_rows", "output_rows", "quarantined")]
        version = "" if row["version_written"] is None else str(row["version_written"])
        table.add_row(row["table_name"], *counts, f"{row['seconds']:.1f}", version)
    return table


def closing(demo: Demo, lake: str) -> str:
    """Return what became of the run, where the tables are, and three things to try next; `lake` is the verbs' own."""
    if demo.is_new:
        news = f"Published as {demo.publication}: readers see all these versions at once. {demo.seconds:.0f} s."
    else:
        news = (
            f"{demo.new_rows} new rows, {demo.new_versions} new versions: nothing has changed, "
            f"publication {demo.publication} stands. {demo.seconds:.0f} s."
        )
    lakehouse = ".venv/bin/lakehouse" if Path(".venv/bin/lakehouse").exists() else "lakehouse"
    here = "" if lake == demo.lake else "LAKEHOUSE_LAKE= "  # the verbs work on the running stack's
    layers = "{bronze,silver,gold,quarantine}"
    return "\n".join(
        [
            f"\n{news}",
            f"Tables: {demo.lake.replace('{layer}', layers)}/olist   Log: {demo.log}",
            "",
            "Next:",
            f"  {lakehouse} demo --changes 1%".ljust(45) + "a day in the shop; only what changed is touched",
            f"  {here}{lakehouse} publications olist".ljust(45) + "what readers see, and what they saw before",
            "  make up".ljust(45) + "the same DAGs in Airflow's UI, with MinIO as the lake",
        ]
    )
