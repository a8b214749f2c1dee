"""Judging what a run made and showing it to readers all at once; no JVM is needed for either."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lakehouse.audit.log import Audit
from lakehouse.gate import CheckResult, judge_tables, need_passed
from lakehouse.lake import Lake
from lakehouse.publish.manifest import Manifest
from lakehouse.publish.store import current, publish
from lakehouse.settings import Settings
from lakehouse.specs import Catalog, Layer, Table


@dataclass(frozen=True)
class Judged:
    """What passed the gate: the Delta version of every table that exists, and what each check found."""

    versions: dict[str, int]
    checks: list[CheckResult]


@dataclass(frozen=True)
class Published:
    """What readers see now (None: no table exists yet), and the number of the publication before."""

    manifest: Manifest | None
    before: int | None

    @property
    def is_new(self) -> bool:
        """Whether this publication was made now; where no table has a new version none is."""
        return self.manifest is not None and self.manifest.number != self.before


def published_tables(catalog: Catalog) -> list[Table]:
    """Return the tables that readers see: Silver and Gold."""
    return [*catalog.layer(Layer.SILVER), *catalog.layer(Layer.GOLD)]


def pass_gate(settings: Settings, catalog: Catalog) -> Judged:
    """Check each table that differs from the published state; raises GateFailed naming every check that failed."""
    lake, tables = Lake(settings, catalog.pipeline.name), published_tables(catalog)
    checks = judge_tables(lake, tables, current(settings, catalog.pipeline.name))
    need_passed(checks)
    return Judged(_versions(lake, tables), checks)


def make_public(
    settings: Settings,
    catalog: Catalog,
    audit: Audit,
    run_id: str,
    judged: Mapping[str, int],
    guard: Callable[[], None],
) -> Published:
    """Show every table's newest version to readers; `guard` raises LeaseLost when this attempt may no longer commit.

    What has another version than the `judged` one was written since by another run, and is judged first.
    """
    name = catalog.pipeline.name
    lake, tables, before = Lake(settings, name), published_tables(catalog), current(settings, name)
    versions = _versions(lake, tables)
    moved = [table for table in tables if versions.get(table.full_name) != judged.get(table.full_name)]
    need_passed(judge_tables(lake, moved, before))
    number = before.number if before else None
    if not versions:
        return Published(None, number)
    guard()
    manifest = publish(settings, name, run_id, versions)
    audit.publication(manifest)
    return Published(manifest, number)


def _versions(lake: Lake, tables: list[Table]) -> dict[str, int]:
    found = {table.full_name: lake.open(lake.of(table)) for table in tables}
    return {name: delta.version() for name, delta in found.items() if delta is not None}
