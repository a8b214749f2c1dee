"""What a run would do, table by table, without doing it: no session, no lease, nothing written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from pyspark.sql import SparkSession

from lakehouse.audit.log import Audit
from lakehouse.changes.files import rows_of
from lakehouse.changes.log import Action, active_files, read_entry
from lakehouse.changes.place import place_of
from lakehouse.engine.bronze import make_plan
from lakehouse.engine.context import Context, Options
from lakehouse.engine.progress import find_progress
from lakehouse.errors import StateError
from lakehouse.lake import Lake
from lakehouse.lake.inputs import input_uri, read_inputs
from lakehouse.log import secrets_of
from lakehouse.settings import Settings
from lakehouse.source.connect import reading
from lakehouse.source.horizon import Horizon, fix_horizon
from lakehouse.specs import Catalog, Layer, Silver, Table


@dataclass(frozen=True)
class TablePlan:
    """What a run would do with one table.

    `rows`: rows that it would take in, deletes among them; of Gold the changed rows of its inputs, at most.
    `files`: files of the table of which rows may be replaced, at most. `seconds`: what it usually takes, by the median
    of its last ten runs that had work; None where there are none.
    """

    table: str
    rows: int
    deletes: int
    files: int
    seconds: float | None
    note: str = ""

    def as_dict(self) -> dict[str, object]:
        """Return the fields as JSON holds them."""
        return asdict(self)


class Planner:
    """Plans of one pipeline's tables; each table is looked at once, whoever reads it."""

    def __init__(self, settings: Settings, catalog: Catalog, options: Options) -> None:
        self.settings, self.catalog, self.options = settings, catalog, options
        self.lake = Lake(settings, catalog.pipeline.name)
        self.usual = Audit(settings.need_audit_url(), secrets_of(settings)).usual_seconds(catalog.pipeline.name)
        self._bronze: dict[str, TablePlan] = {}
        self._rows: dict[str, int] = {}
        self._horizon: Horizon | None = None

    def plans(self, layer: Layer, tables: list[Table]) -> Iterator[TablePlan]:
        """Yield the plan of each table of a layer; raises what a run would stop with before it reads."""
        for table in tables:
            if layer is Layer.BRONZE:
                yield self.bronze(table)
            elif layer is Layer.SILVER:
                yield self.silver(table)
            else:
                yield self.gold(table)

    def bronze(self, table: Table) -> TablePlan:
        """Return what the window would read of a source table, and how many keys are gone."""
        if table.name not in self._bronze:
            plan = make_plan(table, _silver_block(table), self._context(), self._fixed_horizon())
            rows = plan.count.rows + plan.unstamped
            drift = ", ".join(f"{each.column} {each.kind}" for each in plan.drift)
            window = f"from {plan.window.low:%Y-%m-%dT%H:%M:%SZ}" if plan.window.low else "all rows"
            note = "; ".join([window, *([drift] if drift else []), *plan.whole, *self._fixed_horizon().warnings])
            self._bronze[table.name] = self._plan(Layer.BRONZE, table, rows + len(plan.gone), len(plan.gone), 0, note)
        return self._bronze[table.name]

    def silver(self, table: Table) -> TablePlan:
        """Return the Bronze rows that wait, and those that this run's window would bring."""
        progress = find_progress(table, _silver_block(table), self._context())
        coming = self.bronze(table)
        if progress is None:
            return self._plan(Layer.SILVER, table, coming.rows, coming.deletes, 0, "first load")
        again = self.options.judges_again or progress.whole
        waiting = self._added(self.lake.bronze(table), -1 if again else progress.consumed, progress.bronze.version)
        rows, note = waiting + coming.rows, "all of Bronze is judged" if again else ""
        return self._plan(Layer.SILVER, table, rows, coming.deletes, self._files(self.lake.of(table)), note)

    def gold(self, table: Table) -> TablePlan:
        """Return the changed rows of the inputs, those that this run would bring among them."""
        rows = sum(self._behind(table, name) + self._changed(self._named(name)) for name in table.inputs)
        note = f"made from {', '.join(table.inputs)}" if rows else "no input changes"
        files = self._files(self.lake.of(table)) if rows else 0
        return self._plan(Layer.GOLD, table, rows, 0, files, note)

    def _behind(self, table: Table, name: str) -> int:
        """Return the rows of an input that the table has not taken in; all of them where it is computed whole."""
        uri, state = input_uri(self.catalog, self.lake, table, name), self.lake.state(self.lake.of(table), _app(table))
        there = self.lake.open(uri)
        if there is None:
            return 0
        taken = None
        if state is not None and state.number is not None and not self.options.full_refresh:
            before = read_inputs(self.settings, table, state.number)
            taken = before.taken_in(name, str(there.metadata().id), there.version())
        return self._added(uri, -1 if taken is None else taken, there.version())

    def _named(self, name: str) -> Table:
        return next(each for each in self.catalog.tables.values() if each.name == name)

    def _changed(self, table: Table) -> int:
        """Return how many rows of an input this run may change: of Gold what its own inputs change."""
        if table.name not in self._rows:
            plan = self.silver(table) if isinstance(table.block, Silver) else self.gold(table)
            self._rows[table.name] = plan.rows
        return self._rows[table.name]

    def _plan(self, layer: Layer, table: Table, rows: int, deletes: int, files: int, note: str) -> TablePlan:
        name = f"{table.pipeline}.{layer}.{table.name}"
        return TablePlan(name, rows, deletes, min(files, rows), self.usual.get(name) if rows else 0.0, note)

    def _added(self, uri: str, after: int, until: int) -> int:
        """Return the rows that versions after `after` up to `until` appended."""
        place = place_of(self.settings, uri)
        if after < 0:
            return sum(rows_of(add) for add in active_files(place, until))
        actions = [action for version in range(after + 1, until + 1) for action in read_entry(place, version)]
        return sum(rows_of(action["add"]) for action in actions if "add" in action and _is_fresh(action["add"]))

    def _files(self, uri: str) -> int:
        table = self.lake.open(uri)
        return len(active_files(place_of(self.settings, uri), table.version())) if table is not None else 0

    def _fixed_horizon(self) -> Horizon:
        if self._horizon is None:
            with reading(self.settings.connection_url(self.catalog.pipeline.connection)) as connection:
                self._horizon = fix_horizon(connection)
        return self._horizon

    def _context(self) -> Context:
        return Context(no_session, self.settings, self.catalog, self.lake, "dry-run", lambda: None, self.options)


def plan_run(
    settings: Settings, catalog: Catalog, layers: Iterable[Layer], tables: Iterable[str], options: Options
) -> list[TablePlan]:
    """Return what a run of layers would do with their tables (all if none is named), in order."""
    planner, asked = Planner(settings, catalog, options), {catalog.table(name).name for name in tables}
    return [
        plan
        for layer in layers
        for plan in planner.plans(layer, [each for each in _tables(catalog, layer) if not asked or each.name in asked])
    ]


def _tables(catalog: Catalog, layer: Layer) -> list[Table]:
    return list(catalog.layer(Layer.GOLD if layer is Layer.GOLD else Layer.SILVER))


def no_session() -> SparkSession:
    """Refuse to start Spark."""
    raise StateError("a plan needs no Spark session, and none is started for it.")


def _silver_block(table: Table) -> Silver:
    if not isinstance(table.block, Silver):
        raise StateError("it is no Silver table.", where=table.full_name)
    return table.block


def _app(table: Table) -> str:
    return f"gold:{table.name}"


def _is_fresh(add: Action) -> bool:
    """Whether a commit's file is new: one that is there again has rows deleted, or was compacted."""
    return bool(add["dataChange"]) and "deletionVector" not in add
