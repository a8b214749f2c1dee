"""What is known of the streams now: by their contracts, Kafka, the lake and the audit, none of them waited for long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import TypeVar

from anyio import CapacityLimiter

from lakehouse.audit.history import Row
from lakehouse.audit.log import Audit
from lakehouse.changes.log import transactions
from lakehouse.changes.place import place_of
from lakehouse.errors import LakehouseError, SpecError
from lakehouse.lake import Lake
from lakehouse.log import secrets_of
from lakehouse.serving.patience import within
from lakehouse.settings import Settings
from lakehouse.specs import Catalog, Layer, Silver, Table, load_catalog
from lakehouse.streaming.events import Event, taken_in
from lakehouse.streaming.facts import TopicFacts, topic_facts
from lakehouse.streaming.newest import newest_events

T = TypeVar("T")
LAST_MESSAGES, LAST_BATCHES = 10, 30
# All three are asked at once: a page takes no longer than this, and what its contracts take.
_PATIENCE_SECONDS = 4.0
_BOOTSTRAP_MS = 2_000
_READING_SECONDS = 1.5


@dataclass(frozen=True)
class Topic:
    """What a topic holds now, and its newest messages, newest first; or why these are not known."""

    facts: TopicFacts
    newest: list[Event] | LakehouseError


@dataclass(frozen=True)
class Audited:
    """A stream's newest run, None before the first, and its newest micro-batches of whatever run, newest first."""

    run: Row | None
    batches: list[Row]


@dataclass(frozen=True)
class Look:
    """One look at a stream; a part that is not known is the error that says why.

    `taken` is the next offset of each partition by topic id, None before the first event.
    """

    table: Table
    topic: Topic | LakehouseError
    taken: Mapping[str, Mapping[int, int]] | LakehouseError | None
    audited: Audited | LakehouseError


class Streams:
    """Looks at the streams of all pipelines; it writes nothing."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._catalogs: dict[Path, tuple[object, Catalog]] = {}

    @cached_property
    def _audit(self) -> Audit:
        return Audit(self._settings.need_audit_url(), secrets_of(self._settings))

    @cached_property
    def _limits(self) -> dict[str, CapacityLimiter]:
        """One thread for each that may be away; what was given up keeps its own."""
        return {name: CapacityLimiter(1) for name in ("specs", "kafka", "lake", "audit")}

    async def look(self) -> tuple[list[Look], list[LakehouseError]]:
        """Return a look at each stream, by name, and what is wrong with pipelines whose streams are not known."""
        found = await self._ask("specs", "the folder of pipelines", self._tables)
        if isinstance(found, LakehouseError):
            return [], [found]
        tables, wrong = found
        return list(await asyncio.gather(*map(self._look_at, sorted(tables, key=attrgetter("full_name"))))), wrong

    async def _look_at(self, table: Table) -> Look:
        topic, taken, audited = await asyncio.gather(
            self._ask("kafka", "Kafka", lambda: self._topic(table)),
            self._ask("lake", "the lake", lambda: self._taken(table)),
            self._ask("audit", "the audit database", lambda: self._audited(table)),
        )
        return Look(table, topic, taken, audited)

    async def _ask(self, limit: str, what: str, work: Callable[[], T]) -> T | LakehouseError:
        remedy = "see that it runs (`lakehouse state`)."
        return await within(_PATIENCE_SECONDS, work, self._limits[limit], what, remedy)

    def _tables(self) -> tuple[list[Table], list[LakehouseError]]:
        found: list[Table] = []
        wrong: list[LakehouseError] = []
        for folder in sorted(self._settings.path(self._settings.pipelines).glob("[!._]*/")):
            try:
                found += _streamed(self._catalog(folder))
            except SpecError as error:
                wrong.append(error)
        return found, wrong

    def _catalog(self, folder: Path) -> Catalog:
        """Return a pipeline's specs, read again when a file of theirs is another."""
        edition = [(path, path.stat().st_mtime_ns) for path in sorted(folder.rglob("*.yaml"))]
        held = self._catalogs.get(folder)
        if held is None or held[0] != edition:
            held = self._catalogs[folder] = edition, load_catalog(folder)
        return held[1]

    def _topic(self, table: Table) -> Topic:
        bootstrap, (_, stream) = self._settings.brokers(), table.need_stream()
        facts = topic_facts(bootstrap, stream.topic, bootstrap_ms=_BOOTSTRAP_MS)
        try:
            return Topic(facts, newest_events(bootstrap, facts, LAST_MESSAGES, _READING_SECONDS))
        except LakehouseError as error:
            return Topic(facts, error)

    def _taken(self, table: Table) -> dict[str, dict[int, int]] | None:
        lake = Lake(self._settings, table.pipeline)
        uri = lake.events(table)
        events = lake.open(uri)
        return None if events is None else taken_in(transactions(place_of(self._settings, uri), events.version()))

    def _audited(self, table: Table) -> Audited:
        run = next(iter(self._audit.overview(1, table.stream_name)), None)
        return Audited(run, self._audit.newest_batches(table.full_name, LAST_BATCHES))


def _streamed(catalog: Catalog) -> Iterator[Table]:
    """Yield the Silver tables that a topic feeds."""
    for table in catalog.layer(Layer.SILVER):
        if isinstance(table.block, Silver) and table.block.stream is not None:
            yield table
