"""One run as its page shows it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from lakehouse.audit.history import LEDGER, Row
from lakehouse.errors import LakehouseError
from lakehouse.publish.manifest import Manifest
from lakehouse.serving.bars import Lane, LatencyBar, lanes, latency_bars, phases_of
from lakehouse.serving.words import Fault
from lakehouse.specs.model import STREAM

LAYERS = ("bronze", "silver", "gold")
FIGURES = ("input_rows", *LEDGER, "output_rows")
PLAIN: tuple[object, ...] = (None, "", False, [], {})


@dataclass(frozen=True)
class Ledger:
    """A layer's tables, each by what the run last did to it, their sums, and seconds from first start to last end."""

    layer: str
    rows: list[Row]
    sums: dict[str, int]
    seconds: float


@dataclass(frozen=True)
class RunPage:
    """A run by its newest attempt; `faults` are its failed tables, or the run itself where no table failed.

    `stream` is the stream that it is a run of, or ""; only such a run has `sends` and `batches`, the newest first.
    """

    run: Row
    attempts: list[Row]
    seconds: float
    ledgers: list[Ledger]
    rules: list[Row]
    checks: list[Row]
    drift: list[Row]
    publications: list[Row]
    lanes: list[Lane]
    phases: list[str]
    faults: list[tuple[str, Fault]]
    params: dict[str, object]
    manifest: Manifest | None = None
    manifest_unknown: str = ""
    sums: dict[str, int] = field(default_factory=dict)
    stream: str = ""
    sends: list[Row] = field(default_factory=list)
    batches: list[Row] = field(default_factory=list)
    bars: list[LatencyBar] = field(default_factory=list)
    batches_sum: Row | None = None

    @property
    def airflow_path(self) -> str:
        """The path of the run's page in Airflow, "" where it has none."""
        link = str(self.run["link"])
        return link if link.startswith("/") and not link.startswith("//") else ""


def run_page(
    found: dict[str, list[Row]], manifest: Manifest | LakehouseError | None, secrets: Sequence[str]
) -> RunPage:
    """Return the page of what `Audit.show` found and of what readers of its pipeline see now."""
    attempts, tables = found["attempts"], _latest(found["tables"])
    run = attempts[-1]
    ended = run["ended_at"] or datetime.now(UTC)
    ledgers = [_ledger(layer, tables) for layer in _layers(tables)]
    spent = lanes([row for each in ledgers for row in each.rows if row["seconds"] >= 0.05])
    seconds = (ended - attempts[0]["started_at"]).total_seconds()
    return RunPage(
        run=run,
        attempts=attempts,
        seconds=seconds,
        ledgers=ledgers,
        rules=found["rules_failed"],
        checks=found["checks_failed"],
        drift=found["drift"],
        publications=found["publications"],
        lanes=spent,
        phases=phases_of(spent),
        faults=_faults(run, tables, secrets),
        params={name: value for name, value in run["params"].items() if value not in PLAIN},
        manifest=manifest if isinstance(manifest, Manifest) else None,
        manifest_unknown=Fault.of(str(manifest), secrets).cause if isinstance(manifest, LakehouseError) else "",
        sums={name: sum(each.sums[name] for each in ledgers) for name in FIGURES},
        stream=stream_of(run["pipeline"]),
        sends=found["sends"],
        batches=found["batches"],
        bars=latency_bars(found["batches"]),
        batches_sum=next(iter(found["batches_summed"]), None),
    )


def publishes(pipeline: str) -> bool:
    """Tell whether runs of this name are a pipeline's own; a stream's, or those that fill a source, publish nothing."""
    return "." not in pipeline


def stream_of(pipeline: str) -> str:
    """Return the name that a stream has among streams by what its runs are called, "" where that is no stream."""
    owner, between, table = pipeline.partition(STREAM)
    return f"{owner}.{table}" if between else ""


def _latest(tables: Iterable[Row]) -> list[Row]:
    """Return a row for each table: what was last done to it; a later attempt that left it alone says nothing new."""
    newest: dict[tuple[str, str], Row] = {}
    for row in sorted(tables, key=lambda row: row["attempt"]):
        key = row["layer"], row["table_name"]
        if row["status"] != "SKIPPED" or newest.get(key, row)["status"] in ("SKIPPED", "FAILED"):
            newest[key] = row
    return sorted(newest.values(), key=lambda row: (row["started_at"], row["table_name"]))


def _layers(tables: Iterable[Row]) -> list[str]:
    named = {row["layer"] for row in tables}
    return [*(layer for layer in LAYERS if layer in named), *sorted(named - set(LAYERS))]


def _ledger(layer: str, tables: Iterable[Row]) -> Ledger:
    rows = [row for row in tables if row["layer"] == layer]
    sums = {name: sum(row[name] for row in rows) for name in FIGURES}
    began = min(row["started_at"] for row in rows)
    ended = max(row["started_at"] + timedelta(seconds=row["seconds"]) for row in rows)
    return Ledger(layer, rows, sums, (ended - began).total_seconds())


def _faults(run: Row, tables: Iterable[Row], secrets: Sequence[str]) -> list[tuple[str, Fault]]:
    if run["status"] != "FAILED":
        return []
    failed = [(row["table_name"], str(row["error"])) for row in tables if row["status"] == "FAILED"]
    told = [(name, Fault.of(error.removeprefix(f"{name}: "), secrets)) for name, error in failed]
    if any(error in run["error"] or run["error"] in error for _, error in failed):
        return told
    return [("", Fault.of(run["error"], secrets)), *told]
