"""`lakehouse stream run|reconcile|reset`: a topic's events into Silver, and whether all of them got there."""

from __future__ import annotations

import signal
import sys
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from lakehouse.alerts.courier import sending
from lakehouse.audit.log import Audit
from lakehouse.audit.recorded import failure_recorded
from lakehouse.audit.stream_rows import StreamBatch
from lakehouse.cli.runs import catalog_of, new_run_id
from lakehouse.cli.screen import console, notes, print_json, result_line, rows_grid
from lakehouse.ending import stop_on_signals
from lakehouse.errors import ParameterError
from lakehouse.log import secrets_of
from lakehouse.settings import load_settings
from lakehouse.specs import Catalog

if TYPE_CHECKING:
    from lakehouse.streaming.reconcile import Reconciled

TABLE = "olist.order_reviews"
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def add_to(app: typer.Typer) -> None:
    """Add this module's verbs."""
    for name, verb in (
        ("run", run_command),
        ("reconcile", reconcile_command),
        ("reset", reset_command),
        ("demo", demo_command),
    ):
        app.command(name)(verb)


def run_command(
    table: Annotated[str, typer.Argument(help="pipeline.table whose contract names a topic.")] = TABLE,
    available_now: Annotated[bool, typer.Option("--available-now", help="Up to what the topic holds now.")] = False,
    continuous: Annotated[bool, typer.Option("--continuous", help="Until SIGTERM, or Ctrl-C.")] = False,
    until_sent: Annotated[str, typer.Option(help="Up to what this run of the producer sends.")] = "",
    minutes: Annotated[float, typer.Option(min=0, help="With --continuous: at most so long; 0: no limit.")] = 0,
    patience: Annotated[float, typer.Option(min=1, help="Seconds without progress or store before it fails.")] = 120,
    accept_loss: Annotated[bool, typer.Option("--accept-loss", help="Go on where offsets are gone for good.")] = False,
    most: Annotated[int, typer.Option(min=1, help="About so many events a micro-batch.")] = 25_000,
    linger: Annotated[float, typer.Option(min=0, help="Seconds that a micro-batch collects events.")] = 0.2,
    run_id: Annotated[str | None, typer.Option(help="Id of the run; made up if none is given.")] = None,
    trigger: Annotated[str, typer.Option(help="Who starts it, for the audit.")] = "cli",
    as_json: Json = False,
) -> None:
    """Take a topic's events into Silver, micro-batch by micro-batch, each event once."""
    from lakehouse.engine.allocator import keep_little
    from lakehouse.engine.stream_end import Bounds, Until
    from lakehouse.engine.stream_run import StreamRequest, run_stream

    if available_now + continuous + bool(until_sent) > 1:
        raise ParameterError(
            "a run has one end.", allowed="--available-now (the usual), --continuous or --until-sent RUN"
        )
    until: Until = "stopped" if continuous else "producer" if until_sent else "now"
    settings, (catalog, name) = load_settings(), _table(table)
    bounds = Bounds(until, until_sent, minutes, patience)
    request = StreamRequest(
        run_id or new_run_id("stream"), name, bounds, trigger, accept_loss, most, linger
    )  # fmt: skip
    keep_little()
    tell = partial(notes.print, soft_wrap=True)
    outcome = run_stream(settings, catalog, request, stop_on_signals(), lambda batch: tell(batch_line(batch)))
    if as_json:
        print_json(asdict(outcome))
    else:
        console.print(f"{result_line(outcome.result)}   {outcome.batches} micro-batches   run {outcome.run_id}")


