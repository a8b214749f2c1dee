"""`lakehouse up`, `down`, `state`, `doctor`: the platform's parts as plain processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lakehouse.audit.migrate import migrate
from lakehouse.cli.screen import console, notes, print_json
from lakehouse.settings import load_settings, read_settings
from lakehouse.stack.doctor import examine
from lakehouse.stack.up import PartState, down, state, up

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def add_to(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command("up")(up_command)
    app.command("down")(down_command)
    app.command("state")(state_command)
    app.command("doctor")(doctor_command)


def up_command(as_json: Json = False) -> None:
    """Start Postgres, MinIO and Airflow; each answers when this returns, and the audit schema is the newest."""
    settings = read_settings()
    parts = up(settings, notes.print)
    for name in migrate(settings.need_audit_url(), settings.path(Path("warehouse/migrations"))):
        notes.print(f"Audit schema: {name}")
    _print_parts(parts, as_json)
    if not as_json:
        if not any(part.started for part in parts):
            console.print("everything was up already")
        _print_lake()
        console.print(f"login {settings.airflow_user}; the passwords are in .env; logs are in {settings.state}/logs")


def down_command(as_json: Json = False) -> None:
    """Stop what `up` or `demo` started; data stays."""
    stopped = down(read_settings())
    if as_json:
        print_json(stopped)
    else:
        console.print(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")


def state_command(as_json: Json = False) -> None:
    """Look at every part; nothing is started."""
    _print_parts(state(read_settings()), as_json)
    if not as_json:
        _print_lake()


def _print_parts(parts: Sequence[PartState], as_json: bool) -> None:
    if as_json:
        print_json([asdict(part) for part in parts])
        return
    for part in parts:
        console.print(f"{part.name:<24} {part.state:<9} {part.address}", soft_wrap=True)


def _print_lake() -> None:
    """Say which lake the verbs in this folder work on."""
    settings = load_settings()
    lake = settings.table_uri("{layer}")
    at = f" at {settings.s3_endpoint}" if "://" in lake and settings.s3_endpoint else ""
    console.print(f"lake of every verb here: {lake}{at}", soft_wrap=True, markup=False)


def doctor_command(as_json: Json = False) -> None:
    """Look for what would keep the platform from running, with a remedy for each."""
    findings = examine(read_settings())
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            mark = "ok  " if finding.ok else "FAIL"
            remedy = f"\n       next: {finding.remedy}" if finding.remedy else ""
            console.print(f"{mark} {finding.name:<22} {finding.found}{remedy}", soft_wrap=True, markup=False)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)
