"""The command line's verbs."""

from __future__ import annotations

import typer

from lakehouse.cli import history, runs, source, specs

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="The lakehouse platform.", pretty_exceptions_enable=False
)
runs.add_to(app)
specs.add_to(app)
source.add_to(app)
history.add_to(app)
