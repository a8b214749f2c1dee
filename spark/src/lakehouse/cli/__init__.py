"""`lakehouse …`: every verb, each also with --json."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from lakehouse.cli.app import app
from lakehouse.errors import LakehouseError
from lakehouse.log import configure, redact, secrets_of
from lakehouse.settings import Settings, load_settings
from lakehouse.unforeseen import keep_trace


def main() -> None:
    """Run the command line; an error of ours is one clear message and its exit code, so is any other."""
    settings: Settings | None = None
    secrets: tuple[str, ...] = ()
    try:
        settings = load_settings()
        secrets = secrets_of(settings)
        configure(secrets)
        app()
    except LakehouseError as error:
        _end(error, secrets)
    except Exception as error:  # noqa: BLE001 - a person gets one line of whatever it was
        _end(keep_trace(error, settings, secrets), secrets)


def _end(error: LakehouseError, secrets: Sequence[str]) -> NoReturn:
    lines = [f"error: {error.where}: {error.what}" if error.where else f"error: {error.what}"]
    if error.allowed:
        lines.append(f"  allowed: {error.allowed}")
    if error.remedy:
        lines.append(f"  next: {error.remedy}")
    print(redact("\n".join(lines), secrets), file=sys.stderr)
    sys.exit(error.exit_code)
