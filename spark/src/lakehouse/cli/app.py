"""The command line's verbs."""

from __future__ import annotations

import typer

from lakehouse.cli import alerts, demo, history, holidays, maintain, quarantine, runs, source, specs, stack, stream

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="The lakehouse platform.", pretty_exceptions_enable=False
)
demo.add_to(app)
runs.add_to(app)
specs.add_to(app)
source.add_to(app)
history.add_to(app)
quarantine.add_to(app)
maintain.add_to(app)
holidays.add_to(app)
alerts.add_to(app)
stack.add_to(app)
stream.add_to(app)
