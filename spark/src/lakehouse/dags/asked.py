"""What a person asked of a run in Airflow's form: read, and refused before anything starts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from croniter import CroniterError, croniter  # type: ignore[import-untyped]

from lakehouse.cli.runs import parse_moment
from lakehouse.errors import ParameterError, did_you_mean
from lakehouse.specs import Catalog, Layer

_PLAIN = 80
PARAMS = ("tables", "full_refresh", "window_from", "window_to", "quarantine_limit", "dry_run")


@dataclass(frozen=True)
class Asked:
    """Tables by `layer.name` (all if none is named), whether all is read again, a window of the source, a share of
    rows that may be rejected, and whether nothing is written.
    """

    tables: tuple[str, ...] = ()
    full_refresh: bool = False
    window_from: str = ""
    window_to: str = ""
    quarantine_limit: float | None = None
    dry_run: bool = False

    def arguments(self) -> list[str]:
        """Return the same as arguments of a job."""
        limit = "" if self.quarantine_limit is None else str(self.quarantine_limit)
        words = ["--full-refresh"] if self.full_refresh else []
        words += ["--dry-run"] if self.dry_run else []
        for name, value in (
            ("--tables", ",".join(self.tables)),
            ("--from", self.window_from),
            ("--to", self.window_to),
            ("--quarantine-limit", limit),
        ):
            words += [name, value] if value else []
        return words


def table_choices(catalog: Catalog) -> list[str]:
    """Return what may be asked for: Silver and Gold tables by `layer.name`; Bronze follows its Silver table."""
    return [f"{table.layer}.{table.name}" for layer in (Layer.SILVER, Layer.GOLD) for table in catalog.layer(layer)]


def read_asked(catalog: Catalog, params: Mapping[str, Any]) -> Asked:
    """Read a form; raises ParameterError for what it does not offer, and for a window that ends before it begins."""
    need_known("params", params, PARAMS)
    choices, tables = table_choices(catalog), tuple(params.get("tables") or ())
    need_known("tables", tables, choices)
    begin = parse_moment(params.get("window_from"), "window_from")
    end = parse_moment(params.get("window_to"), "window_to")
    if begin and end and begin >= end:
        raise ParameterError(f"the window ends ({end.isoformat()}) before it begins ({begin.isoformat()}).")
    return Asked(
        tables,
        bool(params.get("full_refresh")),
        begin.isoformat() if begin else "",
        end.isoformat() if end else "",
        share(params.get("quarantine_limit")),
        bool(params.get("dry_run")),
    )


def need_known(what: str, names: Collection[Any], known: Collection[str]) -> None:
    """Raise ParameterError naming what is not known, with the nearest that is."""
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ParameterError(
            f"{what}: {', '.join(map(str, unknown))} unknown.{did_you_mean(str(unknown[0]), known)}",
            allowed=", ".join(known),
        )


def share(value: Any) -> float | None:
    """Return a share of rows from 0 to 1; raises ParameterError for anything else that is not None."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1):
        return value
    raise ParameterError(f"quarantine_limit is {value!r}.", allowed="a share of the rows from 0 to 1, such as 0.05")


def in_backfill(params: Mapping[str, Any], logical_date: datetime, schedule: str | None) -> dict[str, Any]:
    """Return a form as a backfill of `logical_date` means it: its window goes to the schedule's next date.

    What the form itself says of a window, or of reading everything again, stands. Raises ParameterError for a
    schedule without a next date.
    """
    asked = dict(params)
    if schedule is None or any(asked.get(name) for name in ("full_refresh", "window_from", "window_to")):
        return asked
    try:
        end: datetime = croniter(schedule, logical_date).get_next(datetime)
    except CroniterError:
        raise ParameterError(
            f'schedule "{schedule}" has no next date.',
            remedy="name window_from and window_to in the backfill's params.",
        ) from None
    return asked | {"window_from": logical_date.isoformat(), "window_to": end.isoformat()}


def platform_run_id(pipeline: str, dag_run_id: str) -> str:
    """Return the run's id on the platform: the pipeline and Airflow's id in plain characters.

    Six characters of its digest keep two ids apart that differ only in what is no plain character.
    """
    plain = re.sub(r"[^A-Za-z0-9]+", "-", dag_run_id).strip("-")[:_PLAIN]
    return f"{pipeline}-{plain}-{hashlib.sha256(dag_run_id.encode()).hexdigest()[:6]}"
