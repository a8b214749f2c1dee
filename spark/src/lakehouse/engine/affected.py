"""From changed input rows to the keys that must be made anew, and the inputs restricted to those keys."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812

from lakehouse.engine.lookups import facts_of_changes
from lakehouse.specs import Incremental

if TYPE_CHECKING:
    from lakehouse.engine.gold import Work


def affected_keys(work: Work, block: Incremental) -> DataFrame:
    """Return the distinct rebuild keys whose rows may differ: by a changed input row, or a changed dimension member."""
    found = []
    for name, source in block.inputs.items():
        if not work.changed(name):
            continue
        changed = work.changes(name).select(F.col(source.column).alias("_key")).where("_key IS NOT NULL")
        if source.through is None:
            found.append(changed.select(F.col("_key").alias(block.rebuild_by)))
        else:
            way = work.read(source.through).select(
                F.col(source.column).alias("_key"),
                F.col(block.inputs[source.through].column).alias(block.rebuild_by),
            )
            found.append(way.join(F.broadcast(changed.distinct()), "_key", "left_semi").select(block.rebuild_by))
    for lookup in block.lookups:
        if work.changed(lookup.dimension):
            found.append(facts_of_changes(work.held, block, lookup, work.changes))
    if not found:
        return work.held.select(block.rebuild_by).limit(0)
    return reduce(DataFrame.union, found).where(F.col(block.rebuild_by).isNotNull()).distinct()


def restricted(work: Work, block: Incremental, affected: DataFrame) -> dict[str, DataFrame]:
    """Return each input with only the rows that the affected keys are made from."""
    views: dict[str, DataFrame] = {}
    for name, source in block.inputs.items():
        if source.through is None:
            keys = affected.select(F.col(block.rebuild_by).alias(source.column))
            views[name] = work.read(name).join(F.broadcast(keys), source.column, "left_semi")
    for name, source in block.inputs.items():
        if source.through is not None:
            named = views[source.through].select(source.column).distinct()
            views[name] = work.read(name).join(F.broadcast(named), source.column, "left_semi")
    for name in block.read_whole:
        views[name] = work.read(name)
    return views
