"""Judging what a run made and showing it to readers all at once; no JVM is needed for either."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from lakehouse.audit.log import Audit
from lakehouse.audit.result import CheckResult
from lakehouse.errors import StateError
from lakehouse.gate import judge_tables, need_passed
from lakehouse.lake import Lake
from lakehouse.log import get_logger
from lakehouse.publish.manifest import Manifest
from lakehouse.publish.store import current, find, publish, roll_back
from lakehouse.settings import Settings
from lakehouse.specs import Catalog, Layer, Table

log = get_logger(__name__)


@dataclass(frozen=True)
class Judged:
    """What passed the gate: the Delta version of every table that was looked at, and what each check found."""

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


def covered_tables(catalog: Catalog, layers: Collection[Layer], names: Collection[str]) -> list[Table]:
    """Return the tables of `published_tables` that a run of these layers and tables (all if none is named) covers."""
    asked = {catalog.table(name).name for name in names}
    tables = [table for table in published_tables(catalog) if table.layer in layers]
    return [table for table in tables if not asked or table.name in asked]


def pass_gate(settings: Settings, catalog: Catalog, audit: Audit, run_id: str, tables: Sequence[Table]) -> Judged:
    """Check each of the tables that differs from the published state; raises GateFailed naming every failed check."""
    lake = Lake(settings, catalog.pipeline.name)
    checks = judge_tables(lake, tables, current(settings, catalog.pipeline.name))
    _tell(audit, run_id, checks)
    return Judged(_versions(lake, tables), checks)


def _tell(audit: Audit, run_id: str, checks: Sequence[CheckResult]) -> None:
    """Leave in the audit what the checks found; raises GateFailed where one of severity error failed."""
    audit.checks_found(run_id, checks)
    for each in checks:
        if not each.passed:
            log.warning("check failed", table=each.table, check=each.check, value=each.value, severity=each.severity)
    need_passed(checks)


def go_back(settings: Settings, pipeline: str, to: int, run_id: str) -> Manifest:
    """Publish an older publication again; raises StateError naming the first table that cannot be read as it was."""
    manifest, lake = find(settings, pipeline, to), Lake(settings, pipeline)
    for name, version in sorted(manifest.tables.items()):
        _need_version(lake, manifest, name, version)
    return roll_back(settings, pipeline, to, run_id)


def _need_version(lake: Lake, manifest: Manifest, name: str, version: int) -> None:
    _, layer, table = name.split(".")
    uri = lake.uri(layer, table)
    try:
        made = lake.made_at(uri, version)
    except StateError as error:
        raise _not_as_published(manifest, name, version, f"cannot be read: {error.what}", uri) from error
    if made is None or made > manifest.published_at:
        why = "is not there" if made is None else f"is of a table that was made anew at {made:%Y-%m-%d %H:%M:%S}"
        raise _not_as_published(manifest, name, version, f"{why}.", uri)


def _not_as_published(manifest: Manifest, name: str, version: int, why: str, uri: str) -> StateError:
    return StateError(
        f"publication {manifest.number} names version {version} of {name}, which {why}",
        where=uri,
        remedy="nothing was published; restore the table, or go back to another publication: "
        f"`lakehouse publications {manifest.pipeline}` lists them.",
    )


def make_public(
    settings: Settings,
    catalog: Catalog,
    audit: Audit,
    run_id: str,
    tables: Sequence[Table],
    judged: Mapping[str, int],
    guard: Callable[[], None],
) -> Published:
    """Show the tables' newest versions to readers; `guard` raises LeaseLost when this attempt may no longer commit.

    What has another version than the `judged` one was written since by another run, and is judged first.
    Every other table stays as it is published: what a failed run has left of it is that run's to bring to its end.
    """
    name = catalog.pipeline.name
    lake, before = Lake(settings, name), current(settings, name)
    versions = _versions(lake, tables)
    moved = [table for table in tables if versions.get(table.full_name) != judged.get(table.full_name)]
    _tell(audit, run_id, judge_tables(lake, moved, before))
    number = before.number if before else None
    versions = _others(catalog, tables, before) | versions
    if not versions:
        return Published(None, number)
    guard()
    manifest = publish(settings, name, run_id, versions)
    copy_manifests(audit, before, manifest)
    return Published(manifest, number)


def copy_manifests(audit: Audit, before: Manifest | None, manifest: Manifest) -> None:
    """Copy a publication, and the one before it: a crash may have kept that copy from being written."""
    if before is not None and before.number != manifest.number:
        audit.publication(before)
    audit.publication(manifest)


def _others(catalog: Catalog, tables: Sequence[Table], before: Manifest | None) -> dict[str, int]:
    """Return the published versions of the pipeline's other tables; one that was never published has none."""
    published = before.tables if before else {}
    others = {table.full_name for table in published_tables(catalog)} - {table.full_name for table in tables}
    return {name: version for name, version in published.items() if name in others}


def _versions(lake: Lake, tables: Sequence[Table]) -> dict[str, int]:
    found = {table.full_name: lake.open(lake.of(table)) for table in tables}
    return {name: delta.version() for name, delta in found.items() if delta is not None}
