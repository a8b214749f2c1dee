"""One run: layers in order, tables side by side, every one with its audit row, then gate and publication."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Self

from lakehouse.alerts.courier import Courier, follows
from lakehouse.audit.alone import hold_alone
from lakehouse.audit.lease import TURN_SECONDS, Lease, hold
from lakehouse.audit.log import Audit
from lakehouse.audit.recorded import failure_recorded
from lakehouse.audit.result import TableResult
from lakehouse.engine.bronze import run_bronze
from lakehouse.engine.context import Context, Options
from lakehouse.engine.gold import run_gold
from lakehouse.engine.recover import record_lost
from lakehouse.engine.schedule import run_in_order
from lakehouse.engine.silver import run_silver
from lakehouse.errors import LakehouseError
from lakehouse.lake import Lake
from lakehouse.log import get_logger, redact, secrets_of
from lakehouse.publication import covered_tables, make_public, pass_gate
from lakehouse.publish.manifest import Manifest
from lakehouse.settings import Settings
from lakehouse.source.connect import reading
from lakehouse.source.horizon import Horizon, fix_horizon
from lakehouse.specs import Catalog, Layer, Silver, Table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

log = get_logger(__name__)
LAYERS = (Layer.BRONZE, Layer.SILVER, Layer.GOLD)


@dataclass(frozen=True)
class Request:
    """What is to be run, by whom, for the how-manieth time; after a `part` the run goes on with another one."""

    run_id: str
    attempt: int = 1
    trigger: str = "cli"
    layers: tuple[Layer, ...] = LAYERS
    tables: tuple[str, ...] = ()
    publish: bool = True
    part: bool = False
    options: Options = field(default_factory=Options)
    wait_seconds: float = 0


@dataclass
class Outcome:
    """What became of a run."""

    run_id: str
    results: list[TableResult] = field(default_factory=list)
    failures: dict[str, LakehouseError] = field(default_factory=dict)
    manifest: Manifest | None = None
    published_before: int | None = None


class Run:
    """One attempt of a run, holding the leases of its tables while it lasts."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        request: Request,
        tell: Callable[[TableResult], None],
        shared: SparkSession | None = None,
    ) -> None:
        self.settings, self.catalog, self.request, self.tell = settings, catalog, request, tell
        self.lake = Lake(settings, catalog.pipeline.name)
        self.secrets = secrets_of(settings)
        self.audit = Audit(settings.need_audit_url(), self.secrets)
        self.outcome = Outcome(request.run_id)
        self.courier = Courier(settings)
        self._root, self._owns_root = shared, shared is None
        self._lock = threading.Lock()
        self._lease: Lease | None = None

    def __enter__(self) -> Self:
        request = self.request
        names = [table.full_name for table in self._silver_tables() + self._gold_tables()]
        # The pipeline's own name is held too: whoever holds it may end the rows of runs that died on another host.
        names.append(self.catalog.pipeline.name)
        told = (request.run_id, self.catalog.pipeline.name, request.attempt, request.trigger)
        with failure_recorded(self.settings, *told):
            self._lease = self._hold(names)
        try:
            self._begin(names)
        except BaseException:
            self._lease.release()
            raise
        return self

    def _hold(self, names: Sequence[str]) -> Lease:
        request, url = self.request, self.settings.need_audit_url()
        who = (request.run_id, request.attempt, request.wait_seconds)
        if request.part:  # its scheduler has seen to it that it is alone
            return hold(url, names, *who, TURN_SECONDS)
        return hold_alone(url, self.audit, self.catalog.pipeline.name, names, *who)

    def _begin(self, names: Sequence[str]) -> None:
        request, pipeline = self.request, self.catalog.pipeline
        params: dict[str, object] = {"tables": list(request.tables), "layers": [str(layer) for layer in request.layers]}
        params |= {name: str(value) for name, value in asdict(request.options).items() if value}
        self.audit.start_run(request.run_id, pipeline.name, request.attempt, request.trigger, params)
        if follows(self.settings, pipeline.alerts.on_success):
            self.audit.follow_run(request.run_id, pipeline.name, request.attempt)
        self.courier.nudge()
        self.audit.repair(request.run_id, request.attempt, names)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from lakehouse.engine.session import stop_session

        self.courier.nudge()
        if self._root is not None and self._owns_root:
            stop_session(self._root)
        if self._lease is not None:
            self._lease.release()
        self.courier.close()

    def session(self) -> SparkSession:
        """Return a session of its own over the run's one JVM, which the first table that needs it starts."""
        from lakehouse.engine.session import start_session

        with self._lock:
            if self._root is None:
                name = f"lakehouse {self.catalog.pipeline.name} {self.request.run_id}"
                self._root = start_session(self.settings, self.catalog.pipeline.spark, name)
        return self._root.newSession()

    def execute(self) -> Outcome:
        """Run the layers, the gate and the publication; a layer with a failed table is the last."""
        for layer in self.request.layers:
            self._run_layer(layer)
            if self.outcome.failures:
                break
            self.audit.tell_progress(self.request.run_id, self.catalog.pipeline.name, self.request.attempt)
            self.courier.nudge()
        else:
            if self.request.publish:
                self.outcome.manifest = self.publish()
        return self.outcome

    def _run_layer(self, layer: Layer) -> None:
        tables = self._gold_tables() if layer is Layer.GOLD else self._silver_tables()
        work = self._work(layer)
        side_by_side = self.catalog.pipeline.spark.tables_side_by_side

        def attempt(table: Table) -> bool:
            return self._audited(table, layer, work)

        def skipped(table: Table, why: str) -> None:
            self._finish(not_run(table, layer, why))

        if layer is Layer.BRONZE:
            run_side_by_side(tables, attempt, side_by_side)
        else:
            run_in_order(tables, attempt, side_by_side, skipped)

    def _work(self, layer: Layer) -> Callable[[Table, Context], TableResult]:
        if layer is Layer.BRONZE:
            horizon = self._horizon()
            return lambda table, context: run_bronze(table, _silver_block(table), context, horizon)
        if layer is Layer.SILVER:
            applied = self.request.options.applied
            return lambda table, context: run_silver(table, applied(_silver_block(table)), context)
        return run_gold

    def _horizon(self) -> Horizon:
        """One horizon for all tables of a run: what a transaction wrote to several of them comes together."""
        with reading(self.settings.connection_url(self.catalog.pipeline.connection)) as connection:
            horizon = fix_horizon(connection)
        for warning in horizon.warnings:
            log.warning("the horizon is held", run=self.request.run_id, why=warning)
        return horizon

    def _audited(self, table: Table, layer: Layer, work: Callable[[Table, Context], TableResult]) -> bool:
        request, name = self.request, f"{table.pipeline}.{layer}.{table.name}"
        self.audit.table_started(request.run_id, request.attempt, layer, name)
        context = Context(
            self.session,
            self.settings,
            self.catalog,
            self.lake,
            request.run_id,
            self._guard,
            request.options,
            request.attempt,
        )
        try:
            uri = self.lake.bronze(table) if layer is Layer.BRONZE else self.lake.of(table)
            record_lost(self.audit, self.lake, uri, name, request.run_id)
            self._finish(work(table, context))
        except LakehouseError as error:
            told = redact(str(error), self.secrets)
            log.warning("table failed", table=name, error=told)
            self.audit.table_failed(request.run_id, request.attempt, layer, name, told)
            self.outcome.failures[name] = error
            return False
        except BaseException as error:
            self.audit.table_failed(request.run_id, request.attempt, layer, name, repr(error))
            raise
        return True

    def _finish(self, result: TableResult) -> None:
        self.audit.table_finished(self.request.run_id, self.request.attempt, result)
        self.outcome.results.append(result)
        self.tell(result)

    def _guard(self) -> None:
        if self._lease is not None:
            self._lease.check()

    def publish(self) -> Manifest | None:
        """Judge what differs from the published state of the run's tables, then make it visible all at once."""
        settings, catalog, run_id = self.settings, self.catalog, self.request.run_id
        tables = covered_tables(catalog, self.request.layers, self.request.tables)
        judged = pass_gate(settings, catalog, self.audit, run_id, tables)
        done = make_public(settings, catalog, self.audit, run_id, tables, judged.versions, self._guard)
        self.outcome.published_before = done.before
        return done.manifest

    def _silver_tables(self) -> list[Table]:
        return self._chosen(self.catalog.layer(Layer.SILVER))

    def _gold_tables(self) -> list[Table]:
        return self._chosen(self.catalog.layer(Layer.GOLD))

    def _chosen(self, tables: Sequence[Table]) -> list[Table]:
        asked = {self.catalog.table(name).name for name in self.request.tables}
        return [table for table in tables if not asked or table.name in asked]


