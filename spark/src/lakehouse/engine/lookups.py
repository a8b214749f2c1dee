"""Surrogate keys of dimensions, resolved at the fact's own event time."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812

from lakehouse.specs import Incremental, Lookup

UNKNOWN = -1


def resolve(facts: DataFrame, lookup: Lookup, dimension: DataFrame, *, small: bool) -> DataFrame:
    """Add the lookup's surrogate; a fact without a member gets the unknown one (-1) and stays.

    For few facts only the members that they name are joined, so that a dimension is scanned, not shuffled.
    """
    member = dimension.select(
        *[F.col(theirs).alias(f"_d_{theirs}") for theirs in lookup.on],
        F.col(lookup.surrogate).alias("_surrogate"),
        *([F.col("valid_from").alias("_d_from"), F.col("valid_to").alias("_d_to")] if lookup.at else []),
    )
    if small:
        named = facts.select(*[F.col(ours).alias(f"_d_{theirs}") for theirs, ours in lookup.on.items()]).distinct()
        member = F.broadcast(member.join(F.broadcast(named), [f"_d_{theirs}" for theirs in lookup.on], "left_semi"))
    joined = facts.join(member, _meets(lookup), "left")
    known = F.coalesce("_surrogate", F.lit(UNKNOWN)).alias(lookup.surrogate)
    return joined.select(*facts.columns, known.cast("bigint").alias(lookup.surrogate))


def _meets(lookup: Lookup) -> Column:
    same = [F.col(ours) == F.col(f"_d_{theirs}") for theirs, ours in lookup.on.items()]
    condition = reduce(lambda left, right: left & right, same)
    if lookup.at is None:
        return condition
    at = F.col(lookup.at)
    return condition & (at >= F.col("_d_from")) & (F.col("_d_to").isNull() | (at < F.col("_d_to")))


def facts_of_changes(
    facts: DataFrame, block: Incremental, lookup: Lookup, changes: Callable[[str], DataFrame]
) -> DataFrame:
    """Return the rebuild keys of facts whose member changed, and only in the interval that changed."""
    columns = {f"_d_{name}": name for name in lookup.on}
    if lookup.at:
        columns |= {"_d_from": "valid_from", "_d_to": "valid_to"}
    changed = (
        changes(lookup.dimension).select(*[F.col(name).alias(alias) for alias, name in columns.items()]).distinct()
    )
    return facts.join(F.broadcast(changed), _meets(lookup), "left_semi").select(block.rebuild_by)
