"""`lakehouse holidays fetch`: the seed `holidays` of a pipeline, from the API that its pipeline.yaml names."""

from __future__ import annotations

from typing import Annotated

import typer

from lakehouse.cli.runs import catalog_of
from lakehouse.cli.screen import console, print_json
from lakehouse.lake.seeds import read_seed, store_seed
from lakehouse.log import get_logger
from lakehouse.settings import load_settings
from lakehouse.source.holidays import fetch_holidays

log = get_logger(__name__)
SEED = "holidays"
holidays_app = typer.Typer(no_args_is_help=True, help="Public holidays of a pipeline's calendar.")


def add_to(app: typer.Typer) -> None:
    """Add this module's verb."""
    app.add_typer(holidays_app, name="holidays")


@holidays_app.callback()
def holidays_command() -> None:
    """Keep `fetch` a verb of its own."""


@holidays_app.command("fetch")
def fetch_command(
    pipeline: Annotated[str, typer.Option(help="Name of a pipeline folder.")] = "olist",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Fetch the holidays of the years that pipeline.yaml names; years without an answer stay as they are."""
    settings = load_settings()
    catalog = catalog_of(settings, pipeline)
    catalog.need_sound()
    wanted = catalog.pipeline.holidays
    if wanted is None:
        told: dict[str, object] = {"changed": False, "fetched": [], "missing": {}, "note": "pipeline.yaml names none"}
    else:
        found = fetch_holidays(wanted.url, wanted.years, wanted.country)
        before = read_seed(settings, catalog.folder, SEED)
        answered = [year for year in wanted.years if year not in found.missing]
        kept = [row for row in before if int(row["date"][:4]) not in answered]
        rows = sorted(kept + found.rows, key=lambda row: (row["date"], row["name"]))
        changed = bool(answered) and store_seed(settings, catalog.folder, SEED, rows)
        told = {"changed": changed, "fetched": answered, "missing": found.missing}
        if found.missing:
            told["stale"] = f"the last good copy stays for {', '.join(map(str, found.missing))}"
            log.warning(str(told["stale"]), pipeline=pipeline, why="; ".join(sorted(set(found.missing.values()))))
    if as_json:
        print_json(told)
    else:
        console.print("\n".join(f"{name}: {value}" for name, value in told.items()))
