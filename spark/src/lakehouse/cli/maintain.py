"""`lakehouse maintain`: few large files instead of many small ones, and none that nothing kept needs."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakehouse.cli.runs import catalog_of, new_run_id
from lakehouse.cli.screen import console, print_json, rows_grid
from lakehouse.settings import Settings, load_settings
from lakehouse.specs import Catalog

if TYPE_CHECKING:
    from lakehouse.maintenance.run import Cared

_COLUMNS = ("table", "files", "small", "delete", "MB", "readable_from", "done")


def add_to(app: typer.Typer) -> None:
    """Add this module's verb."""
    app.command("maintain")(maintain_command)


def maintain_command(
    pipeline: Annotated[str, typer.Option(help="Name of a pipeline folder.")] = "olist",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    run_id: Annotated[str | None, typer.Option(help="Id of the run; made up if none is given.")] = None,
    attempt: Annotated[int, typer.Option(min=1, help="Which attempt of that run.")] = 1,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for a run of the pipeline.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Compact tables of many small files, and delete files that no kept version needs."""
    settings = load_settings()
    catalog = catalog_of(settings, pipeline)
    catalog.need_sound()
    name = run_id or new_run_id(f"{pipeline}-maintenance")
    rows = (
        _planned(settings, catalog)
        if dry_run
        else [_row(each) for each in _done(settings, catalog, name, attempt, wait)]
    )
    if as_json:
        print_json({"run_id": None if dry_run else name, "tables": rows})
    else:
        console.print(rows_grid(rows, _COLUMNS))


def _planned(settings: Settings, catalog: Catalog) -> list[dict[str, Any]]:
    from lakehouse.maintenance.run import Cared, surveys

    return [_row(Cared(table.name, found, found, 0.0)) | {"done": ""} for table, found in surveys(settings, catalog)]


def _done(settings: Settings, catalog: Catalog, run_id: str, attempt: int, wait: float) -> list[Cared]:
    from lakehouse.engine.compact import compaction  # pyspark only from here on
    from lakehouse.maintenance.run import maintain

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the run's row ends with it
    with compaction(settings, catalog) as compact:
        return maintain(settings, catalog, run_id, compact, attempt, wait)


def _row(cared: Cared) -> dict[str, Any]:
    found = cared.before
    return {
        "table": cared.table,
        "files": found.files,
        "small": found.small,
        "compact": found.pays,
        "delete": len(found.obsolete),
        "MB": round(found.freed / 1e6, 1),
        "readable_from": found.first,
        "done": cared.note,
    }
