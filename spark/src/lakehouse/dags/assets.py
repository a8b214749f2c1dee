"""Published Gold tables as Airflow's assets: another DAG is scheduled on one by its name, `Asset("olist.gold.…")`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow.sdk import Asset

from lakehouse.dags.part import Part
from lakehouse.lake import Lake
from lakehouse.publish.manifest import Manifest
from lakehouse.publish.store import kept
from lakehouse.specs import Catalog, Layer


@dataclass(frozen=True)
class News:
    """What readers of one table see anew: its version, its rows, and how many came, changed and went."""

    version: int
    rows: int
    changed: dict[str, int]


def assets_of(catalog: Catalog) -> list[Asset]:
    """Return an asset for each Gold table, named as the table."""
    return [Asset(name=table.full_name, group=catalog.pipeline.name) for table in catalog.layer(Layer.GOLD)]


def tell_assets(context: Mapping[str, Any], part: Part, manifest: Manifest | None) -> None:
    """Leave the task the assets that this run has published anew, each with what its event says beside it."""
    found = {name: news_of(part, name, *both) for name, both in newly_published(part, manifest).items()}
    new = {name: news for name, news in found.items() if news is not None}
    task = context["task"]
    task.outlets = [each for each in task.outlets if each.name in new]
    for asset in task.outlets:
        context["outlet_events"][asset].extra = {
            "run_id": part.run_id,
            "publication": manifest.number if manifest else None,
            "version": new[asset.name].version,
            "rows": new[asset.name].rows,
            **new[asset.name].changed,
        }


def newly_published(part: Part, manifest: Manifest | None) -> dict[str, tuple[int | None, int]]:
    """Return, by table, the version that readers saw before the run's own publication and the one they see with it.

    It is asked of the manifests: a second attempt that finds the publication made by the first tells the same.
    """
    if manifest is None or manifest.run_id != part.run_id:
        return {}
    newest = kept(part.settings, manifest.pipeline, 2)
    before = newest[1].tables if len(newest) > 1 else {}
    both = {name: (before.get(name), version) for name, version in manifest.tables.items()}
    return {name: versions for name, versions in both.items() if versions[0] != versions[1]}


def news_of(part: Part, name: str, before: int | None, version: int) -> News | None:
    """Return what became of a table's rows between two versions, by its log; None where maintenance alone came."""
    from lakehouse.changes import files, growth, log, place  # pyarrow only from here on

    where = place.place_of(part.settings, Lake(part.settings, part.catalog.pipeline.name).of(part.catalog.table(name)))
    changed = growth.rows_changed(where, before, version)
    if changed is None:
        return None
    return News(version, sum(files.rows_of(add) for add in log.active_files(where, version)), changed)
