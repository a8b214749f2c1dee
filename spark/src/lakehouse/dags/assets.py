"""Published Gold tables as Airflow's assets: another DAG is scheduled on one by its name, `Asset("olist.gold.…")`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Asset

from lakehouse.dags.part import Part
from lakehouse.lake import Lake
from lakehouse.publish.manifest import Manifest
from lakehouse.publish.store import kept
from lakehouse.specs import Catalog, Layer

CHANGES = ("inserted", "updated", "deleted")


def assets_of(catalog: Catalog) -> list[Asset]:
    """Return an asset for each Gold table, named as the table."""
    return [Asset(name=table.full_name, group=catalog.pipeline.name) for table in catalog.layer(Layer.GOLD)]


def tell_assets(context: Mapping[str, Any], part: Part, manifest: Manifest | None, made: Mapping[str, Any]) -> None:
    """Leave the task the assets that this run has published anew, each with what its event says beside it."""
    new = newly_published(part, manifest)
    task = context["task"]
    task.outlets = [each for each in task.outlets if each.name in new]
    for asset in task.outlets:
        context["outlet_events"][asset].extra = {
            "run_id": part.run_id,
            "publication": manifest.number if manifest else None,
            "version": new[asset.name],
            "rows": rows_of(part, asset.name, new[asset.name]),
            **{name: made.get(asset.name, {}).get(name, 0) for name in CHANGES},
        }


def newly_published(part: Part, manifest: Manifest | None) -> dict[str, int]:
    """Return the version of each table that the run's own publication changed for readers, by its name.

    It is asked of the manifests: a second attempt that finds the publication made by the first tells the same.
    """
    if manifest is None or manifest.run_id != part.run_id:
        return {}
    newest = kept(part.settings, manifest.pipeline, 2)
    before = newest[1].tables if len(newest) > 1 else {}
    return {name: version for name, version in manifest.tables.items() if before.get(name) != version}


def rows_of(part: Part, name: str, version: int) -> int:
    """Return how many rows a table has at a version, by its log."""
    from lakehouse.changes import files, log, place  # pyarrow only from here on

    uri = Lake(part.settings, part.catalog.pipeline.name).of(part.catalog.table(name))
    return sum(files.rows_of(add) for add in log.active_files(place.place_of(part.settings, uri), version))