def reconcile_command(
    producer: Annotated[str, typer.Argument(help="Id of a run of the producer.")],
    table: Annotated[str, typer.Option(help="pipeline.table that its topic feeds.")] = TABLE,
    as_json: Json = False,
) -> None:
    """Compare what a run sent with what Bronze and the audit have of it: every event once, or an error.

    An error is a FAILED run RUN-reconcile of the stream in the audit, with its alert.
    """
    from lakehouse.streaming.reconcile import reconcile

    settings, (catalog, name) = load_settings(), _table(table)
    stream = catalog.table(name)
    with (
        sending(settings),
        failure_recorded(settings, f"{producer}-reconcile", stream.stream_name, 1, "cli"),
        Audit(settings.need_audit_url(), secrets_of(settings)) as audit,
    ):
        found = reconcile(settings, audit, stream, producer)
    if as_json:
        print_json(asdict(found))
        return
    _show_reconciled(found)


def _show_reconciled(found: Reconciled) -> None:
    columns = ("partition", "first", "end", "acknowledged", "kept")
    console.print(rows_grid([asdict(each) for each in found.partitions], columns))
    told = " · ".join(f"{word} {count:,}" for word, count in asdict(found.ledger).items() if count)
    console.print(f"every event once: {told}   ({found.batches} micro-batches)", soft_wrap=True)


def reset_command(
    table: Annotated[str, typer.Option(help="pipeline.table that the topic feeds.")] = TABLE, as_json: Json = False
) -> None:
    """Forget a simulation: its messages, its events in Bronze, how far Silver has come. Rows of Silver stay."""
    from lakehouse.streaming.reset import reset
    from lakehouse.streaming.topics import FILE, load_topics

    settings, (catalog, name) = load_settings(), _table(table)
    _, stream = catalog.table(name).need_stream()
    topic = next((each for each in load_topics(settings.path(FILE)) if each.name == stream.topic), None)
    if topic is None:
        raise ParameterError(f"{stream.topic} is no topic of kafka/topics.yaml.", remedy="only those are made anew.")
    done = reset(settings, catalog.table(name), topic, new_run_id("reset"))
    if as_json:
        print_json({"removed": done})
    else:
        console.print("\n".join(done) or "nothing was there")


def _table(text: str) -> tuple[Catalog, str]:
    """Return the catalog and the name of a table given as pipeline.table."""
    pipeline, _, name = text.partition(".")
    catalog = catalog_of(load_settings(), pipeline)
    catalog.need_sound()
    return catalog, catalog.table(f"silver.{name}").name


def batch_line(batch: StreamBatch) -> str:
    """Return one readable line of a micro-batch."""
    parts = [f"{word} {count:,}" for word, count in asdict(batch.ledger).items() if count and word != "rows_in"]
    seconds = (batch.ended_at - batch.started_at).total_seconds()
    waited = "" if batch.latency_p95_ms is None else f", p95 {batch.latency_p95_ms / 1000:.1f} s"
    figures = f"({seconds:.1f} s{waited}, v{batch.version_written})"
    return f"{batch.batch:>5}  {batch.ledger.rows_in:,} events  {' · '.join(parts)}  {figures}"


def demo_command(
    count: Annotated[int, typer.Option(min=1, help="How many events.")] = 20_000,
    rate: Annotated[float, typer.Option(min=0, help="Events a second; 0: as fast as they go.")] = 1_000,
    trouble_share: Annotated[float, typer.Option(min=0, max=1, help="Share of events that are trouble.")] = 0.05,
    seed: Annotated[int, typer.Option(help="The same seed makes the same trouble.")] = 42,
    as_json: Json = False,
) -> None:
    """Send review events and take them into Silver, on an embedded broker, with live figures."""
    from lakehouse.stack.stream_demo import Simulation, run_stream_demo

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what was started is stopped
    what = Simulation(count, rate, trouble_share, seed)
    done = run_stream_demo(
        load_settings(), new_run_id("stream"), what, lambda told: notes.print(told, soft_wrap=True)
    )  # fmt: skip
    if as_json:
        print_json(asdict(done))
        return
    _show_reconciled(done.found)
    console.print(f"{done.seconds:.0f} s   lakehouse runs show {done.outcome.run_id}")
