"""`make stream`: a producer and a consumer of events side by side, from nothing; both are compared at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lakehouse.audit.log import Audit
from lakehouse.audit.migrate import migrate
from lakehouse.audit.result import Ledger
from lakehouse.audit.stream_rows import StreamBatch
from lakehouse.cli.runs import catalog_of
from lakehouse.engine.stream_end import Bounds
from lakehouse.engine.stream_run import StreamOutcome, StreamRequest, run_stream
from lakehouse.lake import Lake
from lakehouse.log import secrets_of
from lakehouse.settings import Settings
from lakehouse.stack.demo import alone, databases, need_java, run_demo, with_databases
from lakehouse.stack.errors import StackError
from lakehouse.stack.layout import Layout, layout, make_folders
from lakehouse.stack.parts import native_postgres
from lakehouse.stack.supervisor import stop_part
from lakehouse.stack.tools import end
from lakehouse.stack.up import start_kafka_only
from lakehouse.streaming.ensure import ensure_topics
from lakehouse.streaming.reconcile import Reconciled, reconcile
from lakehouse.streaming.topics import FILE, load_topics

PIPELINE, TABLE = "olist", "silver.order_reviews"
_LOG = "producer"


@dataclass(frozen=True)
class Simulation:
    """What is sent: how many events, how many a second (0: as fast as they go), share of trouble, seed."""

    count: int = 20_000
    rate: float = 1_000
    trouble_share: float = 0.05
    seed: int = 42


@dataclass
class Figures:
    """What a person watches: events acknowledged and taken in, what became of them, how long they waited.

    `said` is the producer's last line beside its count: why it failed, if it did.
    """

    produced: int = 0
    ledger: Ledger = field(default_factory=Ledger)
    batches: int = 0
    p95_ms: float = 0.0
    said: str = ""

    @property
    def lag(self) -> int:
        """Return events that are sent and not in Silver yet."""
        return max(0, self.produced - self.ledger.rows_in)

    def __str__(self) -> str:
        """Say all of it in one line."""
        ledger = self.ledger
        merged = ledger.inserted + ledger.updated + ledger.deleted
        return (
            f"produced {self.produced:,} · consumed {ledger.rows_in:,} · merged {merged:,} · quarantined "
            f"{ledger.quarantined:,} · lag {self.lag:,} · p95 {self.p95_ms / 1000:.1f} s"
        )


@dataclass(frozen=True)
class Streamed:
    """What the demo did."""

    outcome: StreamOutcome
    found: Reconciled
    figures: Figures
    seconds: float


def run_stream_demo(settings: Settings, run_id: str, what: Simulation, tell: Callable[[str], None]) -> Streamed:
    """Send review events and take them into Silver until all are there; what was started is stopped, data stays.

    Without tables in a local lake the pipeline is run first. Raises what the producer, the consumer or the comparison
    of both has to say.
    """
    need_java()
    place = layout(settings)
    make_folders(place)
    server = native_postgres(settings, place)
    _need_tables(settings, tell)
    settings = with_databases(settings, server)
    with alone(place), databases(settings, server, place, lambda told: tell(str(told))), _broker(settings, tell):
        migrate(settings.need_audit_url(), settings.path(Path("warehouse/migrations")))
        for done in ensure_topics(settings.brokers(), load_topics(settings.path(FILE))):
            tell(f"Topic {done.topic}: {done}")
        began = time.monotonic()
        outcome, figures = _both(settings, place, run_id, what, tell)
        catalog = catalog_of(settings, PIPELINE)
        with Audit(settings.need_audit_url(), secrets_of(settings)) as audit:
            found = reconcile(settings, audit, catalog.table(TABLE), f"{run_id}-sent")
        return Streamed(outcome, found, figures, time.monotonic() - began)


def _need_tables(settings: Settings, tell: Callable[[str], None]) -> None:
    """Make Silver by the pipeline's demo where a local lake has none; a running stack's is made by its own DAG."""
    lake = Lake(settings, PIPELINE)
    if "://" not in settings.lake and lake.open(lake.uri("silver", "order_reviews")) is None:
        tell("There are no tables yet: first the pipeline.")
        run_demo(settings, lambda told: tell(told) if isinstance(told, str) else None)


@contextmanager
def _broker(settings: Settings, tell: Callable[[str], None]) -> Iterator[None]:
    """Hold the broker that the settings name; the native one is started, and stopped if it did not run before."""
    if settings.kafka_bootstrap:
        yield
        return
    part = start_kafka_only(settings)
    tell(f"Kafka: {'started' if part.started else 'runs'} at {part.address}")
    try:
        yield
    finally:
        if part.started:
            stop_part(layout(settings), part.name)


def _both(
    settings: Settings, place: Layout, run_id: str, what: Simulation, tell: Callable[[str], None]
) -> tuple[StreamOutcome, Figures]:
    figures, stop = Figures(), threading.Event()

    def merged(batch: StreamBatch) -> None:
        figures.ledger, figures.batches = figures.ledger + batch.ledger, figures.batches + 1
        figures.p95_ms = batch.latency_p95_ms or 0.0
        tell(str(figures))

    with ExitStack() as stack:
        child = stack.enter_context(_producer(settings, place, run_id, what))
        reader = threading.Thread(target=_count, args=(child, figures), daemon=True)
        reader.start()
        request = StreamRequest(run_id, TABLE, Bounds("producer", f"{run_id}-sent"), "stream demo")
        outcome = run_stream(settings, catalog_of(settings, PIPELINE), request, stop, merged)
        reader.join()
        if child.wait():
            ended = f"the producer ended with {child.returncode}: {figures.said}"
            raise StackError(ended, remedy=f"its log is {place.log(_LOG)}.")
    return outcome, figures


@contextmanager
def _producer(settings: Settings, place: Layout, run_id: str, what: Simulation) -> Iterator[subprocess.Popen[str]]:
    words = ["--count", what.count, "--rate", what.rate, "--trouble-share", what.trouble_share, "--seed", what.seed]
    words += ["--run-id", f"{run_id}-sent", "--log", place.state / "produced.ndjson", "--json"]
    environment = {
        **os.environ,
        "LAKEHOUSE_AUDIT_URL": settings.need_audit_url(),
        "LAKEHOUSE_KAFKA_BOOTSTRAP": settings.brokers(),
        "LAKEHOUSE_RAW": str(settings.path(settings.raw)),
        "LAKEHOUSE_HOME": str(settings.home.resolve()),
    }
    command = [str(Path(sys.executable).with_name("lakehouse")), "stream", "produce", *map(str, words)]
    with place.log(_LOG).open("w") as out:
        child = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE, text=True
        )
    try:
        yield child
    finally:
        end(child, signal.SIGTERM, 20)


def _count(child: subprocess.Popen[str], figures: Figures) -> None:
    """Read `acknowledged N of M` as the producer says it."""
    for line in child.stderr or ():
        words = line.split()
        if words[:1] == ["acknowledged"]:
            figures.produced = int(words[1].replace(",", ""))
        else:
            figures.said = line.strip() or figures.said
