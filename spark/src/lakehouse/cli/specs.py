"""`lakehouse validate`: every problem of every spec, with file and line."""

from __future__ import annotations

from typing import Annotated

import typer

from lakehouse.cli.runs import catalog_of
from lakehouse.cli.screen import console, print_json
from lakehouse.errors import SpecError
from lakehouse.settings import load_settings
from lakehouse.specs import Catalog


def add_to(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command("validate")(validate_command)


def validate_command(
    pipeline: Annotated[str | None, typer.Argument(help="One pipeline; all if none is named.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check every contract, SQL and pipeline file without running anything."""
    settings = load_settings()
    root = settings.path(settings.pipelines)
    names = [pipeline] if pipeline else sorted(path.parent.name for path in root.glob("*/pipeline.yaml"))
    catalogs: list[Catalog] = []
    problems: list[str] = []
    for name in names:
        try:
            catalogs.append(catalog_of(settings, name))
        except SpecError as error:
            problems.append(str(error))
    problems += [str(problem) for catalog in catalogs for problem in catalog.problems]
    tables = [name for catalog in catalogs for name in catalog.tables]
    if as_json:
        print_json({"tables": tables, "problems": problems})
    else:
        for problem in problems:
            console.print(problem, soft_wrap=True)
        console.print(f"{len(tables)} tables are sound, {len(problems)} problems")
    if problems:
        raise typer.Exit(2)
