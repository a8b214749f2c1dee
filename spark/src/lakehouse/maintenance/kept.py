"""What must stay readable of each table: the versions of kept publications, of its retention, and of its readers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from lakehouse.lake import Lake
from lakehouse.lake.inputs import input_uri, read_inputs
from lakehouse.lake.tables import EVENTS
from lakehouse.publish.manifest import Manifest
from lakehouse.settings import Settings
from lakehouse.specs import Catalog, Layer, Silver, Table

# Where a contract says nothing: as long as Delta's own VACUUM.
RETENTION = timedelta(days=7)


@dataclass(frozen=True)
class Kept:
    """A table's name, where it lies, and what must stay readable.

    `published`: versions that kept publications name; `consumed`: the oldest version that a table made from it has
    taken in, for it reads the changes since (None: nothing is made from it). `is_audited`: its commits are rows of the
    audit, other than those of what lies beside a Silver table.
    """

    name: str
    uri: str
    retention: timedelta
    published: frozenset[int] = frozenset()
    consumed: int | None = None
    is_audited: bool = False


def kept_tables(settings: Settings, catalog: Catalog, manifests: Iterable[Manifest]) -> Iterator[Kept]:
    """Yield every table of a pipeline, those beside Silver among them; whether it exists is not looked at."""
    lake, named = Lake(settings, catalog.pipeline.name), list(manifests)
    consumed = _consumed(settings, catalog, lake)
    for table in [*catalog.layer(Layer.SILVER), *catalog.layer(Layer.GOLD)]:
        published = frozenset(each.tables[table.full_name] for each in named if table.full_name in each.tables)
        retention = RETENTION if table.retention is None else table.retention
        for name, uri in _places(table, lake):
            versions = published if uri == lake.of(table) else frozenset()
            audited = uri in (lake.of(table), lake.uri(Layer.BRONZE, table.name))
            yield Kept(name, uri, retention, versions, consumed.get(uri), audited)


def _places(table: Table, lake: Lake) -> list[tuple[str, str]]:
    places = [(table.full_name, lake.of(table))]
    if isinstance(table.block, Silver):
        beside = f"{table.pipeline}.{{}}.{table.name}".format
        places.append((beside(Layer.BRONZE), lake.bronze(table)))
        places.append((beside("quarantine"), lake.quarantine(table)))
        if table.block.history:
            places.append((f"{table.full_name}_history", lake.history(table)))
        if table.block.stream:
            places.append((beside(Layer.BRONZE) + EVENTS, lake.events(table)))
    return places


def _consumed(settings: Settings, catalog: Catalog, lake: Lake) -> dict[str, int]:
    """Return the oldest version that a reader has taken in, by the address of what it reads."""
    oldest: dict[str, int] = {}

    def taken_in(uri: str, version: int) -> None:
        oldest[uri] = min(version, oldest.get(uri, version))

    for table in catalog.layer(Layer.SILVER):
        for application, uri in (("silver", lake.bronze(table)), ("stream", lake.events(table))):
            state = lake.state(lake.of(table), f"{application}:{table.name}")
            if state is not None and state.number is not None:
                taken_in(uri, state.number)
    for table in catalog.layer(Layer.GOLD):
        state = lake.state(lake.of(table), f"gold:{table.name}")
        if state is not None and state.number is not None:
            for name, version in read_inputs(settings, table, state.number).versions.items():
                taken_in(input_uri(catalog, lake, table, name), version)
    return oldest
