"""`lakehouse quarantine …`: what was rejected and why, and its way back once contract or source is right."""

from __future__ import annotations

from typing import Annotated, Any

import duckdb
import typer

from lakehouse.cli.runs import catalog_of, execute, new_run_id
from lakehouse.cli.screen import console, print_json, rows_grid
from lakehouse.errors import ParameterError
from lakehouse.lake import Lake
from lakehouse.lake.tables import reading
from lakehouse.settings import Settings, load_settings
from lakehouse.specs import Layer, Silver, Table

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
TableName = Annotated[str, typer.Argument(help="A Silver table by its full name, such as olist.silver.orders.")]
quarantine_app = typer.Typer(no_args_is_help=True, help="Rejected rows: their reasons, and their way back.")
_BY_RULE = """
SELECT reason.rule, reason."column", count(*) AS rows, min(first_seen) AS first_seen, max(last_seen) AS last_seen
FROM (SELECT unnest(reasons) AS reason, first_seen, last_seen FROM held WHERE status = 'quarantined')
WHERE reason.severity = 'error' GROUP BY ALL ORDER BY rows DESC
"""
_ROWS = "SELECT payload, reasons, contract_version, origin.run_id FROM held WHERE status = 'quarantined' LIMIT ?"


def add_to(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.add_typer(quarantine_app, name="quarantine")


def _silver(settings: Settings, name: str) -> Table:
    catalog = catalog_of(settings, name.partition(".")[0])
    table = catalog.table(name)
    if not isinstance(table.block, Silver):
        raise ParameterError(f"{table.full_name} has no quarantine.", allowed="Silver tables")
    return table


def _query(settings: Settings, table: Table, query: str, parameters: list[Any]) -> list[dict[str, Any]]:
    lake = Lake(settings, table.pipeline)
    uri = lake.quarantine(table)
    held = lake.open(uri)
    if held is None:
        return []
    with reading(uri), duckdb.connect() as connection:
        connection.register("held", held.scan())
        cursor = connection.execute(query, parameters)
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@quarantine_app.command("rules")
def rules_command(name: TableName, as_json: Json = False) -> None:
    """Count what is held by rule."""
    settings = load_settings()
    rows = _query(settings, _silver(settings, name), _BY_RULE, [])
    if as_json:
        print_json(rows)
    else:
        console.print(rows_grid(rows, ["rule", "column", "rows", "first_seen", "last_seen"]))
        console.print(f"bring back what is right now: lakehouse quarantine replay {name}")


@quarantine_app.command("show")
def show_command(
    name: TableName,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many rows.")] = 20,
    as_json: Json = False,
) -> None:
    """Show held rows: their raw payload and every reason."""
    settings = load_settings()
    rows = _query(settings, _silver(settings, name), _ROWS, [limit])
    if as_json:
        print_json(rows)
        return
    for row in rows:
        console.print(row["payload"], soft_wrap=True, markup=False)
        for reason in row["reasons"]:
            console.print(f"  {reason['severity']}: {reason['rule']} ({reason['column']} = {reason['value']})")


@quarantine_app.command("replay")
def replay_command(name: TableName, as_json: Json = False) -> None:
    """Judge what is held again by the contract as it is now; what passes goes on to Gold and is published."""
    settings = load_settings()
    table = _silver(settings, name)
    replay_id = new_run_id(table.pipeline)
    execute(settings, table.pipeline, replay_id, (Layer.SILVER,), (table.full_name,), replay=True, as_json=False)
    layers = (Layer.SILVER, Layer.GOLD)
    execute(settings, table.pipeline, new_run_id(table.pipeline), layers, (), replay=False, as_json=as_json)
