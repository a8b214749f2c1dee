"""One maintenance of a pipeline: compact what pays, delete what no kept version needs; an audit row a table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from lakehouse.audit.lease import TURN_SECONDS, hold
from lakehouse.audit.log import Audit
from lakehouse.audit.recorded import failure_recorded
from lakehouse.audit.result import TableResult
from lakehouse.changes.place import place_of
from lakehouse.engine.recover import record_lost
from lakehouse.errors import LakehouseError
from lakehouse.lake import Lake
from lakehouse.lake.tables import put_back
from lakehouse.log import secrets_of
from lakehouse.maintenance.kept import Kept, kept_tables
from lakehouse.maintenance.ops import prune
from lakehouse.maintenance.survey import Survey, survey
from lakehouse.publish.store import kept
from lakehouse.settings import Settings
from lakehouse.specs import Catalog

LAYER = "maintenance"
# Compacts the table at an address, and returns its new version.
Compact = Callable[[str], int]


@dataclass(frozen=True)
class Cared:
    """What was done to one table, or would be: `note` says it in words, `error` why it was not done."""

    table: str
    before: Survey
    after: Survey
    seconds: float
    error: LakehouseError | None = None

    @property
    def note(self) -> str:
        """Return what was done in words."""
        done = []
        if self.before.pays:
            done.append(f"{self.before.files} files into {self.after.files}")
        if self.before.obsolete:
            done.append(f"{len(self.before.obsolete)} files deleted ({self.before.freed / 1e6:.1f} MB)")
        return ", ".join(done) or "nothing to do"


def surveys(settings: Settings, catalog: Catalog) -> Iterator[tuple[Kept, Survey]]:
    """Yield every table that exists and what there is to do; nothing is changed."""
    lake, now = Lake(settings, catalog.pipeline.name), datetime.now(UTC)
    manifests = kept(settings, catalog.pipeline.name, catalog.pipeline.keep_publications)
    for table in kept_tables(settings, catalog, manifests):
        delta = lake.open(table.uri)
        if delta is not None:
            yield table, survey(place_of(settings, table.uri), delta.version(), table, now)


@contextmanager
def maintenance(
    settings: Settings, catalog: Catalog, run_id: str, attempt: int, wait_seconds: float
) -> Iterator[Audit]:
    """Hold the pipeline and its run's audit row; what is raised inside ends the row FAILED."""
    url, name = settings.need_audit_url(), catalog.pipeline.name
    audit, names = Audit(url, secrets_of(settings)), [name, *(table.full_name for table in catalog.tables.values())]
    with failure_recorded(settings, run_id, name, attempt, LAYER):
        lease = hold(url, names, run_id, attempt, wait_seconds, TURN_SECONDS)
    try:
        audit.start_run(run_id, name, attempt, LAYER, {})
        audit.repair(run_id, attempt, names)
        yield audit
        audit.finish_run(run_id, attempt, "SUCCESS")
    except BaseException as error:
        audit.finish_failed(run_id, attempt, error)
        raise
    finally:
        lease.release()


def maintain(
    settings: Settings, catalog: Catalog, run_id: str, compact: Compact, attempt: int = 1, wait_seconds: float = 0
) -> list[Cared]:
    """Care for every table of a pipeline, one that fails keeping none of the others; return what was done.

    Raises the first failure when all are through.
    """
    done, lake = [], Lake(settings, catalog.pipeline.name)
    with maintenance(settings, catalog, run_id, attempt, wait_seconds) as audit:
        # A publication goes before the versions that only it names.
        prune(settings, catalog)
        for table, found in surveys(settings, catalog):
            if table.is_audited:
                # The note of the newest commit is out of reach once another one is on top.
                record_lost(audit, lake, table.uri, table.name, run_id)
            audit.table_started(run_id, attempt, LAYER, table.name)
            done.append(_care(settings, lake, table, found, compact))
            _record(audit, run_id, attempt, done[-1])
        for each in done:
            if each.error is not None:
                raise each.error
    return done


def _care(settings: Settings, lake: Lake, table: Kept, found: Survey, compact: Compact) -> Cared:
    began = time.monotonic()
    place, after = place_of(settings, table.uri), found
    try:
        state = lake.state(table.uri, LAYER)
        if state is not None and state.restored:
            # A commit of ours on top of it would hide that from the next run.
            raise put_back(table.uri)
        place.delete(found.obsolete)
        if found.pays:
            after = survey(place, compact(table.uri), table, datetime.now(UTC))
    except LakehouseError as error:
        return Cared(table.name, found, found, time.monotonic() - began, error)
    return Cared(table.name, found, after, time.monotonic() - began)


def _record(audit: Audit, run_id: str, attempt: int, cared: Cared) -> None:
    if cared.error is not None:
        audit.table_failed(run_id, attempt, LAYER, cared.table, str(cared.error))
        return
    worked = cared.before.pays or bool(cared.before.obsolete)
    result = TableResult(
        table=cared.table,
        layer=LAYER,
        status="SUCCESS" if worked else "SKIPPED",
        note=cared.note,
        version_written=cared.after.version if cared.before.pays else None,
        phases={"maintain": round(cared.seconds, 3)},
    )
    audit.table_finished(run_id, attempt, result)
