"""`lakehouse run`: layers of a pipeline in one Spark application, or none where nothing has changed."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from lakehouse.audit.recorded import failure_recorded
from lakehouse.cli.screen import console, notes, plan_line, print_json, result_line, results_grid
from lakehouse.errors import ParameterError, SpecError
from lakehouse.settings import Settings, load_settings
from lakehouse.specs import Catalog, Layer, load_catalog

if TYPE_CHECKING:
    from lakehouse.engine.app import Outcome, Request


def add_to(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command("run")(run_command)


def catalog_of(settings: Settings, pipeline: str) -> Catalog:
    """Load one pipeline's specs by its name."""
    folder = settings.path(settings.pipelines) / pipeline
    if not folder.is_dir() or folder.parent != settings.path(settings.pipelines):
        known = sorted(path.name for path in settings.path(settings.pipelines).glob("*/") if path.is_dir())
        raise SpecError(f'no pipeline is named "{pipeline}".', allowed=", ".join(known) or "none is there")
    return load_catalog(folder)


def new_run_id(pipeline: str) -> str:
    """Return a run's id: pipeline, second, and four random characters."""
    return f"{pipeline}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"


def parse_moment(text: str | None, name: str) -> datetime | None:
    """Read an ISO 8601 moment; one without an offset is UTC."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ParameterError(f'{name} is "{text}".', allowed="ISO 8601, such as 2018-08-01T00:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def run_command(
    pipeline: Annotated[str, typer.Argument(help="Name of a pipeline folder.")],
    layers: Annotated[str, typer.Option(help="Layers to run, in order.")] = "bronze,silver,gold",
    tables: Annotated[str, typer.Option(help="Only these tables, by name, separated by commas.")] = "",
    full_refresh: Annotated[bool, typer.Option("--full-refresh", help="Read and judge everything again.")] = False,
    window_from: Annotated[
        str | None, typer.Option("--from", help="Read again from this moment of the source.")
    ] = None,
    window_to: Annotated[str | None, typer.Option("--to", help="… up to this one, not included.")] = None,
    quarantine_limit: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of rows that may be rejected, for every contract's own.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    publish: Annotated[bool, typer.Option(help="Publish when the gate is passed.")] = True,
    run_id: Annotated[str | None, typer.Option(help="Id of the run; made up if none is given.")] = None,
    attempt: Annotated[int, typer.Option(min=1, help="Which attempt of that run.")] = 1,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for another run of these tables.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Bring a pipeline's tables up to date, then publish them all at once."""
    from lakehouse.engine.app import Request  # pyspark only from here on
    from lakehouse.engine.context import Options

    settings = load_settings()
    window = parse_moment(window_from, "--from"), parse_moment(window_to, "--to")
    options = Options(full_refresh, *window, quarantine_limit=quarantine_limit)
    if options.window_from and options.window_to and options.window_from >= options.window_to:
        raise ParameterError(f"the window ends ({window_to}) before it begins ({window_from}).")
    request = Request(
        run_id=run_id or new_run_id(pipeline),
        attempt=attempt,
        layers=parse_layers(layers),
        tables=tuple(name for name in tables.split(",") if name),
        publish=publish,
        options=options,
        wait_seconds=wait,
    )
    if dry_run:
        _plan(settings, pipeline, request, as_json)
    else:
        _execute(settings, pipeline, request, as_json)


def _plan(settings: Settings, pipeline: str, request: Request, as_json: bool) -> None:
    from lakehouse.engine.plan import plan_run

    catalog = catalog_of(settings, pipeline)
    catalog.need_sound()
    plans = plan_run(settings, catalog, request.layers, request.tables, request.options)
    if as_json:
        print_json({"plan": {plan.table: plan.as_dict() for plan in plans}})
    else:
        console.print("\n".join(map(plan_line, plans)), soft_wrap=True)


def execute(
    settings: Settings,
    pipeline: str,
    run_id: str,
    layers: tuple[Layer, ...],
    tables: tuple[str, ...],
    *,
    replay: bool,
    as_json: bool,
) -> None:
    """Run layers of a pipeline and show what became of them; raises the first failure."""
    from lakehouse.engine.app import Request
    from lakehouse.engine.context import Options

    request = Request(
        run_id, layers=layers, tables=tables, publish=Layer.GOLD in layers, options=Options(replay=replay)
    )
    _execute(settings, pipeline, request, as_json)


def _execute(settings: Settings, pipeline: str, request: Request, as_json: bool) -> None:
    from lakehouse.engine.app import run

    catalog = catalog_of(settings, pipeline)
    with failure_recorded(settings, request.run_id, pipeline, request.attempt, request.trigger):
        catalog.need_sound()
    outcome = run(settings, catalog, request, lambda result: notes.print(result_line(result), soft_wrap=True))
    _show(outcome, as_json)
    for error in outcome.failures.values():
        raise error


def _show(outcome: Outcome, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "run_id": outcome.run_id,
                "tables": [asdict(result) for result in outcome.results],
                "failures": {name: str(error) for name, error in outcome.failures.items()},
                "publication": outcome.manifest.as_dict() if outcome.manifest else None,
            }
        )
        return
    console.print(results_grid(outcome.results))
    if outcome.manifest:
        fresh = outcome.manifest.number != outcome.published_before
        word = "published as" if fresh else "nothing new; still publication"
        console.print(f"{word} {outcome.manifest.number}   lakehouse runs show {outcome.run_id}")


def parse_layers(text: str) -> tuple[Layer, ...]:
    """Read a list of layers."""
    known = {layer.value: layer for layer in Layer}
    names = [name.strip() for name in text.split(",") if name.strip()]
    wrong = [name for name in names if name not in known]
    if wrong or not names:
        raise ParameterError(f'--layers is "{text}".', allowed=", ".join(known))
    return tuple(known[name] for name in names)
