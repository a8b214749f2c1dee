"""The task of `setup_source_db`: the source database filled from the CSV files in raw/."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from airflow.sdk import Param, get_current_context

from lakehouse.audit.link import TRIGGER
from lakehouse.audit.recorded import filling_recorded
from lakehouse.dags.asked import need_known, platform_run_id
from lakehouse.dags.part import in_airflows_terms
from lakehouse.log import get_logger, secrets_of
from lakehouse.settings import load_settings
from lakehouse.source.filling import Filling, fill, fill_anew
from lakehouse.source.load import LoadedTable
from lakehouse.source.olist import TABLES
from lakehouse.source.sample import write_sample

log = get_logger(__name__)
# What the id of a run on the platform begins with.
RUN = "source"
SAMPLE_SCALE = 0.1
FORM = {
    "replace": Param(
        False,
        "Drop all rows that the source holds first: for files of another origin than it was filled from.",
        type=["null", "boolean"],
        title="Replace",
    )
}


def source_task() -> dict[str, dict[str, int]]:
    """Fill the source; what cannot be loaded is a failed run in the audit, too."""
    context = get_current_context()
    run_id = platform_run_id(RUN, str(context["run_id"]))
    settings, attempt = load_settings(), context["ti"].try_number
    with in_airflows_terms(secrets_of(settings)), filling_recorded(settings, run_id, attempt, TRIGGER):
        params = context["params"]
        need_known("params", params, FORM)
        return told(fill_source(fill_anew if params.get("replace") else fill))


def fill_source(begin: Callable[[str, Path], Filling] = fill) -> Filling:
    """Bring schema olist to what the CSV files say, of a made sample where there are none.

    A sample is made in raw/, or in the state folder where raw/ cannot be written, as in the containers. A person's
    files take the place of a sample; any other change of origin is refused, unless *Replace* is chosen.
    """
    settings = load_settings()
    raw = settings.path(settings.raw)
    if not has_csv_files(raw) and not os.access(raw, os.W_OK):
        raw = settings.path(settings.state) / "sample"
    if not has_csv_files(raw):
        log.info("no CSV files: making a sample", folder=str(raw), scale=SAMPLE_SCALE)
        write_sample(raw, scale=SAMPLE_SCALE)
    return begin(settings.connection_url("source"), raw)


def told(filling: Filling) -> dict[str, dict[str, int]]:
    """Log what became of each table, and return it."""
    if filling.remark:
        log.warning(filling.remark)
    return {table.name: _told(table) for table in filling.tables}


def has_csv_files(raw: Path) -> bool:
    """Tell whether a folder has any of the source's files, plain or packed."""
    return any((raw / f"{table.file}{end}").exists() for table in TABLES.values() for end in ("", ".gz"))


def _told(table: LoadedTable) -> dict[str, int]:
    log.info("loaded", table=table.name, rows=table.rows, inserted=table.inserted, updated=table.updated)
    for warning in table.warnings:
        log.warning(warning, table=table.name)
    return {"rows": table.rows, "inserted": table.inserted, "updated": table.updated, "deleted": table.deleted}
