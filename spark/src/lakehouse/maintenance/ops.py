"""Old objects of the ops layer: publications beyond those that are kept, and what past Gold commits were made from."""

from __future__ import annotations

from lakehouse.lake import Lake
from lakehouse.lake.inputs import drop_inputs
from lakehouse.publish.store import drop
from lakehouse.settings import Settings
from lakehouse.specs import Catalog, Layer

# Commits of a Gold table whose inputs are still known, for people who look back.
_INPUTS_KEPT = 20


def prune(settings: Settings, catalog: Catalog) -> int:
    """Delete what is no longer kept; return how many objects that were."""
    pipeline = catalog.pipeline
    dropped = drop(settings, pipeline.name, pipeline.keep_publications)
    lake = Lake(settings, pipeline.name)
    for table in catalog.layer(Layer.GOLD):
        state = lake.state(lake.of(table), f"gold:{table.name}")
        if state is not None and state.number is not None:
            dropped += drop_inputs(settings, table, state.number - _INPUTS_KEPT)
    return dropped
