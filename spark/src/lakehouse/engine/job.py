"""What spark-submit runs: one layer of a pipeline, its parameters as arguments, its settings from the environment."""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lakehouse.audit.link import TRIGGER
from lakehouse.audit.result import TableResult
from lakehouse.cli.runs import catalog_of, parse_moment
from lakehouse.cli.screen import plan_line, result_line
from lakehouse.engine.app import Outcome, Request, run
from lakehouse.engine.context import Options
from lakehouse.engine.plan import plan_run
from lakehouse.errors import LakehouseError
from lakehouse.log import configure, redact, secrets_of
from lakehouse.settings import Settings, load_settings
from lakehouse.specs import Catalog, Layer
from lakehouse.unforeseen import keep_trace


def parse(layer: Layer, words: Sequence[str]) -> argparse.Namespace:
    """Read a job's arguments."""
    parser = argparse.ArgumentParser(prog=f"{layer}.py", allow_abbrev=False)
    parser.add_argument("--pipeline", required=True)
    parser.add_argument("--run-id", required=True)
    parser.add_argument("--attempt", type=int, default=1)
    parser.add_argument("--trigger", default=TRIGGER)
    parser.add_argument("--tables", default="", help="names separated by commas; all if empty")
    parser.add_argument("--full-refresh", action="store_true")
    parser.add_argument("--from", dest="window_from", default="")
    parser.add_argument("--to", dest="window_to", default="")
    parser.add_argument("--quarantine-limit", type=float, help="share of rows, in place of every contract's own")
    parser.add_argument("--wait", type=float, default=0)
    parser.add_argument("--part", action="store_true", help="leave the run open for its next part")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and write nothing")
    parser.add_argument("--result", type=Path, help="file that gets the outcome as JSON")
    return parser.parse_args(words)


def main(layer: Layer) -> None:
    """Run one layer and exit with 0, or with an error's own code after one clear message for each."""
    settings: Settings | None = None
    secrets: tuple[str, ...] = ()
    arguments = parse(layer, sys.argv[1:])
    try:
        settings = load_settings()
        secrets = secrets_of(settings)
        configure(secrets)
        catalog = catalog_of(settings, arguments.pipeline)
        catalog.need_sound()
        if arguments.dry_run:
            _plan(layer, arguments, settings, catalog)
            return
        with bound_to_parent():
            outcome = run(settings, catalog, _request(layer, arguments), lambda result: _tell(result, secrets))
    except LakehouseError as error:
        outcome = Outcome(arguments.run_id, failures={arguments.pipeline: error})
    except Exception as error:  # noqa: BLE001 - a person gets one line of whatever it was
        outcome = Outcome(arguments.run_id, failures={arguments.pipeline: keep_trace(error, settings, secrets)})
    if arguments.result:
        _leave(arguments.result, as_json(outcome, secrets))
    for failure in outcome.failures.values():
        print(redact(f"error: {failure}", secrets), file=sys.stderr, flush=True)
    sys.exit(exit_code(outcome.failures.values()))


def _leave(file: Path, text: str) -> None:
    """Write what became of the run, whole or not at all: a full disk must not hide what failed."""
    part = file.with_suffix(".part")
    try:
        part.write_text(text, "utf-8")
        part.rename(file)
    except OSError as error:
        print(f"error: {file}: {error}", file=sys.stderr, flush=True)


@contextmanager
def bound_to_parent() -> Iterator[None]:
    """End this process when spark-submit, which started it, has ended: nobody would be told of its work any more."""
    parent, done = os.getppid(), threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            if os.getppid() != parent:
                os._exit(os.EX_TEMPFAIL)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def exit_code(errors: Collection[LakehouseError]) -> int:
    """Return what the process ends with: 0 without errors; where trying again cannot help with one, that one's code."""
    return min((error.exit_code for error in errors), default=0)


def _plan(layer: Layer, arguments: argparse.Namespace, settings: Settings, catalog: Catalog) -> None:
    """Say of each table what would be done; the result file gets it as `plan`, by table."""
    request = _request(layer, arguments)
    plans = plan_run(settings, catalog, request.layers, request.tables, request.options)
    for plan in plans:
        print(plan_line(plan), flush=True)
    if arguments.result:
        record = {"run_id": request.run_id, "plan": {plan.table: plan.as_dict() for plan in plans}}
        arguments.result.write_text(json.dumps(record, sort_keys=True), "utf-8")


def _request(layer: Layer, arguments: argparse.Namespace) -> Request:
    begin, end = parse_moment(arguments.window_from, "--from"), parse_moment(arguments.window_to, "--to")
    return Request(
        run_id=arguments.run_id,
        attempt=arguments.attempt,
        trigger=arguments.trigger,
        layers=(layer,),
        tables=tuple(name for name in arguments.tables.split(",") if name),
        publish=False,
        part=arguments.part,
        options=Options(arguments.full_refresh, begin, end, quarantine_limit=arguments.quarantine_limit),
        wait_seconds=arguments.wait,
    )


def _tell(result: TableResult, secrets: Sequence[str]) -> None:
    print(redact(result_line(result), secrets), flush=True)


def as_json(outcome: Outcome, secrets: Sequence[str] = ()) -> str:
    """Return the outcome as the JSON that a scheduler keeps: results by table, errors by what failed."""
    failures = {
        name: {"error": redact(str(error), secrets), "heals": error.heals} for name, error in outcome.failures.items()
    }
    record = {
        "run_id": outcome.run_id,
        "tables": [json.loads(result.as_json()) for result in outcome.results],
        "failures": failures,
    }
    return json.dumps(record, sort_keys=True)
