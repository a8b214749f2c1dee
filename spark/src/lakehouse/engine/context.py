"""What one table's work is given: its session, the lake, the run, and leave to commit."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from py4j.protocol import Py4JError
from pyspark.sql import DataFrame, SparkSession

from lakehouse.audit.result import TableResult
from lakehouse.changes.feed import has_changes, is_redefined
from lakehouse.changes.files import FILE, ROW, Snapshot, is_plain, rows_of, snapshot
from lakehouse.changes.log import active_files
from lakehouse.changes.place import place_of
from lakehouse.changes.write import Commit
from lakehouse.engine import delta
from lakehouse.lake import Lake, TableState
from lakehouse.lake.tables import put_back, reading
from lakehouse.settings import Settings
from lakehouse.specs import Catalog, Silver, Table

# To adapt a plan at run time costs more than it gains over rows that the driver holds.
ONE_PART = {"spark.sql.adaptive.enabled": "false", "spark.sql.shuffle.partitions": "1"}
# Up to here a query's expressions are interpreted: to compile them takes longer than the rows do.
INTERPRETED_ROWS = 10_000
INTERPRETED = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}


@dataclass(frozen=True)
class Options:
    """What a person asked of a run beyond the usual: read all again, or a window of the source's clock; a share of
    rows that may be rejected, in place of every contract's own.
    """

    full_refresh: bool = False
    window_from: datetime | None = None
    window_to: datetime | None = None
    replay: bool = False
    quarantine_limit: float | None = None

    def applied(self, block: Silver) -> Silver:
        """Return a table's block as this run takes it."""
        if self.quarantine_limit is None:
            return block
        return block.model_copy(update={"quarantine_limit": self.quarantine_limit})

    @property
    def judges_again(self) -> bool:
        """Whether rows that Silver has consumed are judged once more."""
        return self.full_refresh or self.replay

    @property
    def rereads(self) -> bool:
        """Whether rows that Bronze may already hold are read again."""
        return self.full_refresh or self.window_from is not None or self.window_to is not None


def told_by(result: TableResult) -> dict[str, Any]:
    """Return what a commit's note says of a table's work."""
    return {"result": json.loads(result.as_json())}


@dataclass
class Context:
    """The surroundings of one table's work; `guard` raises LeaseLost when this attempt may no longer commit.

    `told` makes what a commit's note says of its result.
    """

    open_session: Callable[[], SparkSession]
    settings: Settings
    catalog: Catalog
    lake: Lake
    run_id: str
    guard: Callable[[], None]
    options: Options = Options()
    attempt: int = 1
    told: Callable[[TableResult], Mapping[str, Any]] = told_by
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    phases: dict[str, float] = field(default_factory=dict)
    _session: SparkSession | None = None

    def state(self, uri: str, application: str) -> TableState | None:
        """Return a table's version and progress; raises StateError where it was put back to an older version.

        Its rows are then not those that its commits speak of; reading everything again makes them so.
        """
        state = self.lake.state(uri, application)
        if state is not None and state.restored and not self.options.full_refresh:
            raise put_back(uri)
        return state

    @property
    def spark(self) -> SparkSession:
        """Return this table's own session, started on first use: a table with nothing to do needs no JVM."""
        if self._session is None:
            with self.phase("session"):
                self._session = self.open_session()
        return self._session

    def snapshot(self, uri: str, version: int | None = None) -> Snapshot | None:
        """Return a table as the driver reads it, at a version if given; None: there is none, or only Spark can."""
        table = self.lake.open(uri)
        if table is None or not is_plain(table):
            return None
        if version is not None and version != table.version():
            with reading(uri):
                table.load_as_version(version)
        return snapshot(self.settings, table, uri)

    def rows(self, uri: str) -> int:
        """Return how many rows a table has, as its log says; 0 where there is none."""
        table = self.lake.open(uri)
        files = active_files(place_of(self.settings, uri), table.version()) if table is not None else []
        return sum(rows_of(add) for add in files)

    def has_changes(self, uri: str, first: int, last: int) -> bool:
        """Return whether versions `first` to `last` of a table, both included, changed a row or the definition."""
        return first <= last and has_changes(place_of(self.settings, uri), first, last)

    def is_redefined(self, uri: str, first: int, last: int) -> bool:
        """Return whether versions `first` to `last` of a table, both included, changed its columns."""
        return first <= last and is_redefined(place_of(self.settings, uri), first, last)

    def frame(self, uri: str) -> DataFrame:
        """Return a table as a frame: its rows travel with the plan where they are few."""
        found = self.snapshot(uri)
        if found is None or not found.fits(self.settings.small_batch_rows):
            return delta.read(self.spark, uri)
        return delta.local(self.spark, found.read().drop_columns([FILE, ROW]))

    @contextmanager
    def few_rows(self, rows: int) -> Iterator[None]:
        """Plan queries over so many rows of the driver once and in one part, and compile them only where that pays."""
        settings = ONE_PART | (INTERPRETED if rows <= INTERPRETED_ROWS else {})
        before = {name: str(self.spark.conf.get(name)) for name in settings}
        for name, value in settings.items():
            self.spark.conf.set(name, value)
        try:
            yield
        finally:
            # Where the JVM is gone, the error of the query says more than that.
            with suppress(Py4JError, OSError):
                for name, value in before.items():
                    self.spark.conf.set(name, value)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure the seconds of a part of the work."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.phases[name] = round(self.phases.get(name, 0.0) + time.monotonic() - began, 3)

    def commit(self, application: str, number: int, result: TableResult) -> Commit:
        """Return the commit's identity and its note, after asking whether this attempt may still commit."""
        self.guard()
        note = {"run_id": self.run_id, "attempt": self.attempt, **self.told(result)}
        return Commit(application, number, json.dumps(note, separators=(",", ":")))

    def aside(self, uri: str, application: str, result: TableResult) -> Commit:
        """Return the identity and the note of a commit that moves no progress: of the run's own name, never a repeat.

        A run that is cleared has the same id. What an attempt that died has committed is known by the rows: held ones
        are released, and the table has what they brought.
        """
        name = f"{application}:{self.run_id}"
        return self.commit(name, self.lake.next_number(uri, name), result)

    def skipped(self, table: Table, layer: str, note: str) -> TableResult:
        """Return the result of a table that had nothing to do."""
        return TableResult(
            table=f"{table.pipeline}.{layer}.{table.name}",
            layer=layer,
            status="SKIPPED",
            phases=dict(self.phases),
            contract_version=table.version,
            note=note,
        )
