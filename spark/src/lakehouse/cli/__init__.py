"""`lakehouse …`: every verb, each also with --json."""

from __future__ import annotations

import sys

from lakehouse.cli.app import app
from lakehouse.errors import LakehouseError
from lakehouse.log import configure, redact, secrets_of
from lakehouse.settings import load_settings


def main() -> None:
    """Run the command line; an error of ours is one clear message and its exit code."""
    secrets: tuple[str, ...] = ()
    try:
        secrets = secrets_of(load_settings())
        configure(secrets)
        app()
    except LakehouseError as error:
        lines = [f"error: {error.where}: {error.what}" if error.where else f"error: {error.what}"]
        if error.allowed:
            lines.append(f"  allowed: {error.allowed}")
        if error.remedy:
            lines.append(f"  next: {error.remedy}")
        print(redact("\n".join(lines), secrets), file=sys.stderr)
        sys.exit(error.exit_code)
