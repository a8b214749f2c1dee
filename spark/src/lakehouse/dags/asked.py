"""What a person asked of a run in Airflow's form: read, and refused before anything starts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lakehouse.cli.runs import parse_moment
from lakehouse.errors import ParameterError, did_you_mean
from lakehouse.specs import Catalog, Layer

_PLAIN = 80


@dataclass(frozen=True)
class Asked:
    """Tables by `layer.name` (all if none is named), whether everything is read again, and a window of the source."""

    tables: tuple[str, ...] = ()
    full_refresh: bool = False
    window_from: str = ""
    window_to: str = ""

    def arguments(self) -> list[str]:
        """Return the same as arguments of a job."""
        words = ["--full-refresh"] if self.full_refresh else []
        for name, value in (
            ("--tables", ",".join(self.tables)),
            ("--from", self.window_from),
            ("--to", self.window_to),
        ):
            words += [name, value] if value else []
        return words


def table_choices(catalog: Catalog) -> list[str]:
    """Return what may be asked for: Silver and Gold tables by `layer.name`; Bronze follows its Silver table."""
    return [f"{table.layer}.{table.name}" for layer in (Layer.SILVER, Layer.GOLD) for table in catalog.layer(layer)]


def read_asked(catalog: Catalog, params: Mapping[str, Any]) -> Asked:
    """Read a form; raises ParameterError for an unknown table or a window that ends before it begins."""
    choices, tables = table_choices(catalog), tuple(params.get("tables") or ())
    unknown = [name for name in tables if name not in choices]
    if unknown:
        raise ParameterError(
            f"tables: {', '.join(map(str, unknown))} unknown.{did_you_mean(str(unknown[0]), choices)}",
            allowed=", ".join(choices),
        )
    begin = parse_moment(params.get("window_from"), "window_from")
    end = parse_moment(params.get("window_to"), "window_to")
    if begin and end and begin >= end:
        raise ParameterError(f"the window ends ({end.isoformat()}) before it begins ({begin.isoformat()}).")
    return Asked(
        tables,
        bool(params.get("full_refresh")),
        begin.isoformat() if begin else "",
        end.isoformat() if end else "",
    )


def platform_run_id(pipeline: str, dag_run_id: str) -> str:
    """Return the run's id on the platform: the pipeline and Airflow's id in plain characters.

    Six characters of its digest keep two ids apart that differ only in what is no plain character.
    """
    plain = re.sub(r"[^A-Za-z0-9]+", "-", dag_run_id).strip("-")[:_PLAIN]
    return f"{pipeline}-{plain}-{hashlib.sha256(dag_run_id.encode()).hexdigest()[:6]}"
