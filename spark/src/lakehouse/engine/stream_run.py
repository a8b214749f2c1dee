"""A run of a stream: micro-batch after micro-batch until its end, with the leases, the audit rows and the session."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Self

from lakehouse.alerts.courier import Courier
from lakehouse.audit.lease import Lease, hold
from lakehouse.audit.log import Audit
from lakehouse.audit.result import TableResult
from lakehouse.audit.stream_rows import StreamBatch
from lakehouse.changes.columns import COLUMNS
from lakehouse.engine.allocator import give_back_columns
from lakehouse.engine.context import Context
from lakehouse.engine.progress import find_stream_progress
from lakehouse.engine.recover import record_lost
from lakehouse.engine.stream import Pending, keep_events, pending, positions, take_in
from lakehouse.engine.stream_batch import Sum
from lakehouse.engine.stream_compact import EVERY, compact_many
from lakehouse.engine.stream_end import Bounds, End
from lakehouse.errors import LeaseHeld, Overtaken, StoreUnavailable
from lakehouse.lake import Lake
from lakehouse.log import get_logger, secrets_of
from lakehouse.settings import Settings
from lakehouse.specs import Catalog, Layer
from lakehouse.streaming.consumer import Consumer
from lakehouse.streaming.ends import Start, ranges, start_of
from lakehouse.streaming.events import Origin
from lakehouse.streaming.facts import TopicFacts, topic_facts

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

log = get_logger(__name__)
# A batch run that holds the table is not waited for longer: events go on into Bronze meanwhile.
_TURN_SECONDS = 0.5
# Columns of data files that stay in memory, of what several tables of a batch would keep for each other.
_HELD_BYTES = 96 << 20


@dataclass(frozen=True)
class StreamRequest:
    """Which table's stream is run, by whom, until when; a micro-batch is what comes in `linger` seconds, or about
    `most` events; `accept_loss` goes on where offsets are gone for good.
    """

    run_id: str
    table: str
    bounds: Bounds = field(default_factory=Bounds)
    trigger: str = "cli"
    accept_loss: bool = False
    most: int = 25_000
    linger: float = 0.2


@dataclass(frozen=True)
class StreamOutcome:
    """What became of a run: the sum of its micro-batches, how many there were, and what was accepted as lost."""

    run_id: str
    attempt: int
    result: TableResult
    batches: int = 0
    lost: Mapping[int, tuple[int, int]] = field(default_factory=dict)


class StreamRun:
    """One attempt; holds the stream's lease while it lasts, and the table's for each micro-batch."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        request: StreamRequest,
        tell: Callable[[StreamBatch], None],
        shared: SparkSession | None = None,
    ) -> None:
        self.settings, self.catalog, self.request, self.tell = settings, catalog, request, tell
        self.table = catalog.table(request.table)
        self.block, self.stream = self.table.need_stream()
        self.name = self.table.stream_name
        self.lake = Lake(settings, catalog.pipeline.name)
        self.audit = Audit(settings.need_audit_url(), secrets_of(settings))
        self.attempt = 0
        table = self.table
        began = TableResult(table.full_name, Layer.SILVER, "SUCCESS", contract_version=table.version, key=[*table.key])
        self.sum = Sum(began)
        # Whether events that are in Bronze wait for Silver; those of an earlier run may.
        self.waiting = True
        # Who holds the table, where that is what events wait for.
        self.held: LeaseHeld | None = None
        # The next offset of each partition, as the commits of the events named it when it was last seen.
        self.named: dict[int, int] = {}
        self._shared, self._session = shared, None if shared is None else shared.newSession()
        self._lease: Lease | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        request = self.request
        with ExitStack() as stack:
            stack.enter_context(self.audit)
            stack.callback(Courier(self.settings).close)
            params = asdict(request.bounds)
            self.attempt = self.audit.begin_part(request.run_id, self.name, request.trigger, params)
            try:
                self._lease = stack.enter_context(self._hold(self.name, 0))
                self.audit.repair(request.run_id, self.attempt, [self.name])
            except BaseException as error:
                self.fail(error)
                raise
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        from lakehouse.engine.session import stop_session

        if self._session is not None and self._shared is None:
            stop_session(self._session)
        self._stack.close()

    def fail(self, error: BaseException) -> None:
        """Write that the attempt failed; its alert is stored with that."""
        self.audit.finish_failed(self.request.run_id, self.attempt, error)

    def execute(self, stop: threading.Event) -> StreamOutcome:
        """Take in events until the end; begin again where a topic has other partitions, the store was away, or
        another writer was first.
        """
        bootstrap = self.settings.brokers()
        lost: dict[int, tuple[int, int]] = {}
        facts = topic_facts(bootstrap, self.stream.topic)
        end = End(self.request.bounds, bootstrap, facts, self.audit, stop)
        while True:
            try:
                if self._go_on(facts, end, lost):
                    return StreamOutcome(self.request.run_id, self.attempt, self.sum.result, self.sum.batches, lost)
            except (StoreUnavailable, Overtaken) as error:
                end.wait_after(error)
            # Where the topic ends by now: what was read meanwhile is no loss.
            facts = topic_facts(bootstrap, self.stream.topic)

    def _go_on(self, facts: TopicFacts, end: End, lost: dict[int, tuple[int, int]]) -> bool:
        """Go on where the commits say; tell whether that was to the end, or to a topic with other partitions."""
        self.waiting = True
        self._make_good()
        # Events that are lost are seen before new ones are written in their place.
        find_stream_progress(self.table, self._context())
        taken = positions(self._context(), self.table)
        start = start_of(facts, taken, accept_loss=self.request.accept_loss)
        self.named = taken.get(facts.topic_id, {})
        lost |= start.lost
        end.unseen = {} if self.request.accept_loss else start.unseen
        self._tell(start, lost)
        with Consumer(self.settings.brokers(), self.stream.topic, start.offsets) as consumer:
            return self._follow(consumer, Origin(self.stream.topic, facts.topic_id, self.request.run_id), end)

    def _make_good(self) -> None:
        """Write the audit rows of a micro-batch that was committed without them: of an earlier attempt, or this one."""
        uri, name = self.lake.of(self.table), self.table.full_name
        lost = record_lost(self.audit, self.lake, uri, name, self.request.run_id)
        if lost is not None and (lost.run_id, lost.attempt) == (self.request.run_id, self.attempt):
            self.sum.take_up(lost.result)

    def _tell(self, start: Start, lost: Mapping[int, tuple[int, int]]) -> None:
        """Say what is lost, or new, in the log; all that is lost, or was gone at the first read, in the table's audit
        row, too.
        """
        if start.lost:
            log.warning("offsets are lost", stream=self.name, lost=ranges(start.lost))
            self._note(f"accepted as lost: {ranges(lost)}")
        if start.unseen:
            log.warning("offsets are gone before the first read", stream=self.name, gone=ranges(start.unseen))
            self._note(f"gone before the first read: {ranges(start.unseen)}")
        if start.fresh:
            log.warning("new partitions", stream=self.name, partitions=list(start.fresh))

    def _note(self, said: str) -> None:
        self.sum.result = replace(self.sum.result, note=said)
        self.audit.table_finished(self.request.run_id, self.attempt, self.sum.result)

    def _follow(self, consumer: Consumer, origin: Origin, end: End) -> bool:
        """Go step by step; tell whether that was to the end, or to a topic with other partitions."""
        while not end.is_reached(consumer.offsets, waiting=self.waiting):
            moved = self._take_in() if self.waiting else False
            if not end.is_read(consumer.offsets):
                moved |= self._keep(consumer, origin)
            if end.watch(consumer.offsets, moved=moved, held=self.held):
                return False
        if self.waiting:
            # Told to stop: what was read last is taken in too, unless a batch run holds the table.
            self._take_in()
        end.need_reached(consumer.offsets, waiting=self.waiting, held=self.held)
        return True

    def _keep(self, consumer: Consumer, origin: Origin) -> bool:
        """Append what has come to the events in Bronze; tell whether anything had."""
        before, began = dict(consumer.offsets), time.monotonic()
        events = consumer.read(self.request.most, self.request.linger)
        self.sum.spend("fetch", (fetched := time.monotonic()) - began)
        if events:
            keep_events(self.table, self._context(), events, origin, self.named, consumer.offsets)
            self.named = dict(consumer.offsets)
            self.sum.spend("keep", time.monotonic() - fetched)
            self.waiting = True
        return consumer.offsets != before

    def _take_in(self) -> bool:
        """Take waiting events into Silver, unless a batch run holds the table; tell whether any were taken in."""
        self.sum.begin()
        self.held = None
        try:
            lease = self._hold(self.table.full_name, _TURN_SECONDS)
        except LeaseHeld as error:
            self.held = error
            log.info("events wait in Bronze", stream=self.name, why=str(error))
            return False
        with lease:
            taken = self._take_waiting(lease)
            give_back_columns()
            # The first one of a run too: short runs leave files as well.
            if taken and (self.sum.batches - 1) % EVERY == 0:
                self.sum.spend("compact", compact_many(self.table, self._context(None, lease)))
        return taken

    def _take_waiting(self, lease: Lease) -> bool:
        found = pending(self.table, self._context())
        self.waiting = found is not None and found.version < found.progress.bronze.version
        if found is not None:
            self._take(found, self._context(found, lease))
        return found is not None

    def _take(self, found: Pending, context: Context) -> None:
        batch = self.sum.end(found, take_in(self.table, self.block, context, found))
        # The table's row last: a version that it names is not looked for again.
        self.audit.write_batch(self.request.run_id, self.attempt, batch)
        self.audit.table_finished(self.request.run_id, self.attempt, self.sum.result)
        self.tell(batch)

    def _hold(self, name: str, wait: float) -> Lease:
        return hold(self.settings.need_audit_url(), [name], self.request.run_id, self.attempt, wait)

    def _context(self, found: Pending | None = None, lease: Lease | None = None) -> Context:
        leases = [each for each in (self._lease, lease) if each is not None]

        def guard() -> None:
            for each in leases:
                each.check()

        context = Context(
            self._open_session, self.settings, self.catalog, self.lake, self.request.run_id, guard, attempt=self.attempt
        )  # fmt: skip
        if found is not None:
            context.told = partial(self.sum.note, found)
        return context

    def _open_session(self) -> SparkSession:
        """Return the one session of all micro-batches: what was compiled for one is used by the next."""
        from lakehouse.engine.session import same_interrupt, start_session

        if self._session is None:
            small = self.settings.model_copy(update={"spark_driver_memory": self.settings.stream_driver_memory})
            with same_interrupt():
                self._session = start_session(small, self.catalog.pipeline.spark, f"lakehouse {self.name}")
        return self._session


def run_stream(
    settings: Settings,
    catalog: Catalog,
    request: StreamRequest,
    stop: threading.Event,
    tell: Callable[[StreamBatch], None] = lambda batch: None,
    shared: SparkSession | None = None,
) -> StreamOutcome:
    """Run a stream to its end; its audit row ends SUCCESS or FAILED, whatever happens in between.

    `stop` ends a run after its micro-batch: well, where it was to go on until then.
    """
    with COLUMNS.at_most(_HELD_BYTES), StreamRun(settings, catalog, request, tell, shared) as run:
        try:
            outcome = run.execute(stop)
        except BaseException as error:
            run.fail(error)
            raise
        run.audit.finish_run(request.run_id, run.attempt, "SUCCESS")
    return outcome
