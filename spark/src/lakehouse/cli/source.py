"""`lakehouse source …`: fill the demo's source database, make data for it, change it as a shop's day would."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lakehouse.audit.recorded import filling_recorded
from lakehouse.cli.runs import new_run_id
from lakehouse.cli.screen import console, notes, print_json
from lakehouse.errors import ParameterError
from lakehouse.settings import load_settings

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def add_to(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command("setup-source")(setup_command)
    app.command("sample")(sample_command)
    app.command("simulate")(simulate_command)


def setup_command(
    replace: Annotated[
        bool, typer.Option("--replace", help="Drop all rows that are there first: for files of another origin.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Create schema olist in the source database and load the CSVs found in raw/."""
    from lakehouse.source.filling import fill, fill_anew

    settings = load_settings()
    with filling_recorded(settings, new_run_id("source"), 1, "cli"):
        begin = fill_anew if replace else fill
        filling = begin(settings.connection_url("source"), settings.path(settings.raw))
    if filling.remark:
        notes.print(f"{filling.remark}.")
    if as_json:
        print_json([asdict(table) for table in filling.tables])
        return
    for table in filling.tables:
        console.print(f"{table.name:<36} {table.rows:>10,} rows   new {table.inserted:,}   changed {table.updated:,}")
        for warning in table.warnings:
            notes.print(f"  {warning}")


def sample_command(
    scale: Annotated[float, typer.Option(min=0.001, max=100, help="1 is as large as the public data set.")] = 0.1,
    out: Annotated[Path, typer.Option(help="Folder to write into.")] = Path("raw"),
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 42,
    as_json: Json = False,
) -> None:
    """Make Olist-shaped CSVs."""
    from lakehouse.source.sample import write_sample

    rows = write_sample(out, scale=scale, seed=seed)
    if as_json:
        print_json(rows)
        return
    for name, count in rows.items():
        console.print(f"{name:<44} {count:>10,} rows")


def simulate_command(
    changes: Annotated[str, typer.Option(help="Share of the orders that a day touches, such as 1%.")] = "1%",
    seed: Annotated[int, typer.Option(help="The same seed on the same state gives the same day.")] = 1,
    as_json: Json = False,
) -> None:
    """Insert, update and delete in the source the way a shop's day would."""
    from lakehouse.source.simulate import simulate

    counts = simulate(load_settings().connection_url("source"), changes=parse_share(changes), seed=seed)
    if as_json:
        print_json({name: asdict(each) for name, each in counts.items()})
        return
    for name, each in counts.items():
        console.print(f"{name:<36} {each}")


def parse_share(text: str) -> float:
    """Read a share such as 1% or 0.01."""
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise ParameterError(f'--changes is "{text}".', allowed="a share such as 1% or 0.01") from None