def not_run(table: Table, layer: Layer, why: str) -> TableResult:
    """Return the result of a table that was left out because of another."""
    name = f"{table.pipeline}.{layer}.{table.name}"
    return TableResult(table=name, layer=layer, status="SKIPPED", contract_version=table.version, note=why)


def run_side_by_side(tables: Sequence[Table], work: Callable[[Table], bool], side_by_side: int) -> None:
    """Call `work` for each table, in no order."""
    with ThreadPoolExecutor(max_workers=side_by_side) as pool:
        for future in [pool.submit(work, table) for table in tables]:
            future.result()


def _silver_block(table: Table) -> Silver:
    assert isinstance(table.block, Silver)  # noqa: S101 - the catalog puts only Silver blocks into the Silver layer
    return table.block


def run(
    settings: Settings,
    catalog: Catalog,
    request: Request,
    tell: Callable[[TableResult], None] = lambda result: None,
    shared: SparkSession | None = None,
) -> Outcome:
    """Execute one attempt of a run; its audit row ends SUCCESS or FAILED, whatever happens in between.

    After a part that went well the row stays RUNNING, for the next part.
    A `shared` session is used instead of one of the run's own, and left running.
    """
    attempt = Run(settings, catalog, request, tell, shared)
    with attempt:
        try:
            outcome = attempt.execute()
        except BaseException as error:
            attempt.audit.finish_failed(request.run_id, request.attempt, error)
            raise
        first = next(iter(outcome.failures.items()), None)
        error_text = str(first[1]) if first else None
        if request.part and not first:
            attempt.audit.end_part(request.run_id, request.attempt)
        else:
            attempt.audit.finish_run(request.run_id, request.attempt, "FAILED" if first else "SUCCESS", error_text)
        return outcome
