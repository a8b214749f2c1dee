"""`lakehouse stream …`: topics, the producer of review events, what a topic holds."""

from __future__ import annotations

import signal
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from lakehouse.audit.log import Audit
from lakehouse.cli import stream_run
from lakehouse.cli.runs import new_run_id
from lakehouse.cli.screen import console, notes, print_json, rows_grid
from lakehouse.log import secrets_of
from lakehouse.settings import load_settings

if TYPE_CHECKING:
    from lakehouse.streaming.produce import Produced

REVIEWS = "olist_reviews_stream"
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
stream_app = typer.Typer(no_args_is_help=True, help="Events through Kafka into Silver.")


def add_to(app: typer.Typer) -> None:
    """Add this module's verbs, and those of a stream's run."""
    stream_run.add_to(stream_app)
    app.add_typer(stream_app, name="stream")


@stream_app.command("topics")
def topics_command(as_json: Json = False) -> None:
    """Make the topics of kafka/topics.yaml what they should be; safe to do again."""
    from lakehouse.streaming.ensure import ensure_topics
    from lakehouse.streaming.topics import FILE, load_topics

    settings = load_settings()
    done = ensure_topics(settings.brokers(), load_topics(settings.path(FILE)))
    if as_json:
        print_json([asdict(each) for each in done])
        return
    for each in done:
        console.print(f"{each.topic:<32} {each}")


@stream_app.command("facts")
def facts_command(
    topic: Annotated[str, typer.Argument(help="Name of a topic.")] = REVIEWS, as_json: Json = False
) -> None:
    """Look at a topic: its id, and the offsets of its partitions."""
    from lakehouse.streaming.facts import topic_facts

    facts = topic_facts(load_settings().brokers(), topic)
    if as_json:
        print_json(asdict(facts))
        return
    console.print(f"{facts.topic}   id {facts.topic_id}   {facts.messages:,} messages")
    console.print(rows_grid([asdict(each) for each in facts.partitions], ("partition", "earliest", "latest")))


@stream_app.command("produce")
def produce_command(
    count: Annotated[int, typer.Option(min=1, help="How many messages.")] = 1_000,
    rate: Annotated[float, typer.Option(min=0, help="Messages a second; 0: as fast as they go.")] = 0,
    trouble_share: Annotated[float, typer.Option(min=0, max=1, help="Share of messages that are trouble.")] = 0,
    seed: Annotated[int, typer.Option(help="The same seed makes the same trouble.")] = 42,
    topic: Annotated[str, typer.Option(help="Name of the topic.")] = REVIEWS,
    patience: Annotated[float, typer.Option(min=10, help="Seconds for a message to be acknowledged.")] = 60,
    minutes: Annotated[float, typer.Option(min=0, help="Send for so long at most; 0: no limit.")] = 0,
    log: Annotated[Path | None, typer.Option(help="File for a line of JSON a message acknowledged.")] = None,
    run_id: Annotated[str | None, typer.Option(help="Id of the run; made up if none is given.")] = None,
    as_json: Json = False,
) -> None:
    """Send reviews of the Olist CSV file in raw/, or of a made sample; done once the broker has every one."""
    from lakehouse.streaming.produce import Request, produce
    from lakehouse.streaming.reviews import read_reviews

    settings = load_settings()
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Raised in the middle of a message, an exception would keep that one from being counted.
        signal.signal(number, lambda *_: stop.set())
    reviews = read_reviews(settings.path(settings.raw), count, seed)
    request = Request(run_id or new_run_id("stream"), topic, count, rate, trouble_share, seed, patience, log, minutes)
    with Audit(settings.need_audit_url(), secrets_of(settings)) as audit:
        done = produce(
            settings.brokers(),
            audit,
            reviews,
            request,
            lambda sent: notes.print(f"acknowledged {sent:,} of {count:,}"),
            stop,
        )
    _show(done, as_json)


def _show(done: Produced, as_json: bool) -> None:
    if as_json:
        print_json(asdict(done) | {"acknowledged": done.acknowledged, "refused": done.refused})
        return
    rows = [asdict(each) for each in done.partitions]
    console.print(rows_grid(rows, ("partition", "first_offset", "next_offset", "acknowledged", "refused")))
    rate = done.acknowledged / done.seconds
    console.print(
        f"{done.topic}: {done.acknowledged:,} acknowledged, {done.refused:,} refused in {done.seconds:.1f} s "
        f"({rate:,.0f} a second)   run {done.run_id}"
    )
