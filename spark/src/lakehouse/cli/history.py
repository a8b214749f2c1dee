"""`lakehouse runs`, `publications`, `rollback`, `migrate`: what happened, and going back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lakehouse.audit.history import LEDGER
from lakehouse.audit.log import Audit
from lakehouse.audit.migrate import migrate
from lakehouse.cli.runs import new_run_id
from lakehouse.cli.screen import console, print_json, rows_grid
from lakehouse.log import secrets_of
from lakehouse.publish.store import current, kept
from lakehouse.settings import load_settings

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
_OF_BATCHES = (
    *("attempt", "batches", "batch", "started_at", "seconds", "received", *LEDGER, "version_written"),
    *("latency_p50_ms", "latency_p95_ms", "latency_max_ms"),
)
runs_app = typer.Typer(invoke_without_command=True, help="Runs, newest first, and what each did.")


def add_to(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.add_typer(runs_app, name="runs")
    app.command("publications")(publications_command)
    app.command("rollback")(rollback_command)
    app.command("migrate")(migrate_command)


def _audit() -> Audit:
    settings = load_settings()
    return Audit(settings.need_audit_url(), secrets_of(settings))


@runs_app.callback(invoke_without_command=True)
def runs_command(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
    pipeline: Annotated[str | None, typer.Option(help="Only of this pipeline.")] = None,
    as_json: Json = False,
) -> None:
    """List the newest runs."""
    if context.invoked_subcommand:
        return
    rows = _audit().runs(limit, pipeline)
    if as_json:
        print_json(rows)
    else:
        console.print(rows_grid(rows, list(rows[0]) if rows else ["no run yet"]))


@runs_app.command("show")
def show_command(run_id: Annotated[str, typer.Argument(help="Id of a run.")], as_json: Json = False) -> None:
    """Show one run: its attempts, tables, failed rules, drift, publications; a stream's micro-batches."""
    found = _audit().show(run_id)
    if as_json:
        print_json(found)
        return
    for title, rows in found.items():
        if rows:
            console.print(f"\n{title}", style="bold")
            console.print(rows_grid(rows, _columns(title, rows)))


def _columns(part: str, rows: list[dict[str, Any]]) -> list[str]:
    """Return the columns that say something, by the width of a terminal; --json has all."""
    if part.startswith("batches"):
        return [name for name in _OF_BATCHES if name in rows[0] and any(row[name] for row in rows)]
    return [name for name in rows[0] if any(row[name] is not None for row in rows)]


def publications_command(
    pipeline: Annotated[str, typer.Argument(help="Name of a pipeline.")],
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    as_json: Json = False,
) -> None:
    """List what was published, newest first: each names the version of every table."""
    manifests = kept(load_settings(), pipeline, limit)
    rows = [manifest.as_dict() for manifest in manifests]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        row["tables"] = len(row["tables"])
    console.print(rows_grid(rows, ["number", "published_at", "run_id", "tables", "rolled_back_to"]))


def rollback_command(
    pipeline: Annotated[str, typer.Argument(help="Name of a pipeline.")],
    to: Annotated[int, typer.Option(help="Number of the publication to go back to.")],
    as_json: Json = False,
) -> None:
    """Make an older publication what readers see; no table is touched."""
    from lakehouse.publication import copy_manifests, go_back  # with the gate's checks: heavy

    settings = load_settings()
    before = current(settings, pipeline)
    manifest = go_back(settings, pipeline, to, new_run_id(pipeline))
    with _audit() as audit:
        copy_manifests(audit, before, manifest)
    if as_json:
        print_json(manifest.as_dict())
    else:
        console.print(
            f"publication {manifest.number} shows the tables of {to} again "
            f"(before: {before.number if before else 'none'}). The next run publishes what the tables hold then."
        )


def migrate_command(as_json: Json = False) -> None:
    """Bring the audit database to the newest schema; safe to repeat."""
    settings = load_settings()
    applied = migrate(settings.need_audit_url(), settings.path(Path("warehouse/migrations")))
    if as_json:
        print_json(applied)
    else:
        console.print(f"applied {', '.join(applied)}" if applied else "nothing to apply")
